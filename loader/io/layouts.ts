import { layout } from './structure.js';

/**
 * Objects of the I/O manager as wdm.h and ntddk.h of the public driver kits lay them out, for 64-bit and 32-bit code.
 * x64 and ARM64 have the same offsets.
 */
export const DRIVER_OBJECT = layout('DRIVER_OBJECT', [0x150, 0xa8], {
  Type: [0x00, 0x00, 'u16'],
  Size: [0x02, 0x02, 'u16'],
  DeviceObject: [0x08, 0x04, 'pointer'],
  Flags: [0x10, 0x08, 'u32'],
  DriverStart: [0x18, 0x0c, 'pointer'],
  DriverSize: [0x20, 0x10, 'u32'],
  DriverSection: [0x28, 0x14, 'pointer'],
  DriverExtension: [0x30, 0x18, 'pointer'],
  DriverName: [0x38, 0x1c, 'structure'],
  HardwareDatabase: [0x48, 0x24, 'pointer'],
  FastIoDispatch: [0x50, 0x28, 'pointer'],
  DriverInit: [0x58, 0x2c, 'pointer'],
  DriverStartIo: [0x60, 0x30, 'pointer'],
  DriverUnload: [0x68, 0x34, 'pointer'],
  MajorFunction: [0x70, 0x38, 'structure'],
});

export const DRIVER_EXTENSION = layout('DRIVER_EXTENSION', [0x28, 0x14], {
  DriverObject: [0x00, 0x00, 'pointer'],
  AddDevice: [0x08, 0x04, 'pointer'],
  Count: [0x10, 0x08, 'u32'],
  ServiceKeyName: [0x18, 0x0c, 'structure'],
});

/** The kit aligns it to 16 bytes in 64-bit code, so that it is 8 bytes larger than the last field needs. */
export const DEVICE_OBJECT = layout('DEVICE_OBJECT', [0x150, 0xb8], {
  Type: [0x00, 0x00, 'u16'],
  Size: [0x02, 0x02, 'u16'],
  ReferenceCount: [0x04, 0x04, 'u32'],
  DriverObject: [0x08, 0x08, 'pointer'],
  NextDevice: [0x10, 0x0c, 'pointer'],
  AttachedDevice: [0x18, 0x10, 'pointer'],
  CurrentIrp: [0x20, 0x14, 'pointer'],
  Timer: [0x28, 0x18, 'pointer'],
  Flags: [0x30, 0x1c, 'u32'],
  Characteristics: [0x34, 0x20, 'u32'],
  Vpb: [0x38, 0x24, 'pointer'],
  DeviceExtension: [0x40, 0x28, 'pointer'],
  DeviceType: [0x48, 0x2c, 'u32'],
  StackSize: [0x4c, 0x30, 'u8'],
  Queue: [0x50, 0x34, 'structure'],
  AlignmentRequirement: [0x98, 0x5c, 'u32'],
  DeviceQueue: [0xa0, 0x60, 'structure'],
  Dpc: [0xc8, 0x74, 'structure'],
  ActiveThreadCount: [0x108, 0x94, 'u32'],
  SecurityDescriptor: [0x110, 0x98, 'pointer'],
  DeviceLock: [0x118, 0x9c, 'structure'],
  SectorSize: [0x130, 0xac, 'u16'],
  DeviceObjectExtension: [0x138, 0xb0, 'pointer'],
});

export const FILE_OBJECT = layout('FILE_OBJECT', [0xd8, 0x80], {
  Type: [0x00, 0x00, 'u16'],
  Size: [0x02, 0x02, 'u16'],
  DeviceObject: [0x08, 0x04, 'pointer'],
  FsContext: [0x18, 0x0c, 'pointer'],
  FsContext2: [0x20, 0x10, 'pointer'],
  FinalStatus: [0x38, 0x1c, 'u32'],
  RelatedFileObject: [0x40, 0x20, 'pointer'],
  DeletePending: [0x49, 0x25, 'u8'],
  ReadAccess: [0x4a, 0x26, 'u8'],
  WriteAccess: [0x4b, 0x27, 'u8'],
  DeleteAccess: [0x4c, 0x28, 'u8'],
  SharedRead: [0x4d, 0x29, 'u8'],
  SharedWrite: [0x4e, 0x2a, 'u8'],
  SharedDelete: [0x4f, 0x2b, 'u8'],
  Flags: [0x50, 0x2c, 'u32'],
  FileName: [0x58, 0x30, 'structure'],
  CurrentByteOffset: [0x68, 0x38, 'u64'],
  Waiters: [0x70, 0x40, 'u32'],
  Busy: [0x74, 0x44, 'u32'],
  Lock: [0x80, 0x4c, 'structure'],
  Event: [0x98, 0x5c, 'structure'],
  CompletionContext: [0xb0, 0x6c, 'pointer'],
  IrpListLock: [0xb8, 0x70, 'pointer'],
  IrpList: [0xc0, 0x74, 'structure'],
});

export const IRP = layout('IRP', [0xd0, 0x70], {
  Type: [0x00, 0x00, 'u16'],
  Size: [0x02, 0x02, 'u16'],
  MdlAddress: [0x08, 0x04, 'pointer'],
  Flags: [0x10, 0x08, 'u32'],
  'AssociatedIrp.SystemBuffer': [0x18, 0x0c, 'pointer'],
  ThreadListEntry: [0x20, 0x10, 'structure'],
  'IoStatus.Status': [0x30, 0x18, 'u32'],
  'IoStatus.Information': [0x38, 0x1c, 'pointer'],
  RequestorMode: [0x40, 0x20, 'u8'],
  PendingReturned: [0x41, 0x21, 'u8'],
  StackCount: [0x42, 0x22, 'u8'],
  CurrentLocation: [0x43, 0x23, 'u8'],
  Cancel: [0x44, 0x24, 'u8'],
  CancelIrql: [0x45, 0x25, 'u8'],
  ApcEnvironment: [0x46, 0x26, 'u8'],
  AllocationFlags: [0x47, 0x27, 'u8'],
  UserIosb: [0x48, 0x28, 'pointer'],
  UserEvent: [0x50, 0x2c, 'pointer'],
  'Overlay.AsynchronousParameters.UserApcRoutine': [0x58, 0x30, 'pointer'],
  'Overlay.AsynchronousParameters.UserApcContext': [0x60, 0x34, 'pointer'],
  CancelRoutine: [0x68, 0x38, 'pointer'],
  UserBuffer: [0x70, 0x3c, 'pointer'],
  'Tail.Overlay.DriverContext': [0x78, 0x40, 'structure'],
  'Tail.Overlay.Thread': [0x98, 0x50, 'pointer'],
  'Tail.Overlay.AuxiliaryBuffer': [0xa0, 0x54, 'pointer'],
  'Tail.Overlay.ListEntry': [0xa8, 0x58, 'structure'],
  'Tail.Overlay.CurrentStackLocation': [0xb8, 0x60, 'pointer'],
  'Tail.Overlay.OriginalFileObject': [0xc0, 0x64, 'pointer'],
});

export const IO_STACK_LOCATION = layout('IO_STACK_LOCATION', [0x48, 0x24], {
  MajorFunction: [0x00, 0x00, 'u8'],
  MinorFunction: [0x01, 0x01, 'u8'],
  Flags: [0x02, 0x02, 'u8'],
  Control: [0x03, 0x03, 'u8'],
  Parameters: [0x08, 0x04, 'structure'],
  'Parameters.Create.SecurityContext': [0x08, 0x04, 'pointer'],
  'Parameters.Create.Options': [0x10, 0x08, 'u32'],
  'Parameters.Create.FileAttributes': [0x18, 0x0c, 'u16'],
  'Parameters.Create.ShareAccess': [0x1a, 0x0e, 'u16'],
  'Parameters.Create.EaLength': [0x20, 0x10, 'u32'],
  'Parameters.Read.Length': [0x08, 0x04, 'u32'],
  'Parameters.Read.Key': [0x10, 0x08, 'u32'],
  'Parameters.Read.ByteOffset': [0x18, 0x0c, 'u64'],
  'Parameters.DeviceIoControl.OutputBufferLength': [0x08, 0x04, 'u32'],
  'Parameters.DeviceIoControl.InputBufferLength': [0x10, 0x08, 'u32'],
  'Parameters.DeviceIoControl.IoControlCode': [0x18, 0x0c, 'u32'],
  'Parameters.DeviceIoControl.Type3InputBuffer': [0x20, 0x10, 'pointer'],
  DeviceObject: [0x28, 0x14, 'pointer'],
  FileObject: [0x30, 0x18, 'pointer'],
  CompletionRoutine: [0x38, 0x1c, 'pointer'],
  Context: [0x40, 0x20, 'pointer'],
});

export const MDL = layout('MDL', [0x30, 0x1c], {
  Next: [0x00, 0x00, 'pointer'],
  Size: [0x08, 0x04, 'u16'],
  MdlFlags: [0x0a, 0x06, 'u16'],
  Process: [0x10, 0x08, 'pointer'],
  MappedSystemVa: [0x18, 0x0c, 'pointer'],
  StartVa: [0x20, 0x10, 'pointer'],
  ByteCount: [0x28, 0x14, 'u32'],
  ByteOffset: [0x2c, 0x18, 'u32'],
});

export const KMUTANT = layout('KMUTANT', [0x38, 0x20], {
  Header: [0x00, 0x00, 'structure'],
  MutantListEntry: [0x18, 0x10, 'structure'],
  OwnerThread: [0x28, 0x18, 'pointer'],
  Abandoned: [0x30, 0x1c, 'u8'],
  ApcDisable: [0x31, 0x1d, 'u8'],
});

export const KSEMAPHORE = layout('KSEMAPHORE', [0x20, 0x14], {
  Header: [0x00, 0x00, 'structure'],
  Limit: [0x18, 0x10, 'u32'],
});

export const FAST_MUTEX = layout('FAST_MUTEX', [0x38, 0x20], {
  Count: [0x00, 0x00, 'u32'],
  Owner: [0x08, 0x04, 'pointer'],
  Contention: [0x10, 0x08, 'u32'],
  Event: [0x18, 0x0c, 'structure'],
  OldIrql: [0x30, 0x1c, 'u32'],
});

export const ERESOURCE = layout('ERESOURCE', [0x68, 0x38], {
  SystemResourcesList: [0x00, 0x00, 'structure'],
  OwnerTable: [0x10, 0x08, 'pointer'],
  ActiveCount: [0x18, 0x0c, 'u16'],
  Flag: [0x1a, 0x0e, 'u16'],
  OwnerEntry: [0x30, 0x18, 'structure'],
  ActiveEntries: [0x40, 0x20, 'u32'],
  ContentionCount: [0x44, 0x24, 'u32'],
  NumberOfSharedWaiters: [0x48, 0x28, 'u32'],
  NumberOfExclusiveWaiters: [0x4c, 0x2c, 'u32'],
});

/** The head of NPAGED_LOOKASIDE_LIST and PAGED_LOOKASIDE_LIST. */
export const GENERAL_LOOKASIDE = layout('GENERAL_LOOKASIDE', [0x80, 0x48], {
  ListHead: [0x00, 0x00, 'structure'],
  Depth: [0x10, 0x08, 'u16'],
  MaximumDepth: [0x12, 0x0a, 'u16'],
  TotalAllocates: [0x14, 0x0c, 'u32'],
  AllocateMisses: [0x18, 0x10, 'u32'],
  TotalFrees: [0x1c, 0x14, 'u32'],
  FreeMisses: [0x20, 0x18, 'u32'],
  Type: [0x24, 0x1c, 'u32'],
  Tag: [0x28, 0x20, 'u32'],
  Size: [0x2c, 0x24, 'u32'],
  AllocateEx: [0x30, 0x28, 'pointer'],
  FreeEx: [0x38, 0x2c, 'pointer'],
});

export const WORK_QUEUE_ITEM = layout('WORK_QUEUE_ITEM', [0x20, 0x10], {
  List: [0x00, 0x00, 'structure'],
  WorkerRoutine: [0x10, 0x08, 'pointer'],
  Parameter: [0x18, 0x0c, 'pointer'],
});

export const OBJECT_ATTRIBUTES = layout('OBJECT_ATTRIBUTES', [0x30, 0x18], {
  Length: [0x00, 0x00, 'u32'],
  RootDirectory: [0x08, 0x04, 'pointer'],
  ObjectName: [0x10, 0x08, 'pointer'],
  Attributes: [0x18, 0x0c, 'u32'],
  SecurityDescriptor: [0x20, 0x10, 'pointer'],
  SecurityQualityOfService: [0x28, 0x14, 'pointer'],
});

export const UNICODE_STRING = layout('UNICODE_STRING', [0x10, 0x08], {
  Length: [0x00, 0x00, 'u16'],
  MaximumLength: [0x02, 0x02, 'u16'],
  Buffer: [0x08, 0x04, 'pointer'],
});

export const IO_STATUS_BLOCK = layout('IO_STATUS_BLOCK', [0x10, 0x08], {
  Status: [0x00, 0x00, 'u32'],
  Information: [0x08, 0x04, 'pointer'],
});

export const IO_SECURITY_CONTEXT = layout('IO_SECURITY_CONTEXT', [0x18, 0x10], {
  SecurityQos: [0x00, 0x00, 'pointer'],
  AccessState: [0x08, 0x04, 'pointer'],
  DesiredAccess: [0x10, 0x08, 'u32'],
  FullCreateOptions: [0x14, 0x0c, 'u32'],
});

export const KEVENT = layout('KEVENT', [0x18, 0x10], {
  'Header.Type': [0x00, 0x00, 'u8'],
  'Header.SignalState': [0x04, 0x04, 'u32'],
  'Header.WaitListHead': [0x08, 0x08, 'structure'],
});

export const IO_REMOVE_LOCK = layout('IO_REMOVE_LOCK', [0x20, 0x18], {
  'Common.Removed': [0x00, 0x00, 'u8'],
  'Common.IoCount': [0x04, 0x04, 'u32'],
  'Common.RemoveEvent': [0x08, 0x08, 'structure'],
});

/** Every layout that is checked against the headers of a driver kit. */
export const LAYOUTS = [
  DRIVER_OBJECT,
  DRIVER_EXTENSION,
  DEVICE_OBJECT,
  FILE_OBJECT,
  IRP,
  IO_STACK_LOCATION,
  MDL,
  KMUTANT,
  KSEMAPHORE,
  FAST_MUTEX,
  ERESOURCE,
  GENERAL_LOOKASIDE,
  WORK_QUEUE_ITEM,
  OBJECT_ATTRIBUTES,
  UNICODE_STRING,
  IO_STATUS_BLOCK,
  IO_SECURITY_CONTEXT,
  KEVENT,
  IO_REMOVE_LOCK,
] as const;
