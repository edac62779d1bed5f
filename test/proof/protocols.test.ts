import { describe, expect, it } from 'vitest';
import {
  explore,
  firstInstruction,
  type OperationKind,
  oneStore,
  PROTOCOLS,
  paddingOnAnotherPage,
  replay,
  type Shape,
  shapeSubject,
  type Violation,
  type WriteProtocol,
  windows,
} from '../../proof/index.js';

const OPERATIONS: readonly OperationKind[] = ['apply', 'repatch', 'revert'];
const FETCH = ['coherent', 'weak'] as const;

/** A short and a long first instruction, in the middle of eight bytes and across their end; an entry behind a page's end. */
const SHAPES: readonly Shape[] = [
  ...(['x64', 'x86'] as const).flatMap((architecture) =>
    [2, 5].flatMap((length) =>
      [0, 7].map((offset) => firstInstruction(architecture, length, { modulo: 16, offset })),
    ),
  ),
  firstInstruction('arm64', 4),
  paddingOnAnotherPage,
];

/** The properties that each negative control breaks somewhere in the table, with the length of the shortest schedule. */
const BROKEN: Readonly<Record<string, readonly string[]>> = {
  'byte-by-byte': ['fault 8', 'torn 5'],
  'tail-then-opcode': ['fault 5', 'torn 5'],
  'one-store': ['fault 5', 'torn 5'],
  breakpoint: ['fault 8'],
  'breakpoint-without-fix-up': ['fault 5'],
  'entry-in-halves': ['torn 5'],
  'padding-after-entry': ['fault 12'],
  'data-slot-after-entry': ['fault 14'],
  'code-slot-after-entry': ['fault 13'],
  'no-serialisation': ['concurrent 8', 'fault 12', 'stale 7'],
  'serialised-only-at-the-end': ['fault 12'],
  'no-rendezvous': ['concurrent 4', 'torn 5'],
  'padding-restored-first': ['fault 6'],
  'padding-restored-underfoot': ['fault 9'],
  'unmapped-too-early': ['fault 13'],
};

/** Every cell that the protocol means something for. */
async function exploreAll(protocol: WriteProtocol): Promise<{ cells: number; found: Violation[] }> {
  const found: Violation[] = [];
  let cells = 0;
  const { architectures } = protocol;
  for (const shape of SHAPES.filter(({ architecture }) => architectures?.includes(architecture) ?? true))
    for (const operation of OPERATIONS) {
      const source = await shapeSubject(shape, operation);
      for (const fetch of FETCH) {
        const result = await explore(source, { protocol, fetch });
        if (result === undefined) continue;
        cells += 1;
        expect(result.complete).toBe(true);
        expect(protocol.operations).toContain(operation);
        for (const violation of result.violations) {
          found.push(violation);
          // The processors here do not do what the Arm ARM merely does not promise.
          if (violation.rule === 'concurrent') continue;
          const outcome = await replay(source, violation.schedule, protocol);
          expect([source.name, violation.rule, outcome.kind]).toEqual([source.name, violation.rule, 'fault']);
        }
      }
    }
  return { cells, found };
}

function shortest(found: readonly Violation[]): string[] {
  const lengths = new Map<string, number>();
  for (const { rule, schedule } of found)
    lengths.set(rule, Math.min(lengths.get(rule) ?? Infinity, schedule.actions.length));
  return [...lengths].map(([rule, steps]) => `${rule} ${steps}`).sort();
}

// patching-live-code.md: what one processor can see of each protocol, whatever the interleaving.
const FIRST_RESULT: readonly (readonly [protocol: string, fiveBytes: boolean, twoBytes: boolean])[] = [
  ['byte-by-byte', false, false],
  ['tail-then-opcode', false, false],
  ['one-store', true, false],
  ['breakpoint', true, false],
  ['windows', true, true],
  ['entry-in-halves', false, false],
];

describe('the first result: five protocols and two kinds of first instruction', () => {
  it.each(FIRST_RESULT)('%s: first instruction of 5 bytes %s, of 2 bytes %s', async (name, five, two) => {
    const protocol = PROTOCOLS.find((candidate) => candidate.name === name) ?? windows;
    for (const [length, holds] of [
      [5, five],
      [2, two],
    ] as const) {
      const source = await shapeSubject(firstInstruction('x64', length), 'apply');
      const result = await explore(source, { protocol });
      expect(result).toMatchObject({ complete: true, protocol: name });
      expect(result?.violations.length === 0).toBe(holds);
    }
  });

  it('finds a thread parked behind the short first instruction, which one store does not save', async () => {
    const source = await shapeSubject(firstInstruction('x64', 2), 'apply');
    const result = await explore(source, { protocol: oneStore });
    const [violation] = result?.violations ?? [];
    const texts = violation?.schedule.actions.map(({ actor, text }) => (actor === 'engine' ? actor : text));
    expect(violation?.rule).toBe('fault');
    expect(texts).toEqual([
      'base!caller',
      'base!caller+0x4',
      'base!caller+0x9',
      'base!f',
      'engine',
      'base!f+0x2',
    ]);
  });
});

describe.each(PROTOCOLS)('$name ($kind)', (protocol) => {
  it('holds if it is real, and breaks what is said of it if it is a negative control', async () => {
    const { cells, found } = await exploreAll(protocol);
    expect(cells).toBeGreaterThan(0);
    expect(shortest(found)).toEqual(protocol.kind === 'real' ? [] : BROKEN[protocol.name]);
  });
});

it('every negative control of the table is a protocol', () => {
  const controls = PROTOCOLS.filter(({ kind }) => kind === 'control').map(({ name }) => name);
  expect(Object.keys(BROKEN).sort()).toEqual(controls.sort());
});
