import { describe, expect, it } from 'vitest';
import {
  explore,
  firstInstruction,
  type OperationKind,
  type PropertyName,
  protocolNamed,
  shapeSubject,
} from '../../src/proof/index.js';

interface Case {
  readonly protocol: string;
  readonly length?: number;
  readonly offset?: number;
  readonly operation?: OperationKind;
  readonly fetch?: 'coherent' | 'weak';
  readonly processors?: number;
  readonly architecture?: 'x64' | 'x86' | 'arm64';
}

async function check({
  protocol: name,
  architecture = 'x64',
  length = architecture === 'arm64' ? 4 : 5,
  offset = 0,
  operation = 'apply',
  fetch = 'coherent',
  processors = 1,
}: Case) {
  const protocol = protocolNamed(name);
  if (protocol === undefined) throw new Error(`no protocol ${name}`);
  const shape = firstInstruction(architecture, length, { modulo: 16, offset });
  const result = await explore(await shapeSubject(shape, operation), { protocol, processors, fetch });
  if (result === undefined) throw new Error(`${name} means nothing for ${operation}`);
  expect(result.complete).toBe(true);
  return result;
}

describe('the first result: five protocols and two kinds of first instruction', () => {
  // patching-live-code.md: what one processor can see of each protocol, whatever the interleaving.
  const table: readonly (readonly [protocol: string, fiveBytes: boolean, twoBytes: boolean])[] = [
    ['byte-by-byte', false, false],
    ['tail-then-opcode', false, false],
    ['one-store', true, false],
    ['breakpoint', true, false],
    ['windows', true, true],
    ['entry-in-halves', false, false],
  ];
  it.each(table)('%s: first instruction of 5 bytes %s, of 2 bytes %s', async (protocol, five, two) => {
    expect((await check({ protocol, length: 5 })).violations.length === 0).toBe(five);
    expect((await check({ protocol, length: 2 })).violations.length === 0).toBe(two);
  });

  it('finds a thread parked behind the short first instruction, which one store does not save', async () => {
    const [violation] = (await check({ protocol: 'one-store', length: 2 })).violations;
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

describe('real protocols hold', () => {
  const real: readonly Case[] = [
    ...(['apply', 'repatch', 'revert'] as const).flatMap((operation) =>
      (['coherent', 'weak'] as const).map((fetch) => ({
        protocol: 'windows',
        operation,
        fetch,
        processors: 2,
      })),
    ),
    { protocol: 'windows', operation: 'apply', processors: 3 },
    { protocol: 'windows', operation: 'revert', processors: 3, offset: 7, length: 2 },
    { protocol: 'windows', architecture: 'x86', fetch: 'weak', processors: 2 },
    { protocol: 'windows', architecture: 'x86', operation: 'revert', length: 2, offset: 7 },
    { protocol: 'windows', architecture: 'arm64', processors: 2 },
    { protocol: 'windows', architecture: 'arm64', operation: 'revert', processors: 2 },
    { protocol: 'server-2003', length: 2, fetch: 'weak', processors: 2 },
    { protocol: 'server-2003', length: 2, offset: 7 },
  ];
  it.each(real)('%o', async (one) => {
    expect((await check(one)).violations.map(({ rule, text }) => `${rule}: ${text}`)).toEqual([]);
  });
});

describe('negative controls are caught', () => {
  const caught: readonly (Case & { readonly rule: PropertyName; readonly steps: number })[] = [
    { protocol: 'byte-by-byte', rule: 'torn', steps: 5 },
    { protocol: 'tail-then-opcode', rule: 'torn', steps: 5 },
    { protocol: 'one-store', length: 2, rule: 'fault', steps: 6 },
    { protocol: 'breakpoint', length: 2, rule: 'fault', steps: 8 },
    { protocol: 'breakpoint-without-fix-up', rule: 'fault', steps: 5 },
    { protocol: 'entry-in-halves', rule: 'torn', steps: 12 },
    { protocol: 'padding-after-entry', rule: 'fault', steps: 12 },
    { protocol: 'data-slot-after-entry', rule: 'fault', steps: 14 },
    { protocol: 'code-slot-after-entry', rule: 'fault', steps: 13 },
    { protocol: 'no-serialisation', fetch: 'weak', rule: 'stale', steps: 11 },
    { protocol: 'no-serialisation', operation: 'revert', fetch: 'weak', rule: 'stale', steps: 7 },
    { protocol: 'no-rendezvous', offset: 7, rule: 'torn', steps: 11 },
    { protocol: 'no-rendezvous', architecture: 'arm64', rule: 'concurrent', steps: 9 },
    { protocol: 'padding-restored-first', operation: 'revert', rule: 'fault', steps: 6 },
    { protocol: 'padding-restored-underfoot', operation: 'revert', rule: 'fault', steps: 9 },
    { protocol: 'unmapped-too-early', operation: 'revert', rule: 'fault', steps: 13 },
  ];
  it.each(caught)('$protocol breaks $rule in $steps steps', async ({ rule, steps, ...one }) => {
    const { violations } = await check(one);
    const violation = violations.find((candidate) => candidate.rule === rule);
    expect(violation?.schedule.actions).toHaveLength(steps);
  });
});
