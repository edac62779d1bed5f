import { describe, expect, it } from 'vitest';
import type { ArchitectureName } from '../../cpu/index.js';
import {
  explore,
  protocolNamed,
  type Shape,
  type SubjectSource,
  shapeSubject,
  windows,
} from '../../proof/index.js';

const FETCH = ['coherent', 'weak'] as const;

interface Dialect {
  readonly enter: string;
  readonly leave: string;
  /** Calls what the first argument points to. */
  readonly callPointer: string;
  readonly set: (value: number) => string;
  /** Result times a number. */
  readonly times: (factor: number) => string;
  readonly add: (amount: number) => string;
}

const X86 = {
  set: (value: number) => `mov eax, ${value}`,
  times: (factor: number) => `imul eax, eax, ${factor}`,
  add: (amount: number) => `add eax, ${amount}`,
};
const DIALECTS: Readonly<Record<ArchitectureName, Dialect>> = {
  x64: { ...X86, enter: 'sub rsp, 40; nop', leave: 'add rsp, 40', callPointer: 'call rcx' },
  x86: { ...X86, enter: 'sub esp, 12', leave: 'add esp, 12', callPointer: 'call ecx' },
  arm64: {
    enter: 'stp x29, x30, [sp, #-16]!',
    leave: 'ldp x29, x30, [sp], #16',
    callPointer: 'blr x0',
    set: (value) => `mov w0, #${value}`,
    times: (factor) => `mov w1, #${factor}; mul w0, w0, w1`,
    add: (amount) => `add w0, w0, #${amount}`,
  },
};

/** `a` calls `b` and multiplies; both are patched, and the new one calls the new one: 7 times 2, 11 times 3. */
function callerAndCallee(architecture: ArchitectureName): Shape {
  const { enter, leave, set, times } = DIALECTS[architecture];
  const b = (name: string, value: number) => ({ name, code: [`${set(value)}; ret`] });
  const a = (name: string, callee: string, factor: number) => ({
    name,
    code: [enter, { call: callee }, `${leave}; ${times(factor)}; ret`],
  });
  const patch = (value: number, factor: number) => ({
    functions: [b('b2', value), a('a2', 'b2', factor)],
    forward: { a: 'a2', b: 'b2' },
  });
  return {
    name: `${architecture}, patched caller of a patched callee`,
    architecture,
    base: [b('b', 7), a('a', 'b', 2), { name: 'caller', code: [enter, { call: 'a' }, `${leave}; ret`] }],
    patches: [patch(11, 3), patch(13, 5)],
    call: 'caller',
    arguments: [],
    results: [14, 33, 65],
  };
}

/** `f` adds to what `g` returns, which it jumps to at its end; both are patched. */
function tailOfPatched(architecture: ArchitectureName): Shape {
  const { enter, leave, set, add } = DIALECTS[architecture];
  const patch = (value: number, amount: number) => ({
    functions: [
      { name: 'g2', code: [`${add(amount)}; ret`] },
      { name: 'f2', code: [set(value), { jump: 'g2' }] },
    ],
    forward: { f: 'f2', g: 'g2' },
  });
  return {
    name: `${architecture}, patched function at the end of a patched one`,
    architecture,
    base: [
      { name: 'g', code: [`${add(1)}; ret`] },
      { name: 'f', code: [set(10), { jump: 'g' }] },
      { name: 'caller', code: [enter, { call: 'f' }, `${leave}; ret`] },
    ],
    patches: [patch(20, 2), patch(40, 4)],
    call: 'caller',
    arguments: [],
    results: [11, 22, 44],
  };
}

/** Nothing is known about results but what old and new code return alone. */
async function unexpected(shape: Shape, operation: 'apply' | 'repatch' | 'revert'): Promise<SubjectSource> {
  const { expected: _, ...source } = await shapeSubject(shape, operation);
  return source;
}

describe('functions that are patched together', () => {
  const cells = (['x64', 'x86', 'arm64'] as const).flatMap((architecture) =>
    [callerAndCallee(architecture), tailOfPatched(architecture)].flatMap((shape) =>
      FETCH.map((fetch) => ({ shape, name: shape.name, fetch })),
    ),
  );
  it.each(cells)('$name, $fetch: no false alarm', async ({ shape, fetch }) => {
    for (const operation of ['apply', 'repatch', 'revert'] as const)
      for (const reduction of shape.architecture === 'x64' ? [true, false] : [true]) {
        const source = await unexpected(shape, operation);
        const result = await explore(source, { protocol: windows, processors: 2, fetch, reduction });
        expect(result).toMatchObject({ complete: true, violations: [] });
      }
  });

  it('says which results only come about because old and new functions meet', async () => {
    const result = await explore(await unexpected(callerAndCallee('x64'), 'apply'), { protocol: windows });
    // The old caller with the new callee: 11 times 2. A new caller calls the new callee.
    expect(result).toMatchObject({ violations: [], mixtures: [22], unjudged: [] });
  });

  it('a scenario that allows no mixture is told of one, and a predicate decides by itself', async () => {
    const source = await unexpected(callerAndCallee('x64'), 'apply');
    const rules = async (mixture: NonNullable<SubjectSource['mixture']>) =>
      (await explore({ ...source, mixture }, { protocol: windows }))?.violations.map(({ text }) => text);
    expect(await rules('none')).toEqual(['the call returned 22: the old code returns 14, the new 33']);
    expect(await rules((result) => result === 22)).toEqual([]);
    expect(await rules((result) => result === 21)).toHaveLength(1);
  });

  it.each(['entry-in-halves', 'no-serialisation', 'padding-after-entry', 'byte-by-byte'])(
    '%s is caught all the same',
    async (name) => {
      const protocol = protocolNamed(name) ?? windows;
      const source = await unexpected(callerAndCallee('x64'), 'apply');
      const found = [];
      for (const fetch of FETCH)
        found.push(...((await explore(source, { protocol, fetch }))?.violations ?? []));
      expect(found.length).toBeGreaterThan(0);
    },
  );
});
