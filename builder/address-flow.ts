import type { ImageArchitecture } from '../image/index.js';
import type { Reference } from './code-stream.js';
import type { CodeFunction, Place, Program } from './program.js';
import { conventionOf, registerFlow } from './register-flow.js';

/** A comparison of an address that code takes with a value that came from elsewhere. */
export interface AddressComparison {
  /** Offset of the comparison in the function. */
  readonly offset: number;
  /** The function or constant whose address is compared. */
  readonly target: number;
}

/** What becomes of the addresses that a function takes. */
export interface AddressFlow {
  readonly comparisons: readonly AddressComparison[];
  /** Addresses that are stored outside the stack, or returned. */
  readonly kept: ReadonlySet<number>;
  /** Addresses that are in a parameter register, or on the stack, when another function is called. */
  readonly passed: ReadonlySet<number>;
}

/** What a register holds: addresses that this function took, as they are or moved along. */
interface Held {
  readonly targets: ReadonlySet<number>;
  readonly isMoved: boolean;
}
type State = ReadonlyMap<string, Held>;

/**
 * Comparisons in which one side is the address of a function or constant, and the other came from elsewhere: from memory,
 * a parameter, a call. The end of a loop over a table of its own is none: both sides come from addresses it took.
 */
export function addressFlow(program: Program, code: CodeFunction): AddressFlow {
  const { steps } = registerFlow(program, code);
  const { results, parameters } = conventionOf(program);
  const found = new Map<string, AddressComparison>();
  const kept = new Set<number>();
  const passed = new Set<number>();
  const before: (State | undefined)[] = steps.map(() => undefined);
  const work: { index: number; state: State }[] = [{ index: 0, state: new Map() }];
  for (let item = work.pop(); item !== undefined; item = work.pop()) {
    const step = steps[item.index];
    if (step === undefined) continue;
    const known = before[item.index];
    const state = known === undefined ? item.state : merged(known, item.state);
    if (known !== undefined && isSame(known, state)) continue;
    before[item.index] = state;
    const taken = takenAddress(program, step);
    if (step.isComparison) {
      const bases = new Set(step.memory.map(({ base }) => base));
      const operands = step.reads.filter((name) => !bases.has(name));
      const held = operands.map((name) => state.get(name));
      const own = held.filter((entry) => entry !== undefined);
      const others = operands.length - own.length + step.memory.length + (step.comparesConstant ? 1 : 0);
      const targets = [
        ...(taken === undefined ? [] : [taken]),
        ...own.filter(({ isMoved }) => !isMoved).flatMap(({ targets: list }) => [...list]),
      ];
      const isAgainstOther = taken === undefined ? own.length > 0 && others > 0 : own.length === 0;
      // A null check compares with a constant: no address is asked for.
      if (isAgainstOther && (taken !== undefined || !step.comparesConstant))
        for (const target of targets)
          found.set(`${step.instruction.offset} ${target}`, { offset: step.instruction.offset, target });
    }
    for (const target of keptBy(step, state, taken, results)) kept.add(target);
    if (step.leaves === 'call' || (step.leaves === 'tail' && step.callee !== undefined))
      for (const name of parameters) for (const target of state.get(name)?.targets ?? []) passed.add(target);
    if (step.isPush || step.memory.some(({ isWritten, base }) => isWritten && OUTGOING.test(base)))
      for (const target of [...(taken === undefined ? [] : [taken]), ...heldBy(step, state)])
        passed.add(target);
    const after = new Map(state);
    // A conditional move leaves what was there.
    const sources = [...step.reads, ...step.changes].flatMap((name) => state.get(name) ?? []);
    if (step.leaves === 'call')
      for (const name of [...after.keys()]) if (!PRESERVED.test(name)) after.delete(name);
    for (const name of [...step.writes, ...step.changes]) {
      if (taken !== undefined) after.set(name, { targets: new Set([taken]), isMoved: false });
      else if (sources.length > 0 && step.memory.every(({ isRead }) => !isRead))
        after.set(name, {
          targets: new Set(sources.flatMap(({ targets }) => [...targets])),
          isMoved: !step.isMove || sources.some(({ isMoved }) => isMoved),
        });
      else after.delete(name);
    }
    for (const index of step.next) work.push({ index, state: after });
  }
  return { comparisons: [...found.values()], kept, passed };
}

/** Parameters on the stack: 32-bit code pushes them, or stores them above the stack pointer. */
const OUTGOING = /^(rsp|sp|x31)$/;

function heldBy({ reads, memory }: Step, state: State): number[] {
  const bases = new Set(memory.map(({ base }) => base));
  return reads.filter((name) => !bases.has(name)).flatMap((name) => [...(state.get(name)?.targets ?? [])]);
}

/** Addresses that an instruction stores outside the stack, or returns. */
function keptBy(step: Step, state: State, taken: number | undefined, results: readonly string[]): number[] {
  const of = (names: readonly string[]) => names.flatMap((name) => [...(state.get(name)?.targets ?? [])]);
  if (step.leaves === 'return') return of(results);
  const stores = step.memory.filter(({ isWritten, base }) => isWritten && !STACK.test(base));
  if (stores.length === 0 || step.leaves !== undefined) return [];
  const bases = new Set(step.memory.map(({ base }) => base));
  return [...(taken === undefined ? [] : [taken]), ...of(step.reads.filter((name) => !bases.has(name)))];
}

const STACK = /^(rsp|rbp|x29|sp|x31)$/;

/** Registers that a call leaves alone on x64, x86 and ARM64 Windows. */
const PRESERVED = /^(rbx|rbp|rsi|rdi|r1[2-5]|x19|x2[0-8])$/;

type Step = ReturnType<typeof registerFlow>['steps'][number];

/** The place whose address an instruction takes, as opposed to reading or writing what is there. */
function takenAddress(program: Program, { instruction, memory }: Step): number | undefined {
  const [reference, second] = instruction.references.filter(({ kind }) => kind === 'data');
  if (reference === undefined) return undefined;
  return TAKEN[program.image.architecture](instruction.bytes, memory, reference, second);
}

type Taken = (
  bytes: Uint8Array,
  memory: Step['memory'],
  first: Reference,
  second: Reference | undefined,
) => number | undefined;

const arm64Taken: Taken = (bytes, _memory, { target }) =>
  isArm64Add(bytes) || isArm64Address(bytes) ? target : undefined;

const x86Taken: Taken = (_bytes, memory, first, second) => {
  const isAccess = memory.some(
    ({ isRead, isWritten, base }) =>
      (isRead || isWritten) && (base === '' || base === 'rip' || base === 'none'),
  );
  // 32-bit code: the address of what is read or written, then a number that is an address too.
  return isAccess ? second?.target : first.target;
};

const TAKEN: Readonly<Record<ImageArchitecture, Taken>> = { x64: x86Taken, x86: x86Taken, arm64: arm64Taken };

function isArm64Add(bytes: Uint8Array): boolean {
  return bytes.length === 4 && (bytes[3] ?? 0) === 0x91;
}

/** ADR, and an ADRP that names a place by itself. */
function isArm64Address(bytes: Uint8Array): boolean {
  return bytes.length === 4 && ((bytes[3] ?? 0) & 0x1f) === 0x10;
}

function merged(a: State, b: State): State {
  const both = new Map<string, Held>();
  for (const [name, held] of a) {
    const other = b.get(name);
    if (other === undefined) continue;
    both.set(name, {
      targets: new Set([...held.targets, ...other.targets]),
      isMoved: held.isMoved || other.isMoved,
    });
  }
  return both;
}

function isSame(a: State, b: State): boolean {
  return (
    a.size === b.size &&
    [...a].every(([name, held]) => {
      const other = b.get(name);
      return (
        other !== undefined && other.isMoved === held.isMoved && other.targets.size === held.targets.size
      );
    })
  );
}

/** Something whose address the base may have kept: a function or a constant that it has too. */
export function hasIdentity(place: Place): boolean {
  return (
    (place.kind === 'function' && place.offset === 0) ||
    (place.kind === 'variable' && !place.variable.isMutable && place.offset === 0)
  );
}
