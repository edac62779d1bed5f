import type { ArchitectureName } from '../../../cpu/index.js';
import { FUNCTION_TABLE_ENTRY_SIZE } from '../../../image/index.js';
import { writePointer } from '../../memory/index.js';
import {
  type ExceptionDetails,
  type FrameRegisters,
  processorOf,
  type Thread,
  takeStack,
} from '../../threads/index.js';
import type { FrameHandler } from '../unwinder.js';
import { captureContext, contextSize, recordSize, writeContext, writeExceptionRecord } from './context.js';

/** Has DISPATCHER_CONTEXT the fields ControlPcIsUnwound and NonVolatileRegisters (winnt.h)? */
const TELLS_OF_UNWOUND_FRAMES: Readonly<Record<ArchitectureName, boolean>> = {
  x64: false,
  x86: false,
  arm64: true,
};

/** What the dispatcher puts on the thread's stack for handlers to read and change. */
export interface GuestExceptionFrame {
  readonly record: bigint;
  readonly context: bigint;
  /** EXCEPTION_POINTERS { EXCEPTION_RECORD*, CONTEXT* } */
  readonly pointers: bigint;
  readonly area: HandlerArea;
}

/** DISPATCHER_CONTEXT of one handler call, the CONTEXT that it points to, and the preserved registers of the frame. */
export interface HandlerArea {
  readonly dispatcherContext: bigint;
  readonly context: bigint;
  readonly nonVolatileRegisters: bigint;
}

/** DISPATCHER_CONTEXT (winnt.h); x64 ends before ControlPcIsUnwound. */
export const DISPATCHER_CONTEXT = {
  controlPc: 0n,
  imageBase: 8n,
  functionEntry: 0x10n,
  establisherFrame: 0x18n,
  targetIp: 0x20n,
  contextRecord: 0x28n,
  languageHandler: 0x30n,
  handlerData: 0x38n,
  scopeIndex: 0x48n,
  controlPcIsUnwound: 0x4cn,
  nonVolatileRegisters: 0x50n,
} as const;
const DISPATCHER_CONTEXT_SIZE = 0x60;

/** DISPATCHER_CONTEXT_NONVOLREG_ARM64 (winnt.h): x19 to x28 and the frame pointer, then d8 to d15. */
const NON_VOLATILE = [
  ...Array.from({ length: 11 }, (_, index) => `x${19 + index}`),
  ...Array.from({ length: 8 }, (_, index) => `d${8 + index}`),
];
export const NON_VOLATILE_INTEGERS = NON_VOLATILE.slice(0, 11);

/** Room for {@link HandlerArea}; undefined when the stack is full. */
export function takeHandlerArea(thread: Thread): HandlerArea | undefined {
  const nonVolatileRegisters = takeStack(thread, NON_VOLATILE.length * 8);
  const context = takeStack(thread, contextSize(thread.architecture.name));
  const dispatcherContext = takeStack(thread, DISPATCHER_CONTEXT_SIZE);
  if (nonVolatileRegisters === undefined || context === undefined || dispatcherContext === undefined)
    return undefined;
  return { dispatcherContext, context, nonVolatileRegisters };
}

/** Writes record and context of an exception below what the thread uses of its stack; undefined when that is full. */
export function writeGuestFrame(
  thread: Thread,
  exception: ExceptionDetails,
  registers?: FrameRegisters,
): GuestExceptionFrame | undefined {
  const { architecture, memory } = thread;
  const { name, pointerSize } = architecture;
  const record = takeStack(thread, recordSize(pointerSize));
  const context = takeStack(thread, contextSize(name));
  const pointers = takeStack(thread, 2 * pointerSize);
  const area = takeHandlerArea(thread);
  if (record === undefined || context === undefined || pointers === undefined || area === undefined)
    return undefined;
  writeExceptionRecord(memory, pointerSize, record, exception);
  memory.write(context, new Uint8Array(contextSize(name)));
  writeContext(memory, name, context, registers ?? captureContext(processorOf(thread), name));
  writePointer(memory, pointers, record, pointerSize);
  writePointer(memory, pointers + BigInt(pointerSize), context, pointerSize);
  return { record, context, pointers, area };
}

export interface HandlerCall {
  readonly controlPc: bigint;
  /** The frame is in a call, its program counter is a return address. */
  readonly unwoundToCall: boolean;
  readonly handler: FrameHandler;
  readonly registers: FrameRegisters;
  readonly targetIp: bigint;
  readonly scopeIndex: number;
}

/** Fills a {@link HandlerArea} in for one frame. */
export function describeFrame(
  thread: Thread,
  area: HandlerArea,
  originalContext: bigint,
  call: HandlerCall,
): void {
  const { memory: space, architecture } = thread;
  const { handler, registers } = call;
  space.write(area.context, space.read(originalContext, contextSize(architecture.name)));
  writeContext(space, architecture.name, area.context, registers);
  const at = (offset: bigint) => area.dispatcherContext + offset;
  const { image } = handler;
  const directory = image.image.directory('exception');
  space.write(area.dispatcherContext, new Uint8Array(DISPATCHER_CONTEXT_SIZE));
  space.writeU64(at(DISPATCHER_CONTEXT.controlPc), call.controlPc);
  space.writeU64(at(DISPATCHER_CONTEXT.imageBase), image.dllBase);
  if (directory !== undefined) {
    const index = image.image.functionTable.findIndex(
      ({ beginAddress }) => beginAddress === handler.beginAddress,
    );
    const size = FUNCTION_TABLE_ENTRY_SIZE[architecture.name];
    space.writeU64(
      at(DISPATCHER_CONTEXT.functionEntry),
      image.address(directory.virtualAddress + size * index),
    );
  }
  space.writeU64(at(DISPATCHER_CONTEXT.establisherFrame), handler.establisherFrame);
  space.writeU64(at(DISPATCHER_CONTEXT.targetIp), call.targetIp);
  space.writeU64(at(DISPATCHER_CONTEXT.contextRecord), area.context);
  space.writeU64(at(DISPATCHER_CONTEXT.languageHandler), handler.handler);
  space.writeU64(at(DISPATCHER_CONTEXT.handlerData), handler.handlerData);
  space.writeU32(at(DISPATCHER_CONTEXT.scopeIndex), call.scopeIndex);
  if (!TELLS_OF_UNWOUND_FRAMES[architecture.name]) return;
  space.writeU8(at(DISPATCHER_CONTEXT.controlPcIsUnwound), call.unwoundToCall ? 1 : 0);
  space.writeU64(at(DISPATCHER_CONTEXT.nonVolatileRegisters), area.nonVolatileRegisters);
  NON_VOLATILE.forEach((name, index) => {
    space.writeU64(area.nonVolatileRegisters + BigInt(8 * index), registers.get(name) ?? 0n);
  });
}
