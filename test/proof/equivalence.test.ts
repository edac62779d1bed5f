import { describe, expect, it } from 'vitest';
import type { ArchitectureName } from '../../cpu/index.js';
import {
  CONTROL_FLOW_SHAPES,
  type Exploration,
  type ExploreOptions,
  explore,
  firstInstruction,
  MATRIX,
  type OperationKind,
  PLACES_MATRIX,
  PROTOCOLS,
  paddingOnAnotherPage,
  protocolNamed,
  replay,
  type Shape,
  type SubjectSource,
  shape2003Subject,
  shapeSubject,
  windows,
} from '../../proof/index.js';

const OPERATIONS: readonly OperationKind[] = ['apply', 'repatch', 'revert'];
const FETCH = ['coherent', 'weak'] as const;
const isAll = process.env.HOTPATCH_PROOF === 'all';

/** All of them with HOTPATCH_PROOF=all, else each n-th. */
const every =
  (step: number) =>
  (_: unknown, index: number): boolean =>
    isAll || index % step === 0;

const seenIn = (exploration: Exploration | undefined) =>
  exploration && {
    rules: exploration.violations.map(({ rule }) => rule).sort(),
    complete: exploration.complete,
    expected: exploration.expected,
    outcomes: exploration.outcomes,
  };

/** With reduction as without: the same broken rules, results and final states; and each schedule breaks its rule on a machine. */
async function expectTheSame(
  source: SubjectSource,
  options: ExploreOptions,
): Promise<Exploration | undefined> {
  const each = await explore(source, { ...options, reduction: false });
  const reduced = await explore(source, options);
  expect(seenIn(reduced)).toEqual(seenIn(each));
  if (reduced === undefined || each === undefined) return undefined;
  expect(reduced.states).toBeLessThan(each.states);
  for (const { rule, schedule } of reduced.violations) {
    // Neither do the processors here do what the Arm ARM merely does not promise, nor is a result a fault.
    if (rule === 'concurrent' || rule === 'mixture' || rule === 'stuck' || rule === 'restored') continue;
    expect(await replay(source, schedule, options.protocol)).toMatchObject({ kind: 'fault' });
  }
  return reduced;
}

describe('ordering dependent steps only shows what ordering all steps shows', () => {
  it.each([...MATRIX, ...PLACES_MATRIX].filter(every(17)))(
    '$form, $places, $operation, $processors processor(s), $fetch fetch',
    async ({ architecture, operation, hpatForm, places, processors, fetch }) => {
      const shape = firstInstruction(architecture, architecture === 'arm64' ? 4 : 2);
      const source = await shapeSubject(shape, operation, hpatForm, places);
      await expectTheSame(source, { protocol: windows, processors, fetch });
    },
  );

  it.each(CONTROL_FLOW_SHAPES.filter(every(4)))('$name', async (shape) => {
    for (const operation of OPERATIONS)
      for (const fetch of FETCH)
        await expectTheSame(await shapeSubject(shape, operation), {
          protocol: windows,
          processors: 2,
          fetch,
        });
  });

  it.each([
    { architecture: 'x64', form: 'near' },
    { architecture: 'x64', form: 'indirect' },
    { architecture: 'x86', form: 'near' },
  ] as const)('generation 2003: $architecture, $form', async ({ architecture, form }) => {
    for (const operation of OPERATIONS) {
      const source = await shape2003Subject(firstInstruction(architecture, 5), operation, { form });
      for (const fetch of FETCH) await expectTheSame(source, { protocol: windows, processors: 2, fetch });
    }
  });

  const controls = PROTOCOLS.filter(({ kind }) => kind === 'control');
  const shapes: readonly Shape[] = [
    ...[0, 7].flatMap((offset) =>
      [2, 5].map((length) => firstInstruction('x64', length, { modulo: 16, offset })),
    ),
    firstInstruction('arm64', 4),
    paddingOnAnotherPage,
  ];
  it.each(controls)('$name', async (protocol) => {
    const { operations } = protocol;
    for (const shape of shapes.filter((_, index) => isAll || index % 3 === 1))
      for (const operation of operations)
        for (const fetch of FETCH)
          await expectTheSame(await shapeSubject(shape, operation), {
            protocol,
            processors: isAll ? 2 : 1,
            fetch,
          });
  });
});

/** Two functions on pages of their own, called in turn in a loop of the first page: orders in which pages are first fetched. */
function pagesInTurn(rounds: number): Shape {
  const body = (add: number) => `lea edx, [rdx+${add}]; mov eax, edx; ret`;
  const patch = (first: number, second: number) => ({
    functions: [
      { name: 'f2', code: [body(first)] },
      { name: 'h2', code: [body(second)] },
    ],
    forward: { f: 'f2', h: 'h2' },
  });
  const round = [{ call: 'f' }, { call: 'h' }] as const;
  return {
    name: `x64, functions of two pages called in turn ${rounds} times`,
    architecture: 'x64',
    base: [
      { name: 'f', code: [body(1)] },
      { name: 'h', code: [body(1)], placement: { modulo: 4096, offset: 64 } },
      {
        name: 'caller',
        code: [
          'sub rsp, 40; xor edx, edx',
          ...Array.from({ length: rounds }, () => round).flat(),
          'add rsp, 40; ret',
        ],
        placement: { modulo: 4096, offset: 64 },
      },
    ],
    patches: [patch(16, 16), patch(256, 256)],
    call: 'caller',
    arguments: [],
    results: [2 * rounds, 32 * rounds, 512 * rounds],
  };
}

describe('pages that are fetched in turn', () => {
  const protocols = [
    'windows',
    'no-serialisation',
    'serialised-only-at-the-end',
    'padding-restored-underfoot',
  ];
  const cells = protocols.flatMap((name) =>
    OPERATIONS.flatMap((operation) => [1, 2].map((rounds) => ({ name, operation, rounds }))),
  );
  it.each(cells.filter(every(3)))(
    '$name, $operation, $rounds round(s)',
    async ({ name, operation, rounds }) => {
      const protocol = protocolNamed(name) ?? windows;
      const source = await shapeSubject(pagesInTurn(rounds), operation);
      const { expected: _, ...anyResult } = source;
      await expectTheSame(anyResult, { protocol, fetch: 'weak', processors: 1 });
    },
  );
});

/** Functions that change a counter that the caller is given the address of. */
function counting(architecture: ArchitectureName, once: (amount: number) => string): Shape {
  const patch = (amount: number) => ({
    functions: [{ name: 'g', code: [once(amount)] }],
    forward: { f: 'g' },
  });
  const frame = {
    x64: ['sub rsp, 40', 'add rsp, 40; ret'],
    x86: ['mov ecx, [esp+4]', 'ret'],
    arm64: ['stp x29, x30, [sp, #-16]!', 'ldp x29, x30, [sp], #16; ret'],
  } as const;
  const [enter, leave] = frame[architecture];
  return {
    name: `${architecture}, processors that count`,
    architecture,
    base: [
      { name: 'f', code: [once(1)] },
      { name: 'caller', code: [enter, { call: 'f' }, leave] },
    ],
    patches: [patch(16), patch(256)],
    call: 'caller',
    arguments: [],
    results: [7, 7, 7],
  };
}

/** With the address of the base's data as the argument. */
async function countingSubject(shape: Shape, operation: OperationKind): Promise<SubjectSource> {
  const source = await shapeSubject(shape, operation);
  return {
    ...source,
    create: async (options) => {
      const subject = await source.create(options);
      const [image] = subject.lab.kernel.domain.images;
      const [data] = image?.writableSections ?? [];
      const counter = image?.address(data?.virtualAddress ?? 0) ?? 0n;
      const [call] = subject.calls;
      return {
        ...subject,
        [Symbol.dispose]: () => subject[Symbol.dispose](),
        calls: [{ ...call, arguments: [counter] }],
      };
    },
  };
}

describe('what a call finds that another one has left', () => {
  const leaving: Shape = {
    ...counting('x64', () => ''),
    base: [
      { name: 'f', code: ['mov dword ptr [rcx], 1; mov eax, 7; ret'] },
      { name: 'caller', code: ['sub rsp, 40', { call: 'f' }, 'add rsp, 40; ret'] },
    ],
    patches: [1, 2].map(() => ({
      functions: [
        { name: 'g', code: ['mov eax, [rcx]; test eax, eax; jne bad; mov eax, 7; ret; bad: int3'] },
      ],
      forward: { f: 'g' },
    })) as unknown as Shape['patches'],
  };

  it('new code that cannot bear what old code leaves: no interleaving is needed for that', async () => {
    const source = await countingSubject(leaving, 'apply');
    const result = await explore(source, { protocol: windows, processors: 1 });
    expect(result?.violations).toMatchObject([
      { rule: 'fault', text: 'breakpoint at patch1!g+0xc', inSequence: true },
    ]);
  });

  it('a wrong way to change code does need one', async () => {
    const protocol = protocolNamed('padding-after-entry');
    if (protocol === undefined) throw new Error('there is this control');
    const source = await countingSubject(
      counting('x64', (amount) => `mov eax, 7; add edx, ${amount}; ret`),
      'apply',
    );
    const result = await explore(source, { protocol, processors: 1 });
    expect(result?.violations.map(({ rule }) => rule)).toEqual(['fault']);
    expect(result?.violations[0]).not.toHaveProperty('inSequence');
  });
});

describe('data that processors share', () => {
  const racing = {
    x64: (amount: number) => `mov eax, [rcx]; add eax, ${amount}; mov [rcx], eax; mov eax, 7; ret`,
    x86: (amount: number) => `mov eax, [ecx]; add eax, ${amount}; mov [ecx], eax; mov eax, 7; ret`,
    arm64: (amount: number) => `ldr w1, [x0]; add w1, w1, #${amount}; str w1, [x0]; mov w0, #7; ret`,
  } as const;
  it.each(['x64', 'x86', 'arm64'] as const)('%s: lost updates are found', async (architecture) => {
    for (const operation of OPERATIONS) {
      const source = await countingSubject(counting(architecture, racing[architecture]), operation);
      const reduced = await expectTheSame(source, { protocol: windows, processors: 2, calls: 1 });
      expect(reduced?.reduction).toMatchObject({ apart: false, sharedBytes: 4 });
      expect(reduced?.outcomes.final.length).toBeGreaterThan(2);
    }
  });

  const locked = (release: string) => (amount: number) =>
    `top: mov edx, 1; xchg [rcx+4], edx; test edx, edx; jne top; mov eax, [rcx]; add eax, ${amount}; mov [rcx], eax; ${release}; mov eax, 7; ret`;
  it('a lock that is given back loses none, and nobody is stuck behind it', async () => {
    const source = await countingSubject(counting('x64', locked('mov dword ptr [rcx+4], 0')), 'apply');
    const result = await explore(source, { protocol: windows, processors: 2, calls: 1 });
    expect(result).toMatchObject({ complete: true, violations: [] });
    // No call, one or two, each by the old or the new code: 0, 1, 16, 2, 17, 32.
    expect(result?.outcomes.final).toHaveLength(6);
  });

  it('a lock that is kept is found: the next processor never ends its call', async () => {
    const source = await countingSubject(counting('x64', locked('nop')), 'apply');
    const result = await explore(source, { protocol: windows, processors: 2, calls: 1 });
    expect(result?.violations.map(({ rule }) => rule)).toEqual(['stuck']);
  });
});
