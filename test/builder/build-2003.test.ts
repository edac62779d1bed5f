import { Lab } from 'hotpatch-lab';
import { hookTypeName, type ImageBuilder } from 'hotpatch-lab/image';
import { describe, expect, it } from 'vitest';
import { type Built2003, buildHotPatch2003, verifyHotPatch2003 } from '../../builder/index.js';
import {
  all,
  branches,
  type Change,
  code,
  data,
  INCREMENT,
  newF,
  oldF,
  PROCESSORS,
  pair,
  touches,
} from '../corpus/refused/2003/refusal.js';
import { image, RETURN, source } from '../corpus/refused/refusal.js';

const hookNames = ({ section }: Built2003) => section.hooks.map(({ type }) => hookTypeName(type));
const PAGE_SIZE = 0x1000;

describe('the form of the hooks', () => {
  it('is indirect on x64, through a pointer behind the code, and near on x86', () => {
    const [x86, x64] = PROCESSORS.map((processor) => buildHotPatch2003(pair(oldF, newF)(processor)));
    expect(x86 && hookNames(x86)).toEqual(['X86_JMP', 'X86_JMP2B']);
    expect(x64 && hookNames(x64)).toEqual(['AMD64_CNT', 'AMD64_IND', 'X86_JMP2B']);
  });

  it('is near where the last page of code has no room for a pointer, and needs five bytes of padding only', () => {
    const padded = code('f', RETURN(1), { padding: 5, alignment: 1 });
    const first = PAGE_SIZE - 5 - RETURN(1).length;
    const filled = (builder: ImageBuilder) =>
      padded(builder.code('before', new Uint8Array(first).fill(0x40), { padding: 0 }));
    const built = buildHotPatch2003(pair(filled, newF)('x64'));
    expect(hookNames(built)).toEqual(['X86_JMP', 'X86_JMP2B']);
  });
});

describe('validations', () => {
  it('compare a function of more than 65535 bytes in parts', () => {
    const long = new Uint8Array(0x10000).fill(0x90);
    const functions = (value: number) => (builder: ImageBuilder) =>
      builder.code('f', [...RETURN(value).slice(0, -1), ...long, 0xc3]);
    const input = pair(functions(1), functions(2))('x64');
    const built = buildHotPatch2003(input);
    const [, ...parts] = built.section.validations ?? [];
    const sizes = parts.map(({ source }) => (typeof source === 'number' ? 0 : source.length));
    expect(sizes).toEqual([0xffff, 0x10000 + RETURN(1).length - 0xffff]);
    const { base, fixed } = input;
    expect(verifyHotPatch2003({ base, patch: { ...fixed, image: built.image } })).toMatchObject({
      isValid: true,
      formatFindings: [],
    });
  });
});

describe.each(PROCESSORS)('preferred bases far from each other, %s', (architecture) => {
  it('do not matter: the hotpatch lies beside its target, and its distances reach', async () => {
    const counter = data('counter', 0, 0, 0, 0);
    const functions = (f: Change) => all(f, touches('g', INCREMENT, 'counter'), counter);
    const base = image(architecture, functions(oldF), {
      dll: true,
      name: 'victim.dll',
      imageBase: 0x1000_0000n,
    });
    const imageBase = architecture === 'x64' ? 0x7ff0_0000_0000n : 0x7000_0000n;
    const fixed = image(architecture, functions(branches('f', 0xe9, 'g', 4)), { dll: true, imageBase });
    const hotpatch = buildHotPatch2003({ base: source(base), fixed: source(fixed) });

    using lab = await Lab.boot({ architecture, memorySize: 16 << 20, engine: 'server-2003' });
    const process = lab.createProcess('program.exe');
    const options = { name: 'victim.dll', symbols: base.symbols, initialize: false };
    const victim = process.loadImage(base.image, options);
    lab.engine.load(hotpatch.image, { name: 'victim_hp.dll' });
    process.call64(victim.symbol('f'));
    expect(process.addressSpace.readU32(victim.symbol('counter'))).toBe(1);
  });
});
