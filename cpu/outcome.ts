import { fetchOne } from './emulation/hooks.js';
import { isDivideOverflow, isPrivileged, isReadModifyWrite } from './emulation/x86-causes.js';
import { CpuError, hex } from './error.js';
import { arm64Exception, type Delivery, type ExitWithoutCount, x86Exception } from './exceptions.js';
import type { Fault } from './exit.js';
import type { Processor } from './processor.js';
import { PAGE_SHIFT } from './protection.js';
import type { Refusal } from './translator.js';
import type { Engine, EngineKind } from './unicorn/engine.js';
import { ABORTED } from './unicorn/guard.js';
import { ENDED, engineErrorName, isSysenter } from './unicorn/names.js';
import { clearPendingException } from './unicorn/pending-exception.js';

/** What a callback noted on why the engine is stopping. */
export type Stop =
  | { readonly kind: 'interrupt'; readonly vector: number }
  | { readonly kind: 'systemCall'; readonly instruction: number }
  | { readonly kind: 'breakpoint' }
  /** The next instruction is emulated, or has an effect on what the processor fetches. */
  | { readonly kind: 'held' }
  /** The next block holds instructions that are emulated and not hooked yet. */
  | { readonly kind: 'unhooked'; readonly resolve: () => void };

/** One stay in the engine, as it reports it. */
export interface Segment {
  /** The `uc_err`. */
  readonly code: number;
  /** Instructions begun, including one that faulted and one that the limit stopped. */
  readonly begun: number;
  /** Instructions completed, where the engine knows that. */
  readonly completed: number | undefined;
  /** The engine stopped between two blocks and could go on. */
  readonly isPaused: boolean;
  readonly limit: number;
  readonly stop: Stop | undefined;
  readonly refusal: Refusal | undefined;
  /** The only instruction that could be translated ({@link Engine.confineTranslation}). */
  readonly confined: Uint8Array | undefined;
}

/** `completed`: instructions of the segment. No exit: the run goes on, after `resolve`. */
export interface Outcome {
  readonly completed: number;
  readonly exit?: ExitWithoutCount;
  readonly resolve?: () => void;
  /** A block could not be translated; the program counter is at its beginning. */
  readonly aborted?: true;
}

const HLT = 0xf4;
const WFE = 0xd503205f;
const WFI = 0xd503207f;
const SYSCALL_LENGTH = 2n;

/** Turns what an engine reported into an exit of the run; `processor` stands where the engine left it. */
export function outcomeOf(segment: Segment, processor: Processor, engine: Engine): Outcome {
  const { code, begun, limit, stop, refusal } = segment;
  const before = segment.completed ?? begun - 1;
  if (code === ABORTED) return { completed: begun, aborted: true };
  if (code === ENDED.refused && refusal !== undefined) {
    const completed = refusal.access === 'execute' ? begun : before;
    if (refusal.kind === 'retry') {
      return refusal.resolve === undefined ? { completed } : { completed, resolve: refusal.resolve };
    }
    // Unicorn fetches the next instruction before it looks at the count.
    return completed < limit ? { completed, exit: refused(refusal, processor, engine) } : { completed };
  }
  if (code === ENDED.invalidInstruction) {
    const instruction = processor.pc;
    return {
      completed: before,
      exit: { reason: 'exception', name: 'invalidOpcode', vector: 6, instruction },
    };
  }
  if (code !== ENDED.done) {
    throw unexplained(processor, `with ${engineErrorName(code)}`);
  }
  if (stop === undefined) {
    if (segment.isPaused) return { completed: begun };
    if (begun > limit) return { completed: limit };
    if (segment.confined !== undefined && !isHalt(processor, segment.confined)) return { completed: begun };
    if (!isBehindHalt(processor)) {
      throw unexplained(processor, 'without a reason');
    }
    return { completed: begun, exit: { reason: 'halted' } };
  }
  switch (stop.kind) {
    case 'breakpoint':
      return { completed: before, exit: { reason: 'breakpoint', address: processor.pc } };
    case 'held':
      return { completed: before };
    case 'unhooked':
      return { completed: begun, resolve: stop.resolve };
    case 'systemCall': {
      const via = isSysenter(stop.instruction) ? 'sysenter' : 'syscall';
      const number = Number(processor.get('rax') & 0xffff_ffffn);
      return {
        completed: begun,
        exit: { reason: 'systemCall', number, instruction: processor.pc - SYSCALL_LENGTH, via },
      };
    }
    case 'interrupt': {
      const { exit, advanced } = exception(stop.vector, processor, engine);
      return { completed: segment.completed ?? (advanced ? begun : begun - 1), exit };
    }
  }
}

function refused(
  refusal: Exclude<Refusal, { kind: 'retry' }>,
  processor: Processor,
  engine: Engine,
): ExitWithoutCount {
  const { pc } = processor;
  if (refusal.kind !== 'fault') {
    return refusal.kind === 'returned' ? { reason: 'returned' } : { reason: 'serviceCall', address: pc };
  }
  const exact = refusal.access === 'execute' ? pc : engine.refusedAddress;
  // In 32-bit mode Unicorn asks for the page of a branch target with its sign in the upper half.
  const page = BigInt.asUintN(processor.bits, BigInt(refusal.page) << PAGE_SHIFT);
  const isExact = (exact >> PAGE_SHIFT) << PAGE_SHIFT === page;
  const isModified = refusal.access === 'read' && readsToModify(processor);
  const fault: Fault = {
    address: isExact ? exact : page,
    access: isModified ? 'write' : refusal.access,
    cause: refusal.cause,
    instruction: pc,
    processor: processor.index,
  };
  return { reason: 'fault', fault };
}

function exception(vector: number, processor: Processor, engine: Engine): Delivery {
  const moment = {
    space: processor.addressSpace,
    pc: processor.pc,
    register: (name: string) => processor.get(name),
  };
  return DELIVERIES[engine.kind](vector, moment, processor, engine);
}

/** Intel's processors ask for the right to write before they read; the syndrome of an A64 atomic says what it is by itself. */
const readsToModify = (processor: Processor): boolean =>
  READS_TO_MODIFY[processor.architecture.engine](processor);

const READS_TO_MODIFY: Readonly<Record<EngineKind, (processor: Processor) => boolean>> = {
  'x86-64': (processor) => isReadModifyWrite(processor, fetchOne(processor)),
  arm64: () => false,
};

type Moment = Omit<Parameters<typeof x86Exception>[1], 'isHardware'>;
type Deliver = (vector: number, moment: Moment, processor: Processor, engine: Engine) => Delivery;

const DELIVERIES: Readonly<Record<EngineKind, Deliver>> = {
  'x86-64': (vector, moment, processor, engine) =>
    withCause(x86Exception(vector, { ...moment, isHardware: clearPendingException(engine) }), processor),
  arm64: (vector, moment) => arm64Exception(vector, { ...moment, isHardware: false }),
};

/** What Windows finds out by looking at the instruction. */
function withCause(delivery: Delivery, processor: Processor): Delivery {
  const { exit, advanced } = delivery;
  if (exit.reason !== 'exception' || advanced) return delivery;
  if (exit.name === 'divideError' && isDivideOverflow(processor, fetchOne(processor))) {
    return { exit: { ...exit, name: 'divideOverflow' }, advanced };
  }
  if (exit.name === 'generalProtection') {
    return { exit: { ...exit, privileged: isPrivileged(processor, fetchOne(processor)) }, advanced };
  }
  return delivery;
}

/** Without prefixes: with one it is no HLT that anybody writes. */
const isHalt = (processor: Processor, instruction: Uint8Array): boolean =>
  HALTS[processor.architecture.engine](instruction);

const HALTS: Readonly<Record<EngineKind, (instruction: Uint8Array) => boolean>> = {
  'x86-64': ([opcode]) => opcode === HLT,
  arm64: (instruction) => [WFI, WFE].includes(Buffer.from(instruction).readUInt32LE(0)),
};

function isBehindHalt(processor: Processor): boolean {
  const { pc } = processor;
  const { minimumInstructionLength: length } = processor.architecture;
  return isHalt(processor, processor.fetchBytes(pc - BigInt(length), length));
}

function unexplained(processor: Processor, how: string): CpuError {
  const { index, pc } = processor;
  return new CpuError('unexplainedStop', `processor ${index} stopped at ${hex(pc)} ${how}`, {
    status: 'STATUS_INTERNAL_ERROR',
    address: pc,
  });
}
