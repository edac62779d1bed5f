import { blocked, IRQL } from '../common/index.js';
import { type ServiceCall, type SimulatedExport, stopSystem } from '../dispatch/index.js';
import {
  allocateIrp,
  CLOSE_FILE,
  cancelArguments,
  DELETE_FILE,
  DeviceFile,
  freeIrp,
  INVALID_REQUEST,
  type IoWorld,
  IRP_FLAGS,
  IRP_MJ,
  initializeIrp,
  irpAt,
  METHOD,
  markCancelled,
  nextLocation,
  STATUS,
  type Stop,
} from '../io/index.js';
import {
  CONTEXT_SET,
  changeThread,
  type GuestCall,
  type GuestProcedure,
  type ServiceResult,
} from '../threads/index.js';
import { defineExport } from './simulated-export.js';

/** Where the objects of the calling driver are. */
export const worldOf = ({ kernel, domain }: ServiceCall): IoWorld => kernel.io.world(domain);

/** The id of the thread whose arena a request's memory is in. */
export const clientOf = ({ kernel, thread }: ServiceCall): number => kernel.io.client(thread).id;

/** The system stops in the calling thread. */
export function stopIn({ kernel, thread }: ServiceCall, stop: Stop): typeof CONTEXT_SET {
  stopSystem(kernel, thread, kernel.io.bugCheck(stop), stop.text);
  return CONTEXT_SET;
}

/** Runs a procedure that has often nothing to call: only then the thread is interrupted. */
export function whenNeeded(procedure: GuestProcedure): ServiceResult {
  const first = procedure.next(0n);
  return first.done === true ? first.value : rest(first.value, procedure);
}

function* rest(first: GuestCall, procedure: GuestProcedure): GuestProcedure {
  let result = yield first;
  for (;;) {
    const step = procedure.next(result);
    if (step.done === true) return step.value;
    result = yield step.value;
  }
}

function completeRequest(call: ServiceCall, irp: bigint): ServiceResult {
  return whenNeeded(call.kernel.io.complete(worldOf(call), irp, (stop) => stopIn(call, stop)));
}

/**
 * IofCallDriver, which is fastcall, goes to the dispatch routine as a jump does: the arguments are the same, and it returns to the caller. Where
 * conventions differ they come in registers and go on the stack.
 */
function callDriver(call: ServiceCall, device: bigint, address: bigint): ServiceResult {
  const { kernel, processor, memory, thread } = call;
  const world = worldOf(call);
  const target = kernel.io.dispatchRoutine(world, world.devices.device(device), irpAt(world, address));
  if (typeof target !== 'bigint') return stopIn(call, target);
  if (thread.architecture.distinguishesConventions) {
    const returnAddress = memory.readU32(processor.sp);
    const sp = processor.sp - 8n;
    memory.writeU32(sp, returnAddress);
    memory.writeU32(sp + 4n, Number(device));
    memory.writeU32(sp + 8n, Number(address));
    processor.sp = sp;
  }
  processor.pc = target;
  return CONTEXT_SET;
}

function acquireCancelLock(call: ServiceCall, irqlAt: bigint): ServiceResult {
  const { cancelSpinLock, memory } = worldOf(call);
  return blocked({
    reason: 'the cancel spin lock',
    inMemory: true,
    ready: () => {
      if (memory.readU32(cancelSpinLock) !== 0) return undefined;
      memory.writeU32(cancelSpinLock, 1);
      call.memory.writeU8(irqlAt, call.thread.irql);
      changeThread(call.thread, { irql: Math.max(call.thread.irql, IRQL.DISPATCH_LEVEL) });
      return 0n;
    },
  });
}

function* cancelIrp(call: ServiceCall, address: bigint): GuestProcedure {
  const world = worldOf(call);
  const irp = irpAt(world, address);
  const target = markCancelled(irp);
  if (target === 0n) return 0;
  const { thread } = call;
  world.memory.writeU32(world.cancelSpinLock, 1);
  const given = cancelArguments(world, irp, thread.irql);
  changeThread(thread, { irql: Math.max(thread.irql, IRQL.DISPATCH_LEVEL) });
  yield { target, arguments: given };
  return 1;
}

/** Devices and names. */
function deviceExports(): SimulatedExport[] {
  const link = (name: string) =>
    defineExport(name, ['ustring', 'ustring'], (call, source, target) => {
      const status = worldOf(call).devices.names.addLink(source, target);
      if (status === STATUS.SUCCESS)
        call.kernel.events.emit({
          kind: 'symbolicLinkCreated',
          text: `symbolic link ${source} leads to ${target}`,
        });
      return status;
    });
  return [
    defineExport(
      'IoCreateDevice',
      ['pointer', 'u32', 'pointer', 'u32', 'u32', 'u32', 'pointer'],
      (call, driver, extensionSize, name, type, characteristics, exclusive, result) => {
        call.memory.probe(result, call.pointerSize, 'write');
        const { status, device } = worldOf(call).devices.create({
          driver,
          extensionSize,
          name: name === 0n ? '' : call.memory.readUnicodeString(name),
          type,
          characteristics,
          exclusive: (exclusive & 0xff) !== 0,
        });
        if (status === STATUS.SUCCESS) call.memory.writePointer(result, device);
        return status;
      },
    ),
    defineExport('IoDeleteDevice', ['pointer'], (call, device) => worldOf(call).devices.delete(device)),
    link('IoCreateSymbolicLink'),
    link('IoCreateUnprotectedSymbolicLink'),
    defineExport('IoDeleteSymbolicLink', ['ustring'], (call, name) =>
      worldOf(call).devices.names.removeLink(name),
    ),
    defineExport('IoAttachDeviceToDeviceStack', ['pointer', 'pointer'], (call, source, target) =>
      worldOf(call).devices.attach(source, target),
    ),
    defineExport(
      'IoAttachDeviceToDeviceStackSafe',
      ['pointer', 'pointer', 'pointer'],
      (call, source, target, result) => {
        call.memory.writePointer(result, worldOf(call).devices.attach(source, target));
        return STATUS.SUCCESS;
      },
    ),
    defineExport('IoAttachDevice', ['pointer', 'ustring', 'pointer'], (call, source, name, result) => {
      const { devices } = worldOf(call);
      const found = devices.names.resolve(name);
      if (typeof found === 'number') return found;
      call.memory.writePointer(result, devices.attach(source, found.device));
      return STATUS.SUCCESS;
    }),
    defineExport('IoDetachDevice', ['pointer'], (call, below) =>
      worldOf(call).devices.device(below).set('AttachedDevice', 0n),
    ),
    defineExport(
      'IoGetAttachedDevice',
      ['pointer'],
      (call, device) => worldOf(call).devices.top(device).address,
    ),
    defineExport('IoGetAttachedDeviceReference', ['pointer'], (call, device) => {
      const world = worldOf(call);
      const top = world.devices.top(device).address;
      world.addReferences(top, 1);
      return top;
    }),
    // The file object is that of a handle which the caller then need not have: here there is none behind it (modelled).
    defineExport(
      'IoGetDeviceObjectPointer',
      ['ustring', 'u32', 'pointer', 'pointer'],
      (call, name, _access, fileAt, deviceAt) => {
        const world = worldOf(call);
        const found = world.devices.names.resolve(name);
        if (typeof found === 'number') return found;
        const top = world.devices.top(found.device).address;
        world.addReferences(top, 1);
        call.memory.writePointer(fileAt, top);
        call.memory.writePointer(deviceAt, top);
        return STATUS.SUCCESS;
      },
    ),
  ];
}

/** A request that a driver makes for the current thread: it waits for `event` itself. */
function buildControl(
  call: ServiceCall,
  request: {
    code: number;
    device: bigint;
    input: bigint;
    inputLength: number;
    output: bigint;
    outputLength: number;
    internal: number;
    event: bigint;
    statusBlock: bigint;
  },
): bigint {
  const world = worldOf(call);
  const irp = allocateIrp(world, world.devices.device(request.device).get('StackSize'), clientOf(call));
  if (irp === undefined) return 0n;
  const location = nextLocation(world, irp);
  location.set(
    'MajorFunction',
    (request.internal & 0xff) === 0 ? IRP_MJ.DEVICE_CONTROL : IRP_MJ.INTERNAL_DEVICE_CONTROL,
  );
  location.set('Parameters.DeviceIoControl.OutputBufferLength', request.outputLength);
  location.set('Parameters.DeviceIoControl.InputBufferLength', request.inputLength);
  location.set('Parameters.DeviceIoControl.IoControlCode', request.code);
  irp.set('UserEvent', request.event);
  irp.set('UserIosb', request.statusBlock);
  irp.set('Tail.Overlay.Thread', call.kernel.io.threadObject(world, call.thread));
  const { requests } = call.kernel.io.files;
  const status = requests.guarded(world, irp, () =>
    requests.attachBuffers(call, world, irp, location, {
      method: request.code & METHOD.NEITHER,
      input: { address: request.input, length: request.inputLength },
      output: { address: request.output, length: request.outputLength },
    }),
  );
  return status === STATUS.SUCCESS ? irp.address : 0n;
}

/** Requests on their way through drivers. */
function requestExports(): SimulatedExport[] {
  return [
    defineExport('IofCallDriver', ['pointer', 'pointer'], callDriver, 'fastcall'),
    defineExport('IofCompleteRequest', ['pointer', 'u32'], completeRequest, 'fastcall'),
    defineExport('IoCompleteRequest', ['pointer', 'u32'], completeRequest),
    defineExport(INVALID_REQUEST, ['pointer', 'pointer'], (call, _device, address) =>
      whenNeeded(refuse(call, address)),
    ),
    defineExport(DELETE_FILE, ['pointer'], (call, file) =>
      call.kernel.io.files.delete(call, new DeviceFile(worldOf(call), file, 0)),
    ),
    defineExport(CLOSE_FILE, ['pointer'], (call, file) =>
      call.kernel.io.files.closeAtEnd(call, new DeviceFile(worldOf(call), file, 0)),
    ),
    defineExport('IoAllocateIrp', ['u32', 'u32'], (call, stackSize) => {
      return allocateIrp(worldOf(call), stackSize & 0xff, clientOf(call))?.address ?? 0n;
    }),
    defineExport('IoInitializeIrp', ['pointer', 'u32', 'u32'], (call, irp, size, stackSize) =>
      initializeIrp(worldOf(call), irp, size & 0xffff, stackSize & 0xff),
    ),
    defineExport('IoReuseIrp', ['pointer', 'u32'], (call, address, status) => {
      const world = worldOf(call);
      const irp = irpAt(world, address);
      initializeIrp(world, address, irp.get('Size'), irp.get('StackCount'));
      irp.set('IoStatus.Status', status);
    }),
    defineExport('IoFreeIrp', ['pointer'], (call, irp) => freeIrp(worldOf(call), irp)),
    defineExport(
      'IoBuildDeviceIoControlRequest',
      ['u32', 'pointer', 'pointer', 'u32', 'pointer', 'u32', 'u32', 'pointer', 'pointer'],
      (call, code, device, input, inputLength, output, outputLength, internal, event, statusBlock) =>
        buildControl(call, {
          code,
          device,
          input,
          inputLength,
          output,
          outputLength,
          internal,
          event,
          statusBlock,
        }),
    ),
    defineExport('IoAcquireCancelSpinLock', ['pointer'], acquireCancelLock),
    defineExport('IoReleaseCancelSpinLock', ['u32'], (call, irql) => {
      const { memory, cancelSpinLock } = worldOf(call);
      memory.writeU32(cancelSpinLock, 0);
      changeThread(call.thread, { irql: irql & 0xff });
    }),
    defineExport('IoCancelIrp', ['pointer'], (call, irp) => whenNeeded(cancelIrp(call, irp))),
    defineExport('IoIs32bitProcess', ['pointer'], (call, address) => {
      const world = worldOf(call);
      const requestor = address === 0n ? undefined : call.kernel.io.requestorOf(world, irpAt(world, address));
      return (requestor?.process ?? call.process).wow64 ? 1 : 0;
    }),
    defineExport('IoGetRequestorProcess', ['pointer'], (call, address) => {
      const world = worldOf(call);
      const requestor = call.kernel.io.requestorOf(world, irpAt(world, address));
      return requestor === undefined ? 0n : world.objectFor('process', requestor.process.id);
    }),
    defineExport('IoGetRequestorProcessId', ['pointer'], (call, address) => {
      const world = worldOf(call);
      return call.kernel.io.requestorOf(world, irpAt(world, address))?.process.id ?? 0;
    }),
    ...['IoGetCurrentProcess', 'PsGetCurrentProcess'].map((name) =>
      defineExport(name, [], (call) => worldOf(call).objectFor('process', call.process.id)),
    ),
    ...['KeGetCurrentThread', 'PsGetCurrentThread'].map((name) =>
      defineExport(name, [], (call) => call.kernel.io.threadObject(worldOf(call), call.thread)),
    ),
    defineExport(
      'PsGetProcessId',
      ['pointer'],
      (call, process) => worldOf(call).idOf('process', process) ?? 0,
    ),
    defineExport('PsGetThreadId', ['pointer'], (call, thread) => worldOf(call).idOf('thread', thread) ?? 0),
    defineExport('ExGetPreviousMode', [], ({ thread }) => (thread.onBehalfOf?.mode === 'user' ? 1 : 0)),
  ];
}

function* refuse(call: ServiceCall, address: bigint): GuestProcedure {
  const world = worldOf(call);
  const irp = irpAt(world, address);
  // Closing is nothing that a driver could refuse.
  const isClosing = (irp.get('Flags') & IRP_FLAGS.CLOSE_OPERATION) !== 0;
  const status = isClosing ? STATUS.SUCCESS : STATUS.INVALID_DEVICE_REQUEST;
  irp.set('IoStatus.Status', status);
  irp.set('IoStatus.Information', 0n);
  yield* call.kernel.io.complete(world, address, (stop) => stopIn(call, stop));
  return status;
}

/** The I/O manager as drivers call it (wdm.h, ntddk.h). */
export function kernelIo(): SimulatedExport[] {
  return [...deviceExports(), ...requestExports()];
}
