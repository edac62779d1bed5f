import { describe, expect, it } from 'vitest';
import {
  explore,
  firstInstruction,
  type OperationKind,
  protocolNamed,
  record,
  type Shape2003Options,
  shape2003Subject,
  shapeSubject,
} from '../../../proof/index.js';

interface Case extends Shape2003Options {
  readonly architecture?: 'x86' | 'x64';
  readonly operation?: OperationKind;
  readonly protocol?: string;
  readonly length?: number;
  readonly offset?: number;
  readonly fetch?: 'coherent' | 'weak';
  readonly processors?: number;
}

async function violations(one: Case) {
  const { architecture = 'x64', operation = 'apply', length = 2, offset = 0, fetch = 'coherent' } = one;
  const protocol = protocolNamed(one.protocol ?? 'windows');
  if (protocol === undefined) throw new Error('no such protocol');
  const shape = firstInstruction(architecture, length, { modulo: 16, offset });
  const source = await shape2003Subject(shape, operation, one);
  const result = await explore(source, { protocol, processors: one.processors ?? 1, fetch });
  if (result === undefined) throw new Error('the protocol means nothing here');
  expect(result.complete).toBe(true);
  return result.violations;
}

describe('the real engine of 2003, every interleaving', () => {
  const OPERATIONS = ['apply', 'repatch', 'revert'] as const;
  const safe: readonly Case[] = [
    ...OPERATIONS.flatMap((operation) => [
      { operation },
      { operation, fetch: 'weak', processors: 2 } as const,
      { operation, form: 'indirect' } as const,
      { operation, offset: 7 },
      { operation, padding: 'nop' } as const,
      { operation, architecture: 'x86' } as const,
    ]),
    { operation: 'apply', engine: { gatherProcessors: false } },
  ];
  it.each(safe)('holds: %o', async (one) => {
    expect((await violations(one)).map(({ rule, text }) => `${rule}: ${text}`)).toEqual([]);
  });
});

describe('what the explorer finds in other ways to do it', () => {
  const unsafe: readonly (Case & { readonly rule: string; readonly why: string })[] = [
    {
      why: 'every byte is swapped back without looking: a thread stands on the jump in padding of int 3',
      operation: 'revert',
      protocol: 'padding-restored-underfoot',
      engine: { spareOccupiedPadding: false },
      rule: 'fault',
    },
    {
      why: 'the same with the pointer of the indirect form',
      operation: 'revert',
      protocol: 'padding-restored-underfoot',
      form: 'indirect',
      rule: 'fault',
    },
    {
      why: 'processors run on, and the two bytes at the entry straddle eight',
      offset: 7,
      engine: { gatherProcessors: false },
      rule: 'torn',
    },
    { why: 'no processor is serialised', protocol: 'no-serialisation', fetch: 'weak', rule: 'stale' },
  ];
  it.each(unsafe)('$why: $rule', async ({ rule, why: _, ...one }) => {
    expect((await violations(one)).map((found) => found.rule)).toContain(rule);
  });

  it('a jump that becomes nops underfoot is harmless: its thread slides through them into the function', async () => {
    const one = { operation: 'revert', protocol: 'padding-restored-underfoot', padding: 'nop' } as const;
    expect(await violations(one)).toEqual([]);
  });

  it('a first instruction of one byte, which only the laboratory refuses: a thread stands behind it', async () => {
    const shape = firstInstruction('x64', 2);
    const [, ...others] = shape.base;
    const pushed = { name: 'f', code: ['push rbx; pop rbx; lea eax, [rcx+0x11]; imul eax, eax, 3; ret'] };
    const source = await shape2003Subject({ ...shape, base: [pushed, ...others] }, 'apply', {
      engine: { checkEntries: false },
    });
    const windows = protocolNamed('windows');
    if (windows === undefined) throw new Error('no such protocol');
    const result = await explore(source, { protocol: windows, processors: 1, fetch: 'coherent' });
    expect(result?.violations.length).toBeGreaterThan(0);
  });
});

describe('the protocol server-2003', () => {
  it('stores what the real engine stores, apart from the distance', async () => {
    const shape = firstInstruction('x86', 2);
    const subject = await (await shape2003Subject(shape, 'apply')).create();
    const real = [...subject.steps()].flatMap((step) =>
      step.kind === 'store' ? [`${step.target} ${step.bytes.length} ${step.bytes[0]}`] : [],
    );
    subject[Symbol.dispose]();
    const modelled = record(await (await shapeSubject(shape, 'apply')).create());
    const steps = protocolNamed('server-2003')?.steps(modelled) ?? [];
    const stores = steps.flatMap((step) =>
      step.kind === 'store' ? [`${step.target} ${step.bytes.length} ${step.bytes[0]}`] : [],
    );
    expect(real).toEqual(stores);
  });
});
