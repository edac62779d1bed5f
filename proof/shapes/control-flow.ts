import type { ArchitectureName } from '../../cpu/index.js';
import { firstInstruction } from './first-instructions.js';
import type { FunctionSource, Piece } from './program.js';
import type { Shape } from './shape.js';

/** What the shapes say differently on each processor. `argument` is the register that functions here take theirs in. */
interface Dialect {
  readonly argument: string;
  readonly result: string;
  /** Other registers that a function may change. */
  readonly other: string;
  /** Makes a frame, so that the function may call others. */
  readonly enter: string;
  readonly leave: string;
  set(register: string, value: number): string;
  /** `to = from + amount`, in one instruction of two bytes or more. */
  add(to: string, from: string, amount: number): string;
  shiftLeft(register: string, by: number): string;
  double(to: string, from: string): string;
  /** One off the argument, and back to the label until nothing is left. */
  countDown(label: string): string;
}

const X86: Omit<Dialect, 'enter' | 'leave'> = {
  argument: 'ecx',
  result: 'eax',
  other: 'edx',
  set: (register, value) => `mov ${register}, ${value}`,
  add: (to, from, amount) => `lea ${to}, [${from}+${amount}]`,
  shiftLeft: (register, by) => `shl ${register}, ${by}`,
  double: (to, from) => `lea ${to}, [${from}+${from}]`,
  countDown: (label) => `dec ecx; jne ${label}`,
};

const DIALECTS: Readonly<Record<ArchitectureName, Dialect>> = {
  x64: { ...X86, enter: 'sub rsp, 40; nop', leave: 'add rsp, 40' },
  x86: { ...X86, enter: 'sub esp, 12', leave: 'add esp, 12' },
  arm64: {
    argument: 'w0',
    result: 'w0',
    other: 'w1',
    enter: 'stp x29, x30, [sp, #-16]!',
    leave: 'ldp x29, x30, [sp], #16',
    set: (register, value) => `mov ${register}, #${value}`,
    add: (to, from, amount) => `add ${to}, ${from}, #${amount}`,
    shiftLeft: (register, by) => `lsl ${register}, ${register}, #${by}`,
    double: (to, from) => `add ${to}, ${from}, ${from}`,
    countDown: (label) => `subs w0, w0, #1; b.ne ${label}`,
  },
};

/** A function `caller` that sets registers up and makes calls. */
function callerWith({ enter, leave }: Dialect, before: string, ...calls: readonly Piece[]): FunctionSource {
  return { name: 'caller', code: [`${enter}; ${before}`, ...calls, `${leave}; ret`] };
}

/**
 * Adds 1 (the patches: 16 and 256) once for each of three rounds, jumping back to its own entry in between. The old
 * function's next round is the new one's as soon as its entry is redirected; the new one never goes back.
 */
export function jumpsToItself(architecture: ArchitectureName): Shape {
  const dialect = DIALECTS[architecture];
  const { argument, result, other, add, set } = dialect;
  const round = dialect.countDown('top');
  const loop = (amount: number) =>
    `top: ${add(other, other, amount)}; ${round}; mov ${result}, ${other}; ret`;
  const patch = (amount: number) => ({
    functions: [{ name: 'g', code: [loop(amount)] }],
    forward: { f: 'g' },
  });
  return {
    name: `${architecture}, function that jumps back to its own entry`,
    architecture,
    base: [
      { name: 'f', code: [loop(1)] },
      callerWith(dialect, `${set(argument, 3)}; ${set(other, 0)}`, { call: 'f' }),
    ],
    patches: [patch(16), patch(256)],
    call: 'caller',
    arguments: [],
    results: [3, 48, 768],
    during: { apply: [1 + 32, 2 + 16] },
  };
}

/** `f` ends in a jump to the patched function, which so is entered without a call. */
export function tailCall(architecture: ArchitectureName): Shape {
  const dialect = DIALECTS[architecture];
  const { argument, result, add, set, shiftLeft } = dialect;
  const shifted = (by: number) => `${add(result, argument, 1)}; ${shiftLeft(result, by)}; ret`;
  const patch = (by: number) => ({
    functions: [{ name: 'g', code: [shifted(by)] }],
    forward: { h: 'g' },
  });
  return {
    name: `${architecture}, function entered by a tail call`,
    architecture,
    base: [
      { name: 'h', code: [shifted(1)] },
      { name: 'f', code: [add(argument, argument, 3), { jump: 'h' }] },
      callerWith(dialect, set(argument, 7), { call: 'f' }),
    ],
    patches: [patch(2), patch(3)],
    call: 'caller',
    arguments: [],
    results: [(7 + 3 + 1) * 2, (7 + 3 + 1) * 4, (7 + 3 + 1) * 8],
  };
}

/**
 * f(n) = f(n - 1) + 1 (the patches: 16 and 256), f(0) = 0, called with 2. Activations that began in the old function
 * end in it; those that they call are new as soon as the entry is redirected. New ones call new ones.
 */
export function recursion(architecture: ArchitectureName): Shape {
  const dialect = DIALECTS[architecture];
  const { argument, result, add, set } = dialect;
  const { enter, leave } = dialect;
  const begin = {
    x64: `mov eax, ecx; test ecx, ecx; jne go; ret; go: ${enter}; dec ecx`,
    x86: `mov eax, ecx; test ecx, ecx; jne go; ret; go: ${enter}; dec ecx`,
    arm64: `mov w1, w0; cbnz w1, go; ret; go: ${enter}; sub w0, w0, #1`,
  }[architecture];
  const recursive = (name: string, amount: number): FunctionSource => ({
    name,
    code: [begin, { call: name }, `${leave}; ${add(result, result, amount)}; ret`],
  });
  const patch = (amount: number) => ({ functions: [recursive('g', amount)], forward: { f: 'g' } });
  return {
    name: `${architecture}, recursion`,
    architecture,
    base: [recursive('f', 1), callerWith(dialect, set(argument, 2), { call: 'f' })],
    patches: [patch(16), patch(256)],
    call: 'caller',
    arguments: [],
    results: [2, 32, 512],
    during: { apply: [1 + 16, 1] },
  };
}

/**
 * The new function calls `helper` of the patch image, which by a backward record stands for the base's own: patched
 * code calls back into the base.
 */
export function callsBack(architecture: ArchitectureName): Shape {
  const dialect = DIALECTS[architecture];
  const { argument, result, add, set, double, enter, leave } = dialect;
  const patch = (amount: number) => ({
    functions: [
      { name: 'helper', code: [`${set(result, 0)}; ret`] },
      { name: 'g', code: [enter, { call: 'helper' }, `${leave}; ${add(result, result, amount)}; ret`] },
    ],
    forward: { f: 'g' },
    backward: { helper: 'helper' },
  });
  return {
    name: `${architecture}, patched function that calls back into the base`,
    architecture,
    base: [
      { name: 'helper', code: [`${double(result, argument)}; ret`] },
      { name: 'f', code: [`${add(result, argument, 5)}; ret`] },
      callerWith(dialect, set(argument, 7), { call: 'f' }),
    ],
    patches: [patch(100), patch(200)],
    call: 'caller',
    arguments: [],
    results: [12, 114, 214],
  };
}

/** Two functions of one call are patched: each is redirected by itself, so a call may meet one old and one new. */
export function twoFunctions(architecture: ArchitectureName): Shape {
  const dialect = DIALECTS[architecture];
  const { argument, result, add, set } = dialect;
  const patch = (first: number, second: number) => ({
    functions: [
      { name: 'f2', code: [`${add(result, argument, first)}; ret`] },
      { name: 'h2', code: [`${add(result, result, second)}; ret`] },
    ],
    forward: { f: 'f2', h: 'h2' },
  });
  return {
    name: `${architecture}, two functions of one call`,
    architecture,
    base: [
      { name: 'f', code: [`${add(result, argument, 1)}; ret`] },
      { name: 'h', code: [`${add(result, result, 0x10)}; ret`] },
      callerWith(dialect, set(argument, 7), { call: 'f' }, { call: 'h' }),
    ],
    patches: [patch(2, 0x20), patch(4, 0x40)],
    call: 'caller',
    arguments: [],
    results: [7 + 0x11, 7 + 0x22, 7 + 0x44],
    during: {
      apply: [7 + 0x21, 7 + 0x12],
      repatch: [7 + 0x24, 7 + 0x42],
      revert: [7 + 0x21, 7 + 0x12],
    },
  };
}

/** The entry is the first byte of a page that the caller does not run in: its padding lies in the page before. */
export const paddingOnAnotherPage: Shape = (() => {
  const shape = firstInstruction('x64', 5, { modulo: 4096, offset: 0 });
  return {
    ...shape,
    name: 'x64, entry at the start of a page, padding and caller in the page before',
    base: [...shape.base].reverse(),
  };
})();

const SHAPES = [jumpsToItself, tailCall, recursion, callsBack, twoFunctions];

export const CONTROL_FLOW_SHAPES: readonly Shape[] = (['x64', 'x86', 'arm64'] as const).flatMap(
  (architecture) => SHAPES.map((shape) => shape(architecture)),
);
