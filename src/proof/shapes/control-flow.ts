import { caller, firstInstruction } from './first-instructions.js';
import type { Shape } from './shape.js';

/**
 * Adds 1 (the patches: 16 and 256) once for each of three rounds, jumping back to its own entry in between. The old
 * function's next round is the new one's as soon as its entry is redirected; the new one never goes back.
 */
export const jumpsToItself: Shape = {
  name: 'x64, function that jumps back to its own entry',
  architecture: 'x64',
  base: [
    { name: 'f', code: ['top: lea edx, [rdx+1]; dec ecx; jne top; mov eax, edx; ret'] },
    { name: 'caller', code: ['sub rsp, 40; mov ecx, 3; xor edx, edx', { call: 'f' }, 'add rsp, 40; ret'] },
  ],
  patches: [loop(16), loop(256)],
  call: 'caller',
  arguments: [],
  results: [3, 48, 768],
  during: { apply: [1 + 32, 2 + 16] },
};

function loop(amount: number) {
  const code = `top: lea edx, [rdx+${amount}]; dec ecx; jne top; mov eax, edx; ret`;
  return { functions: [{ name: 'g', code: [code] }], forward: { f: 'g' } };
}

/** `f` ends in a jump to the patched function, which so is entered without a call. */
export const tailCall: Shape = {
  name: 'x64, function entered by a tail call',
  architecture: 'x64',
  base: [
    { name: 'h', code: ['lea eax, [rcx+1]; shl eax, 1; ret'] },
    { name: 'f', code: ['add ecx, 3', { jump: 'h' }] },
    caller('x64', { call: 'f' }),
  ],
  patches: [tail(2), tail(3)],
  call: 'caller',
  arguments: [],
  results: [(7 + 3 + 1) * 2, (7 + 3 + 1) * 4, (7 + 3 + 1) * 8],
};

function tail(shift: number) {
  return {
    functions: [{ name: 'g', code: [`lea eax, [rcx+1]; shl eax, ${shift}; ret`] }],
    forward: { h: 'g' },
  };
}

/**
 * f(n) = f(n - 1) + 1 (the patches: 16 and 256), f(0) = 0, called with 2. Activations that began in the old function
 * end in it; those that they call are new as soon as the entry is redirected. New ones call new ones.
 */
export const recursion: Shape = {
  name: 'x64, recursion',
  architecture: 'x64',
  base: [
    recursive('f', 1),
    { name: 'caller', code: ['sub rsp, 40; mov ecx, 2', { call: 'f' }, 'add rsp, 40; ret'] },
  ],
  patches: [
    { functions: [recursive('g', 16)], forward: { f: 'g' } },
    { functions: [recursive('g', 256)], forward: { f: 'g' } },
  ],
  call: 'caller',
  arguments: [],
  results: [2, 32, 512],
  during: { apply: [1 + 16, 1] },
};

function recursive(name: string, amount: number) {
  return {
    name,
    code: [
      'mov eax, ecx; test ecx, ecx; je done; sub rsp, 40; dec ecx; nop; nop; jmp go; done: ret; go: nop',
      { call: name },
      `add rsp, 40; add eax, ${amount}; ret`,
    ],
  };
}

/**
 * The new function calls `helper` of the patch image, which by a backward record stands for the base's own: patched
 * code calls back into the base.
 */
export const callsBack: Shape = {
  name: 'x64, patched function that calls back into the base',
  architecture: 'x64',
  base: [
    { name: 'helper', code: ['lea eax, [rcx+rcx]; ret'] },
    { name: 'f', code: ['lea eax, [rcx+5]; ret'] },
    caller('x64', { call: 'f' }),
  ],
  patches: [callingBack(100), callingBack(200)],
  call: 'caller',
  arguments: [],
  results: [12, 114, 214],
};

function callingBack(amount: number) {
  return {
    functions: [
      { name: 'helper', code: ['mov eax, 0; ret'] },
      { name: 'g', code: ['sub rsp, 40; nop', { call: 'helper' }, `add rsp, 40; add eax, ${amount}; ret`] },
    ],
    forward: { f: 'g' },
    backward: { helper: 'helper' },
  };
}

/** Two functions of one call are patched: each is redirected by itself, so a call may meet one old and one new. */
export const twoFunctions: Shape = {
  name: 'x64, two functions of one call',
  architecture: 'x64',
  base: [
    { name: 'f', code: ['lea eax, [rcx+1]; ret'] },
    { name: 'h', code: ['lea eax, [rax+0x10]; ret'] },
    caller('x64', { call: 'f' }, { call: 'h' }),
  ],
  patches: [both(2, 0x20), both(4, 0x40)],
  call: 'caller',
  arguments: [],
  results: [7 + 0x11, 7 + 0x22, 7 + 0x44],
  during: {
    apply: [7 + 0x21, 7 + 0x12],
    repatch: [7 + 0x24, 7 + 0x42],
    revert: [7 + 0x21, 7 + 0x12],
  },
};

function both(first: number, second: number) {
  return {
    functions: [
      { name: 'f2', code: [`lea eax, [rcx+${first}]; ret`] },
      { name: 'h2', code: [`lea eax, [rax+${second}]; ret`] },
    ],
    forward: { f: 'f2', h: 'h2' },
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

export const CONTROL_FLOW_SHAPES: readonly Shape[] = [
  jumpsToItself,
  tailCall,
  recursion,
  callsBack,
  twoFunctions,
];
