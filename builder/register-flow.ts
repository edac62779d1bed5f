import { type ArchitectureName, partsOfRegister, type RegisterUse, registerUse } from '../cpu/index.js';
import type { CodeInstruction } from './code-stream.js';
import type { CodeFunction, Program } from './program.js';

/** The registers of a calling convention that callers and callees talk through. */
interface Convention {
  readonly parameters: readonly string[];
  /** Not preserved by a call, and not its result. */
  readonly clobbered: readonly string[];
  readonly results: readonly string[];
  /**
   * Bytes from the stack pointer at the entry to the first parameter on the stack: behind the return address, on x64 behind
   * the room for four register parameters too. Undefined where the stack is not looked at.
   */
  readonly stackParametersAt?: number;
  /** The name that the processor's manual gives a register. */
  manualName(register: string): string;
}

const range = (prefix: string, from: number, to: number) =>
  Array.from({ length: to - from + 1 }, (_, i) => `${prefix}${from + i}`);

/** Microsoft x64, ARM64 Windows; x86 with what fastcall and compilers for static functions use. */
const CONVENTIONS: Record<ArchitectureName, Convention> = {
  x64: {
    parameters: ['rcx', 'rdx', 'r8', 'r9', ...range('xmm', 0, 5)],
    clobbered: ['rcx', 'rdx', 'r8', 'r9', 'r10', 'r11', ...range('xmm', 1, 5)],
    results: ['rax', 'xmm0'],
    stackParametersAt: 40,
    manualName: (register) => register,
  },
  arm64: {
    parameters: [...range('x', 0, 8), ...range('v', 0, 7)],
    clobbered: [...range('x', 2, 17), ...range('v', 4, 7), ...range('v', 16, 31)],
    results: ['x0', 'v0'],
    manualName: (register) => register,
  },
  x86: {
    parameters: ['rcx', 'rdx'],
    clobbered: ['rcx', ...range('xmm', 0, 7)],
    results: ['rax'],
    stackParametersAt: 4,
    manualName: (register) => register.replace(/^r/, 'e'),
  },
};

export function conventionOf(program: Program): Convention {
  return CONVENTIONS[program.image.architecture];
}

interface Step extends RegisterUse {
  readonly instruction: CodeInstruction;
  /** Indices of what may run next in the same function. */
  readonly next: readonly number[];
  readonly leaves: 'call' | 'return' | 'tail' | undefined;
  /** Of a direct call or jump out of the function. */
  readonly callee: CodeFunction | undefined;
}

/** How registers flow through one function. */
export interface RegisterFlow {
  readonly steps: readonly Step[];
  /** Parameter registers that the function reads before it writes them. */
  readonly liveIn: ReadonlySet<string>;
  /** What of them it reads, as {@link liveBefore} has it. */
  readonly liveInParts: ReadonlySet<string>;
  /** Bytes above the return address that it reads: parameters on the stack (x64 and x86). */
  readonly stackParameters: ReadonlySet<number>;
  /** Are the result registers written on every way to a return? */
  readonly definesResult: boolean;
  /** Registers that it writes itself. */
  readonly written: ReadonlySet<string>;
  /** What it calls, as far as that is a function of the image. */
  readonly callees: ReadonlySet<CodeFunction>;
  /** Does it call what is not known: another image, or by a pointer? */
  readonly callsOthers: boolean;
}

const flows = new WeakMap<Program, Map<CodeFunction, RegisterFlow>>();
const NOTHING: RegisterFlow = {
  steps: [],
  liveIn: new Set(),
  liveInParts: new Set(),
  stackParameters: new Set(),
  definesResult: true,
  written: new Set(),
  callees: new Set(),
  callsOthers: false,
};

export function registerFlow(program: Program, code: CodeFunction): RegisterFlow {
  let known = flows.get(program);
  if (known === undefined) {
    known = new Map();
    flows.set(program, known);
  }
  const found = known.get(code);
  if (found !== undefined) return found;
  // A function that calls itself, directly or in a circle, reads of its own calls what it reads elsewhere.
  known.set(code, NOTHING);
  const flow = computeFlow(program, code);
  known.set(code, flow);
  return flow;
}

function computeFlow(program: Program, code: CodeFunction): RegisterFlow {
  const steps = stepsOf(program, code);
  const convention = conventionOf(program);
  const calleeReads = (step: Step) =>
    step.callee === undefined ? NO_REGISTERS : registerFlow(program, step.callee).liveInParts;
  const live = liveBefore(steps, calleeReads, new Set([...convention.clobbered, ...convention.results]));
  const first = live[0] ?? new Set<string>();
  return {
    steps,
    liveIn: new Set(convention.parameters.filter((name) => isLive(first, name))),
    liveInParts: new Set(
      convention.parameters.flatMap((name) => partsOfRegister(name).filter((part) => first.has(part))),
    ),
    stackParameters: stackReads(program, steps, convention.stackParametersAt),
    definesResult:
      convention.parameters.includes(convention.results[0] ?? '') || definesResult(steps, convention.results),
    written: new Set(steps.flatMap(({ writes, changes }) => [...writes, ...changes])),
    callees: new Set(steps.flatMap(({ callee }) => callee ?? [])),
    callsOthers: steps.some(({ leaves, callee }) => leaves !== undefined && leaves !== 'return' && !callee),
  };
}

/**
 * May a call of the function leave something else in a register that calling conventions let it change? Whatever is not
 * known may.
 */
export function mayChange(
  program: Program,
  code: CodeFunction,
  register: string,
  seen = new Set<CodeFunction>(),
): boolean {
  seen.add(code);
  const { written, callees, callsOthers } = registerFlow(program, code);
  return (
    callsOthers ||
    written.has(register) ||
    [...callees].some((callee) => !seen.has(callee) && mayChange(program, callee, register, seen))
  );
}

/** Is anything of a register in a set that {@link liveBefore} gives? */
export function isLive(live: ReadonlySet<string>, name: string): boolean {
  return partsOfRegister(name).some((part) => live.has(part));
}

const NO_REGISTERS: ReadonlySet<string> = new Set();

function stepsOf(program: Program, code: CodeFunction): Step[] {
  const { image } = program;
  const base = image.optionalHeader.imageBase;
  const bytes = image.read(code.rva, code.size);
  const { instructions } = program.stream(code);
  const byOffset = new Map(instructions.map(({ offset }, index) => [offset, index]));
  const reached = new Set<number>([0]);
  const steps = instructions.map((instruction, index): Step => {
    const { offset, length, flow, branch, references } = instruction;
    const target = branch === undefined ? undefined : byOffset.get(branch);
    const ends = ['jump', 'indirectJump', 'return', 'undefined', 'invalid'].includes(flow);
    const next = [
      ...(ends || index + 1 >= instructions.length || isBreak(flow) ? [] : [index + 1]),
      ...(target === undefined || flow === 'call' ? [] : [target]),
    ];
    for (const other of next) reached.add(other);
    const out = references.find(({ kind }) => kind !== 'data');
    const place = out === undefined ? undefined : program.place(out.target);
    const own = flow === 'call' && branch !== undefined ? code : undefined;
    const leaves =
      flow === 'call' || flow === 'indirectCall' || flow === 'systemCall'
        ? 'call'
        : flow === 'return'
          ? 'return'
          : (flow === 'jump' && branch === undefined) || flow === 'indirectJump'
            ? 'tail'
            : undefined;
    return {
      ...registerUse(
        image.architecture,
        bytes.subarray(offset, offset + length),
        base + BigInt(code.rva + offset),
      ),
      instruction,
      next,
      leaves,
      callee: place?.kind === 'function' && place.offset === 0 ? place.function : own,
    };
  });
  // What only an indirect jump reaches: the cases of a switch statement.
  const cases = steps.flatMap((_, index) => (reached.has(index) ? [] : [index]));
  return cases.length === 0
    ? steps
    : steps.map((step) =>
        step.instruction.flow === 'indirectJump' ? { ...step, next: [...step.next, ...cases] } : step,
      );
}

/** `int 3` and `brk` behind a call that does not come back. */
function isBreak(flow: CodeInstruction['flow']): boolean {
  return flow === 'interrupt';
}

/** For each instruction the parts of registers whose values are read after it begins. A call kills what it may change. */
export function liveBefore(
  steps: readonly Step[],
  calleeReads: (step: Step) => ReadonlySet<string>,
  killedByCalls: ReadonlySet<string>,
): readonly ReadonlySet<string>[] {
  const live: Set<string>[] = steps.map(() => new Set());
  const killed = new Set([...killedByCalls].flatMap(partsOfRegister));
  let isChanging = true;
  while (isChanging) {
    isChanging = false;
    for (let index = steps.length - 1; index >= 0; index--) {
      const step = steps[index];
      const before = live[index];
      if (step === undefined || before === undefined) continue;
      const size = before.size;
      for (const next of step.next)
        for (const name of live[next] ?? NO_REGISTERS)
          if (!step.writtenParts.includes(name) && !(step.leaves === 'call' && killed.has(name)))
            before.add(name);
      if (!step.isPush) for (const name of step.readParts) before.add(name);
      if (step.leaves === 'call' || step.leaves === 'tail')
        for (const name of calleeReads(step)) before.add(name);
      if (before.size !== size) isChanging = true;
    }
  }
  return live;
}

function definesResult(steps: readonly Step[], [result = '']: readonly string[]): boolean {
  const defined: (boolean | undefined)[] = steps.map(() => undefined);
  const work: { index: number; isDefined: boolean }[] = [{ index: 0, isDefined: false }];
  for (let item = work.pop(); item !== undefined; item = work.pop()) {
    const step = steps[item.index];
    const known = defined[item.index];
    if (step === undefined || known === false || known === item.isDefined) continue;
    const { isDefined } = item;
    defined[item.index] = isDefined;
    const after =
      isDefined || step.leaves === 'call' || step.writes.includes(result) || step.changes.includes(result);
    for (const index of step.next) work.push({ index, isDefined: after });
  }
  return steps.every((step, index) => step.leaves !== 'return' || defined[index] !== false);
}

/** Distances above the return address that are read: with the stack pointer, or a frame pointer, followed along the code. */
function stackReads(program: Program, steps: readonly Step[], first: number | undefined): Set<number> {
  if (first === undefined) return new Set();
  const { pointerSize } = program.image;
  const reads = new Set<number>();
  const seen = new Set<number>();
  const work: { index: number; depth: number; frame: number | undefined }[] = [
    { index: 0, depth: 0, frame: undefined },
  ];
  for (let item = work.pop(); item !== undefined; item = work.pop()) {
    const step = steps[item.index];
    if (step === undefined || seen.has(item.index)) continue;
    seen.add(item.index);
    let { depth, frame } = item;
    for (const { base, displacement, isRead } of step.memory) {
      const at =
        base === 'rsp'
          ? depth + displacement
          : base === 'rbp' && frame !== undefined
            ? frame + displacement
            : -1;
      if (isRead && at >= first && at < 0x400) reads.add(at - (at % pointerSize));
    }
    const { bytes } = step.instruction;
    const change = step.leaves === undefined ? stackChange(bytes, step.stackPointerIncrement) : 0;
    if (change === undefined) continue;
    if (isFrameMove(bytes)) frame = depth;
    depth += change;
    for (const index of step.next) work.push({ index, depth, frame });
  }
  return reads;
}

/** `push`, `pop`, `sub rsp, n`, `add rsp, n`; undefined when the stack pointer is changed another way. */
function stackChange(bytes: Uint8Array, increment: number | undefined): number | undefined {
  if (increment !== undefined) return increment;
  const at = bytes[0] === 0x48 ? 1 : 0;
  const [opcode, form, ...rest] = bytes.subarray(at);
  const view = Uint8Array.from(rest);
  const small = view.length === 1 ? ((view[0] ?? 0) << 24) >> 24 : undefined;
  const large = view.length === 4 ? new DataView(view.buffer).getInt32(0, true) : undefined;
  const amount = opcode === 0x83 ? small : opcode === 0x81 ? large : undefined;
  if (amount !== undefined && form === 0xec) return -amount;
  if (amount !== undefined && form === 0xc4) return amount;
  return 0;
}

/** `mov ebp, esp`, `mov rbp, rsp`. */
function isFrameMove(bytes: Uint8Array): boolean {
  const at = bytes[0] === 0x48 ? 1 : 0;
  const [opcode, form] = bytes.subarray(at);
  return (opcode === 0x89 && form === 0xe5) || (opcode === 0x8b && form === 0xec);
}
