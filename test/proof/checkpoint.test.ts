import { deserialize, serialize } from 'node:v8';
import { describe, expect, it } from 'vitest';
import {
  type Exploration,
  type ExplorationCheckpoint,
  type ExploreOptions,
  explore,
  protocolNamed,
  type Shape,
  type SubjectSource,
  shapeSubject,
  windows,
} from '../../proof/index.js';

/** Functions that change a counter behind the code; the processors race for it. */
const counting: Shape = {
  name: 'x64, processors that count',
  architecture: 'x64',
  base: [
    { name: 'f', code: ['mov eax, [rcx]; add eax, 1; mov [rcx], eax; mov eax, 7; ret'] },
    { name: 'caller', code: ['sub rsp, 40', { call: 'f' }, 'add rsp, 40; ret'] },
  ],
  patches: [16, 256].map((amount) => ({
    functions: [{ name: 'g', code: [`mov eax, [rcx]; add eax, ${amount}; mov [rcx], eax; mov eax, 7; ret`] }],
    forward: { f: 'g' },
  })) as unknown as Shape['patches'],
  call: 'caller',
  arguments: [],
  results: [7, 7, 7],
};

async function subject(operation: 'apply' | 'revert' = 'apply'): Promise<SubjectSource> {
  const source = await shapeSubject(counting, operation);
  return {
    ...source,
    create: async (options) => {
      const made = await source.create(options);
      const [image] = made.lab.kernel.domain.images;
      const [data] = image?.writableSections ?? [];
      const counter = image?.address(data?.virtualAddress ?? 0) ?? 0n;
      const [call] = made.calls;
      return {
        ...made,
        [Symbol.dispose]: () => made[Symbol.dispose](),
        calls: [{ ...call, arguments: [counter] }],
      };
    },
  };
}

const told = (exploration: Exploration | undefined) =>
  exploration && {
    complete: exploration.complete,
    states: exploration.states,
    transitions: exploration.transitions,
    violations: exploration.violations,
    outcomes: exploration.outcomes,
    mixtures: exploration.mixtures,
    unjudged: exploration.unjudged,
    reduction: exploration.reduction,
  };

/** In pieces of so many states each, with what is between them written and read again. */
async function inPieces(source: SubjectSource, options: ExploreOptions, mostStates: number) {
  let resume: ExplorationCheckpoint | undefined;
  for (let pieces = 1; ; pieces++) {
    const result = await explore(source, {
      ...options,
      mostStates,
      keepsCheckpoint: true,
      ...(resume === undefined ? {} : { resume }),
    });
    if (result?.complete !== false) return { result, pieces };
    expect(result.checkpoint).toBeDefined();
    expect(result.bound).toMatch(/states$/);
    resume = deserialize(serialize(result.checkpoint)) as ExplorationCheckpoint;
  }
}

describe('an exploration that ends before it is complete', () => {
  const race = { protocol: windows, processors: 2 } as const;

  it.each([
    ['apply', 'coherent', 137],
    ['apply', 'coherent', 1000],
    ['revert', 'coherent', 173],
    ['apply', 'weak', 2500],
  ] as const)(
    '%s, %s fetch: goes on in pieces of %i states as if it had not ended',
    async (operation, fetch, most) => {
      const source = await subject(operation);
      const whole = await explore(source, { ...race, fetch });
      const { result, pieces } = await inPieces(source, { ...race, fetch }, most);
      expect(whole?.complete).toBe(true);
      expect(pieces).toBeGreaterThan(2);
      expect(told(result)).toEqual(told(whole));
    },
  );

  it('a violation is found with the same schedule, by processors that are explored each by itself', async () => {
    const protocol = protocolNamed('padding-after-entry');
    if (protocol === undefined) throw new Error('there is this control');
    const source = await subject();
    const whole = await explore(source, { protocol, processors: 1, calls: 1 });
    const { result, pieces } = await inPieces(source, { protocol, processors: 1, calls: 1 }, 5);
    expect(whole?.violations.map(({ rule }) => rule)).toContain('fault');
    expect(pieces).toBeGreaterThan(1);
    expect(told(result)).toEqual(told(whole));
  });

  it('goes on with nothing but its own operation', async () => {
    const options = { ...race, mostStates: 100, keepsCheckpoint: true };
    const begun = await explore(await subject('apply'), options);
    if (begun?.checkpoint === undefined) throw new Error('there is a checkpoint');
    await expect(explore(await subject('revert'), { ...race, resume: begun.checkpoint })).rejects.toThrow(
      /the checkpoint is of another machine, operation or call/,
    );
  });

  it('keeps nothing that nobody has asked for', async () => {
    const begun = await explore(await subject(), { ...race, mostStates: 100 });
    expect(begun).toMatchObject({ complete: false });
    expect(begun).not.toHaveProperty('checkpoint');
  });
});
