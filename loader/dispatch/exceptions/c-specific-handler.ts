import type { ArchitectureName } from '../../../cpu/index.js';
import { CONTEXT_SET, type GuestCall, type GuestProcedure, takeStack } from '../../threads/index.js';
import type { ServiceCall } from '../service-call.js';
import { DISPOSITION, EXCEPTION_EXIT_UNWIND, EXCEPTION_TARGET_UNWIND, EXCEPTION_UNWINDING } from './codes.js';
import { DISPATCHER_CONTEXT, NON_VOLATILE_INTEGERS } from './guest-frame.js';
import { unwindByTables } from './table-dispatch.js';

/** SCOPE_TABLE_AMD64 and SCOPE_TABLE_ARM64 (winnt.h): RVAs. JumpTarget 0 is a __finally, HandlerAddress 1 catches everything. */
interface Scope {
  readonly beginAddress: number;
  readonly endAddress: number;
  readonly handlerAddress: number;
  readonly jumpTarget: number;
}

const EXECUTE_HANDLER = 1;
/** A call's return address lies behind it: on ARM64 the scope is that of the instruction before (ControlPcIsUnwound). */
const ARM64_INSTRUCTION = 4;

/** `__C_specific_handler(ExceptionRecord, EstablisherFrame, ContextRecord, DispatcherContext)` of x64 and ARM64 code. */
export function* cSpecificHandler(call: ServiceCall): GuestProcedure {
  const { thread } = call;
  const { memory: space } = thread;
  const [record, establisherFrame, context, dispatcher] = [0, 1, 2, 3].map((index) =>
    call.argument(index),
  ) as [bigint, bigint, bigint, bigint];
  const field = (offset: bigint) => space.readU64(dispatcher + offset);
  const imageBase = field(DISPATCHER_CONTEXT.imageBase);
  const { pointer, registers, behindCall } = FRAMES[thread.architecture.name](
    call,
    dispatcher,
    establisherFrame,
  );
  const pc = Number(field(DISPATCHER_CONTEXT.controlPc) - imageBase) - behindCall;
  const scopes = readScopes(call, field(DISPATCHER_CONTEXT.handlerData));
  const first = space.readU32(dispatcher + DISPATCHER_CONTEXT.scopeIndex);
  const flags = space.readU32(record + 4n);

  if ((flags & (EXCEPTION_UNWINDING | EXCEPTION_EXIT_UNWIND)) !== 0) {
    const target = Number(field(DISPATCHER_CONTEXT.targetIp) - imageBase);
    const isTarget = (flags & EXCEPTION_TARGET_UNWIND) !== 0;
    for (const [index, scope] of scopes.entries()) {
      if (index < first || !covers(scope, pc)) continue;
      if (isTarget && (scope.jumpTarget === target || sameScopeHolds(scopes, scope, target))) break;
      if (scope.jumpTarget !== 0) continue;
      space.writeU32(dispatcher + DISPATCHER_CONTEXT.scopeIndex, index + 1);
      yield {
        target: imageBase + BigInt(scope.handlerAddress),
        arguments: [1n, pointer],
        registers,
      };
    }
    return DISPOSITION.continueSearch;
  }

  const pointers = takeStack(thread, 16);
  if (pointers === undefined) return DISPOSITION.continueSearch;
  space.writeU64(pointers, record);
  space.writeU64(pointers + 8n, context);
  for (const [index, scope] of scopes.entries()) {
    if (index < first || !covers(scope, pc) || scope.jumpTarget === 0) continue;
    const filter: GuestCall = {
      target: imageBase + BigInt(scope.handlerAddress),
      arguments: [pointers, pointer],
      registers,
    };
    const verdict = scope.handlerAddress === EXECUTE_HANDLER ? 1 : Number(BigInt.asIntN(32, yield filter));
    if (verdict < 0) return DISPOSITION.continueExecution;
    if (verdict === 0) continue;
    const request = {
      targetFrame: establisherFrame,
      targetIp: imageBase + BigInt(scope.jumpTarget),
      record,
      returnValue: BigInt(space.readU32(record)),
      context,
    };
    if (yield* unwindByTables(thread, request)) return CONTEXT_SET;
    return DISPOSITION.continueSearch;
  }
  return DISPOSITION.continueSearch;
}

/** What filters and termination handlers get of the function that they are of. */
interface HandlerFrame {
  readonly pointer: bigint;
  readonly registers: readonly (readonly [name: string, value: bigint])[];
  /** Bytes by which the dispatcher's place lies behind the call that the frame is in. */
  readonly behindCall: number;
}
type FrameOf = (call: ServiceCall, dispatcher: bigint, establisherFrame: bigint) => HandlerFrame;

const establisher: FrameOf = (_call, _dispatcher, pointer) => ({ pointer, registers: [], behindCall: 0 });

const FRAMES: Readonly<Record<ArchitectureName, FrameOf>> = {
  x64: establisher,
  x86: establisher,
  arm64: armFrame,
};

/** The preserved registers of the function, and its frame pointer as x1. */
function armFrame({ thread }: ServiceCall, dispatcher: bigint): HandlerFrame {
  const { memory: space } = thread;
  const isUnwound = space.readU8(dispatcher + DISPATCHER_CONTEXT.controlPcIsUnwound) !== 0;
  const at = space.readU64(dispatcher + DISPATCHER_CONTEXT.nonVolatileRegisters);
  const registers = NON_VOLATILE_INTEGERS.map(
    (name, index) => [name, space.readU64(at + BigInt(8 * index))] as const,
  );
  return {
    pointer: registers.at(-1)?.[1] ?? 0n,
    registers,
    behindCall: isUnwound ? ARM64_INSTRUCTION : 0,
  };
}

function readScopes({ thread }: ServiceCall, table: bigint): Scope[] {
  const { memory: space } = thread;
  const count = space.readU32(table);
  return Array.from({ length: Math.min(count, 0x10000) }, (_, index) => {
    const at = table + 4n + BigInt(16 * index);
    return {
      beginAddress: space.readU32(at),
      endAddress: space.readU32(at + 4n),
      handlerAddress: space.readU32(at + 8n),
      jumpTarget: space.readU32(at + 12n),
    };
  });
}

const covers = ({ beginAddress, endAddress }: Scope, rva: number): boolean =>
  rva >= beginAddress && rva < endAddress;

/** Does the place that the unwind goes to lie within the same __try? Then its __finally must not run. */
function sameScopeHolds(scopes: readonly Scope[], scope: Scope, target: number): boolean {
  return scopes.some(
    (other) =>
      covers(other, target) &&
      other.jumpTarget === scope.jumpTarget &&
      other.handlerAddress === scope.handlerAddress,
  );
}
