/** Values of wdm.h and ntddk.h. */
export const IO_TYPE = { device: 3, driver: 4, file: 5, irp: 6 } as const;

export const IRP_MJ = {
  CREATE: 0x00,
  CLOSE: 0x02,
  READ: 0x03,
  WRITE: 0x04,
  DEVICE_CONTROL: 0x0e,
  INTERNAL_DEVICE_CONTROL: 0x0f,
  SHUTDOWN: 0x10,
  CLEANUP: 0x12,
  MAXIMUM: 0x1b,
} as const;

export const METHOD = { BUFFERED: 0, IN_DIRECT: 1, OUT_DIRECT: 2, NEITHER: 3 } as const;

/** IRP.Flags */
export const IRP_FLAGS = {
  SYNCHRONOUS_API: 0x4,
  CREATE_OPERATION: 0x80,
  READ_OPERATION: 0x100,
  WRITE_OPERATION: 0x200,
  CLOSE_OPERATION: 0x400,
  BUFFERED_IO: 0x10,
  DEALLOCATE_BUFFER: 0x20,
  INPUT_OPERATION: 0x40,
} as const;

/** IO_STACK_LOCATION.Control */
export const SL = {
  PENDING_RETURNED: 0x01,
  INVOKE_ON_CANCEL: 0x20,
  INVOKE_ON_SUCCESS: 0x40,
  INVOKE_ON_ERROR: 0x80,
} as const;

/** DEVICE_OBJECT.Flags */
export const DO = {
  EXCLUSIVE: 0x8,
  BUFFERED_IO: 0x4,
  DIRECT_IO: 0x10,
  DEVICE_INITIALIZING: 0x80,
  DEVICE_HAS_NAME: 0x40,
} as const;

/** FILE_OBJECT.Flags */
export const FO = {
  FILE_OPEN: 0x1,
  SYNCHRONOUS_IO: 0x2,
  ALERTABLE_IO: 0x4,
  CLEANUP_COMPLETE: 0x4000,
  HANDLE_CREATED: 0x4_0000,
} as const;

export const MDL_FLAGS = {
  MAPPED_TO_SYSTEM_VA: 0x0001,
  PAGES_LOCKED: 0x0002,
  SOURCE_IS_NONPAGED_POOL: 0x0004,
  WRITE_OPERATION: 0x0080,
} as const;

/** NTSTATUS values of ntstatus.h that the I/O manager returns. */
export const STATUS = {
  SUCCESS: 0,
  PENDING: 0x0000_0103,
  OBJECT_NAME_EXISTS: 0x4000_0000,
  BUFFER_OVERFLOW: 0x8000_0005,
  NO_MORE_ENTRIES: 0x8000_001a,
  UNSUCCESSFUL: 0xc000_0001,
  INFO_LENGTH_MISMATCH: 0xc000_0004,
  ACCESS_VIOLATION: 0xc000_0005,
  INVALID_HANDLE: 0xc000_0008,
  INVALID_PARAMETER: 0xc000_000d,
  NO_SUCH_DEVICE: 0xc000_000e,
  INVALID_DEVICE_REQUEST: 0xc000_0010,
  MORE_PROCESSING_REQUIRED: 0xc000_0016,
  ACCESS_DENIED: 0xc000_0022,
  BUFFER_TOO_SMALL: 0xc000_0023,
  OBJECT_TYPE_MISMATCH: 0xc000_0024,
  OBJECT_NAME_INVALID: 0xc000_0033,
  OBJECT_NAME_NOT_FOUND: 0xc000_0034,
  OBJECT_NAME_COLLISION: 0xc000_0035,
  OBJECT_PATH_INVALID: 0xc000_0039,
  OBJECT_PATH_NOT_FOUND: 0xc000_003a,
  OBJECT_PATH_SYNTAX_BAD: 0xc000_003b,
  DELETE_PENDING: 0xc000_0056,
  INSUFFICIENT_RESOURCES: 0xc000_009a,
  NOT_SUPPORTED: 0xc000_00bb,
  CANCELLED: 0xc000_0120,
  NOT_FOUND: 0xc000_0225,
} as const;

export const isError = (status: number): boolean => status >>> 30 === 3;
export const isSuccess = (status: number): boolean => status >>> 31 === 0;

/** Pool tags as Windows' own (pooltag.txt): `Irp `, `IoSB`… read from left to right. */
export function poolTag(text: string): number {
  return Buffer.from(text.padEnd(4).slice(0, 4), 'latin1').readUInt32LE();
}
