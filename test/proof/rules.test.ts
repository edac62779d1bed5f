import { describe, expect, it } from 'vitest';
import {
  explore,
  PROPERTIES,
  type PropertyName,
  type Shape,
  shapeSubject,
  type WriteProtocol,
  windows,
} from '../../proof/index.js';

type Steps = NonNullable<ReturnType<WriteProtocol['steps']>>;

/** The engine's steps, changed. */
function changed(change: (steps: Steps) => Steps): WriteProtocol {
  return {
    name: 'changed',
    description: 'for this test',
    kind: 'control',
    operations: ['apply', 'repatch', 'revert'],
    steps: ({ steps }) => change(steps),
  };
}

const caller = { name: 'caller', code: ['sub rsp, 40; nop', { call: 'f' }, 'add rsp, 40; ret'] } as const;
const shapeOf = (f: string, g: string, results: Shape['results']): Shape => ({
  name: 'x64, for this test',
  architecture: 'x64',
  base: [{ name: 'f', code: [f] }, caller],
  patches: [
    { functions: [{ name: 'g', code: [g] }], forward: { f: 'g' } },
    { functions: [{ name: 'g', code: [g] }], forward: { f: 'g' } },
  ],
  call: 'caller',
  arguments: [],
  results,
});

async function broken(shape: Shape, protocol = windows, operation: 'apply' | 'revert' = 'apply') {
  const source = await shapeSubject(shape, operation);
  const result = await explore(source, { protocol });
  return result?.violations.map(({ rule }) => rule) ?? [];
}

/** Each rule with something that breaks it; those that the negative controls break are in protocols.test.ts. */
const BREAKS: Partial<Record<PropertyName, () => Promise<readonly string[]>>> = {
  // Two rounds: the first may return what the old code does, the second what the new one does.
  mixture: () => {
    const round = (amount: number) => `top: lea edx, [rdx+${amount}]; dec ecx; jne top; mov eax, edx; ret`;
    const shape = shapeOf(round(1), round(16), [2, 32, 32]);
    const start = {
      name: 'caller',
      code: ['sub rsp, 40; mov ecx, 2; xor edx, edx', { call: 'f' }, 'add rsp, 40; ret'],
    };
    return broken({ ...shape, base: [...shape.base.slice(0, 1), start] });
  },
  balanced: () => broken(shapeOf('mov eax, 1; ret', 'mov eax, 2; mov rbx, rsp; ret', [1, 2, 2])),
  // Odd numbers, which only the old code makes of even ones, are gone round with for ever.
  stuck: () => {
    const f = 'top: lea edx, [rdx+1]; dec ecx; jne top; mov eax, edx; ret';
    const g = 'test ecx, 1; jne self; mov eax, 7; ret; self: jmp self';
    const shape = shapeOf(f, g, [2, 7, 7]);
    const start = {
      name: 'caller',
      code: ['sub rsp, 40; mov ecx, 2; xor edx, edx', { call: 'f' }, 'add rsp, 40; ret'],
    };
    return broken({ ...shape, base: [...shape.base.slice(0, 1), start] });
  },
  restored: () => {
    const protocol = changed((all) =>
      all.map((step) =>
        step.kind === 'store' && step.target === 'entry'
          ? { ...step, bytes: Uint8Array.of(0x89, 0xc0) }
          : step,
      ),
    );
    return broken(shapeOf('xchg ax, ax; mov eax, 1; ret', 'mov eax, 2; ret', [1, 2, 2]), protocol, 'revert');
  },
};

/** Rules that have a test file of their own: waits.test.ts. */
const ELSEWHERE = ['deadlock'];

describe('every rule can be broken', () => {
  it.each(Object.entries(BREAKS))('%s', async (rule, breaks) => {
    expect(await breaks()).toContain(rule);
  });

  it('and the others are by the negative controls; committed is, too, behind stale, which is found first', async () => {
    const byControls = ['fault', 'torn', 'stale', 'concurrent', 'committed'];
    expect([...Object.keys(BREAKS), ...byControls, ...ELSEWHERE].sort()).toEqual(
      Object.keys(PROPERTIES).sort(),
    );
  });
});
