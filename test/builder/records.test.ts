import { readImage, symbolTable } from 'hotpatch-lab/image';
import { describe, expect, it } from 'vitest';
import {
  type AssemblyProgram,
  assembleImage,
  assemblePatch,
  buildHotPatch,
  verifyHotPatch,
} from '../../builder/index.js';
import { readSource } from '../corpus/victim.js';
import { fixture } from '../support.js';

describe.each(['x64', 'arm64', 'x86'] as const)('the hotpatch of demo.dll, %s', (architecture) => {
  const base = readSource(fixture(`${architecture}/base/demo.dll`));
  const fixed = readSource(fixture(`${architecture}/fixed/demo.dll`));
  const patch = buildHotPatch({ base, fixed });
  const records = (type: string, direction = 'backward') =>
    patch.chunks
      .filter((chunk) => chunk.type === type && chunk.direction === direction)
      .flatMap((chunk) => chunk.records);
  const inBase = (rva: number) => base.symbols.byAddress(rva)?.symbol.name;
  const inFixed = (rva: number) =>
    fixed.symbols.all.filter((symbol) => symbol.rva === rva).map(({ name }) => name);

  it('sends back what patched code reaches, and nothing else', () => {
    const sentBack = records('FUNCTION').flatMap(({ rva }) => inFixed(rva));
    expect(sentBack).toEqual(
      expect.arrayContaining(['op_add', 'memcpy', 'find', 'leaf_self', 'read_imp_counter']),
    );
    expect(sentBack).not.toContain('_DllMainCRTStartup');
    expect(sentBack).not.toContain('guard_check_nop');
  });

  it('leads each `__ref_` pointer to the variable of that name in the base', () => {
    const absolute = records('ABSOLUTE');
    expect(absolute.length).toBe(7);
    for (const { rva, target } of absolute) expect(inFixed(rva)).toContain(`__ref_${inBase(target)}`);
  });

  it('takes over shared imports and leaves new ones to the loader', () => {
    expect(records('INDIRECT').length).toBe(2);
    expect(fixed.image.imports.flatMap(({ functions }) => functions).length).toBe(4);
  });

  it('names the address-taken functions in both dwords', () => {
    const targets = records('CALL_TARGET');
    expect(targets.flatMap(({ rva }) => inFixed(rva)).toSorted()).toEqual(['op_add', 'op_mul']);
    for (const { rva, target } of targets) expect(target).toBe(rva);
  });

  it('keeps the original bytes of every function entry', () => {
    for (const { rva, originalBytes } of records('FUNCTION', 'forward'))
      expect(originalBytes).toEqual(base.image.read(rva, 4));
    for (const { rva, originalBytes } of records('FUNCTION'))
      expect(originalBytes).toEqual(fixed.image.read(rva, 4));
  });

  it('verifies, with symbols and without', () => {
    const image = readImage(patch.bytes, { file: 'demo_hp.dll' });
    expect(verifyHotPatch({ base, patch: { ...fixed, image } }).isValid).toBe(true);
    const { symbols } = readSource(fixture(`${architecture}/hpimport.dll`));
    const exportsOnly = {
      all: [],
      byName: symbols.byName,
      allByName: symbols.allByName,
      byAddress: symbols.byAddress,
    };
    const blind = verifyHotPatch({
      base: { image: base.image, symbols: exportsOnly },
      patch: { image, symbols: exportsOnly },
    });
    expect(blind.isValid).toBe(true);
    expect(blind.findings.map(({ rule }) => rule)).toContain('symbols.missing');
  });
});

describe.each([
  ['x64', 'demo.dll'],
  ['x64', 'packets.sys'],
  ['x64', 'notes.sys'],
  ['x64', 'callout.sys'],
  ['arm64', 'demo.dll'],
  ['arm64', 'packets.sys'],
  ['arm64', 'notes.sys'],
  ['x86', 'demo.dll'],
] as const)('the hotpatch of %s/%s', (architecture, name) => {
  it.each([
    ['both', true, true],
    ['the base alone', true, false],
    ['the hotpatch alone', false, true],
    ['neither', false, false],
  ])('is not refused, whoever has symbols: %s', (_who, ofBase, ofPatch) => {
    const base = readSource(fixture(`${architecture}/base/${name}`));
    const fixed = readSource(fixture(`${architecture}/fixed/${name}`));
    const image = readImage(buildHotPatch({ base, fixed }).bytes, { file: name });
    const nameless = (of: typeof base.image) => ({ image: of, symbols: symbolTable([]) });
    const { formatFindings, findings } = verifyHotPatch({
      base: ofBase ? base : nameless(base.image),
      patch: ofPatch ? { ...fixed, image } : nameless(image),
    });
    expect(formatFindings.filter(({ severity }) => severity === 'error')).toEqual([]);
    expect(findings.filter(({ severity }) => severity === 'refusal')).toEqual([]);
  });
});

const CHAIN: AssemblyProgram = {
  name: 'chain.sys',
  code: {
    f: 'mov eax, 1; ret',
    leaf: 'inc dword ptr [rip + counter]; ret',
    middle: 'sub rsp, 0x28; call leaf; add rsp, 0x28; ret',
    apart: 'sub rsp, 0x28; call leaf; add rsp, 0x28; ret',
  },
  data: { counter: [0, 0, 0, 0] },
};

describe('how far patched code is followed', () => {
  it("a new helper's callees count, a redirected function's do not", async () => {
    const { patch } = await assemblePatch('x64', {
      base: CHAIN,
      fixed: {
        code: {
          f: 'sub rsp, 0x28; call helper; add rsp, 0x28; ret',
          helper: 'sub rsp, 0x28; call middle; add rsp, 0x28; ret',
        },
      },
    });
    expect(Object.fromEntries(patch.functions.map(({ name, role }) => [name, role]))).toEqual({
      f: 'patched',
      helper: 'inside',
      middle: 'redirected',
      leaf: 'out',
      apart: 'out',
    });
    expect(patch.functions.find(({ name }) => name === 'helper')?.reasons).toContain('reached by f');
  });

  it('a changed constant with pointers stays in the patch image, and what it points at counts', async () => {
    const base: AssemblyProgram = {
      name: 'table.sys',
      code: { f: 'lea rax, [rip + table]; ret', one: 'mov eax, 1; ret', two: 'mov eax, 2; ret' },
      pointers: { table: ['one'] },
    };
    const { patch } = await assemblePatch('x64', { base, fixed: { pointers: { table: ['two'] } } });
    expect(Object.fromEntries(patch.functions.map(({ name, role }) => [name, role]))).toEqual({
      f: 'patched',
      one: 'out',
      two: 'redirected',
    });
    expect(patch.chunks.map(({ type }) => type)).toContain('CALL_TARGET');
  });
});

describe('cumulative hotpatches', () => {
  const first = { code: { f: 'mov eax, 2; ret', middle: 'mov eax, 7; ret' } };
  const second = { code: { f: 'mov eax, 3; ret' } };

  it('count up, and tell what is dropped', async () => {
    const { patchImage } = await assemblePatch('x64', { base: CHAIN, fixed: first });
    const { patch } = await assemblePatch(
      'x64',
      { base: CHAIN, fixed: second },
      { previous: { image: patchImage } },
    );
    expect(patch.sequenceNumber).toBe(2);
    expect(
      patch.findings.filter(({ rule }) => rule === 'previous.dropped').map(({ symbol }) => symbol),
    ).toEqual(['middle']);
  });

  it('tell what state is lost with the previous patch image', async () => {
    const stateful = await assemblePatch('x64', {
      base: CHAIN,
      fixed: { code: { f: 'inc dword ptr [rip + seen]; ret' }, data: { seen: [0, 0, 0, 0] } },
    });
    const { patch } = await assemblePatch(
      'x64',
      { base: CHAIN, fixed: second },
      { previous: { image: stateful.patchImage, symbols: stateful.fixed.symbols } },
    );
    expect(
      patch.findings.filter(({ rule }) => rule === 'previous.state').map(({ symbol }) => symbol),
    ).toEqual(['seen']);
  });

  it('say that nothing is known of that state without symbols', async () => {
    const stateful = await assemblePatch('x64', {
      base: CHAIN,
      fixed: { code: { f: 'inc dword ptr [rip + seen]; ret' }, data: { seen: [0, 0, 0, 0] } },
    });
    const rulesWith = async (symbols: typeof stateful.fixed.symbols | undefined) => {
      const previous = { image: stateful.patchImage, ...(symbols === undefined ? {} : { symbols }) };
      const { patch } = await assemblePatch('x64', { base: CHAIN, fixed: second }, { previous });
      return patch.findings.map(({ rule }) => rule).filter((rule) => rule === 'previous.symbols');
    };
    expect(await rulesWith(undefined)).toEqual(['previous.symbols']);
    expect(await rulesWith(stateful.fixed.symbols)).toEqual([]);
  });
});

describe('names given by the user', () => {
  it('are compared with what was found', async () => {
    const base = await assembleImage('x64', CHAIN);
    const fixed = await assembleImage('x64', { ...CHAIN, code: { ...CHAIN.code, f: 'mov eax, 2; ret' } });
    const { findings } = buildHotPatch({ base, fixed, functions: ['leaf', 'nowhere'] });
    expect(
      findings
        .filter(({ rule }) => rule.startsWith('function.'))
        .map(({ rule, symbol }) => `${rule} ${symbol}`),
    ).toEqual(['function.unmarked f', 'function.unchanged leaf', 'function.unknown nowhere']);
  });
});
