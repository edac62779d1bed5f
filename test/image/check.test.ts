import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { instructionFacts, loadDisassembler } from '../../cpu/index.js';
import {
  CHECK_RULES,
  type CheckReport,
  checkImage,
  findSymbols,
  type ImageArchitecture,
  ImageBuilder,
  type InstructionDecoder,
  type Pdb,
  readImage,
} from '../../image/index.js';
import { fixtureImages, inRepository } from './real-images.js';

/** Of the engine that these rules are about; the one of 2003 needs less. */
const modernBases = fixtureImages.filter((file) => file.includes('/base/') && !file.includes('/2003/'));

const disassemble = await loadDisassembler();
const decoderFor = (architecture: ImageArchitecture): InstructionDecoder => ({
  facts: (bytes, address) => instructionFacts(architecture, bytes, address),
  text: (bytes, address) => disassemble(architecture, bytes, address, { count: 1 })[0]?.text ?? '',
});

const RET = { x64: [0x66, 0x90, 0xc3], x86: [0x66, 0x90, 0xc3], arm64: [0xc0, 0x03, 0x5f, 0xd6] } as const;
const UNWIND = { x64: [1, 0, 0, 0], x86: undefined, arm64: 0x9 } as const;
const GUARD_CF = 0x4000;

/** An image with which nothing is wrong, before `change`. */
function goodImage(
  architecture: ImageArchitecture,
  change: (builder: ImageBuilder) => ImageBuilder = (b) => b,
  options = {},
) {
  const unwind = UNWIND[architecture];
  return change(
    new ImageBuilder(architecture, { dllCharacteristics: GUARD_CF, ...options })
      .code('good', RET[architecture], unwind === undefined ? {} : { unwind })
      .data('slot', [0])
      .hotPatchCompatible()
      .loadConfig(),
  );
}

function check(builder: ImageBuilder, origin: 'map' | 'exports' = 'map'): CheckReport {
  const { image, symbols } = builder.build();
  return checkImage(image, { table: symbols, origin: { kind: origin } }, decoderFor(builder.architecture));
}

const rulesOf = (report: CheckReport) => [
  ...report.findings.map(({ rule }) => rule),
  ...report.functions.flatMap(({ reasons }) => reasons.map(({ rule }) => rule)),
];

describe('an image with which nothing is wrong', () => {
  test.each(['x64', 'arm64', 'x86'] as const)('%s', (architecture) => {
    const report = check(goodImage(architecture));
    expect(rulesOf(report)).toEqual([]);
    expect(report.ready).toBe(true);
  });

  test.each(modernBases)('%s', (file) => {
    const path = inRepository(file);
    const image = readImage(readFileSync(path), { file });
    const report = checkImage(image, findSymbols({ image, path }), decoderFor(image.architecture));
    expect(report.functions.filter(({ patchable }) => !patchable)).toEqual([]);
    expect(report.ready).toBe(true);
    expect(report.functions.length).toBeGreaterThan(5);
    // On x86 addresses are relocated; some modules have one in the first bytes of a function.
    const usual = image.architecture === 'x86' ? ['function.relocation'] : [];
    expect(rulesOf(report).filter((rule) => !usual.includes(rule))).toEqual([]);
  });
});

const add =
  (contents: readonly number[], options: Parameters<ImageBuilder['code']>[2] = {}) =>
  (builder: ImageBuilder) =>
    builder.code('bad', contents, options);

/** [rule, machine, change, still ready]. */
const cases: readonly [
  keyof typeof CHECK_RULES,
  ImageArchitecture,
  (builder: ImageBuilder) => ImageBuilder,
  boolean,
][] = [
  ['function.padding', 'x64', add([0x90, 0x90, 0xc3], { padding: 0, alignment: 1 }), false],
  ['function.firstInstruction', 'x64', add([0x53, 0x5b, 0xc3]), false],
  ['function.firstInstruction', 'x86', add([0x55, 0x5d, 0xc3]), false],
  ['function.invalid', 'x64', add([0x06, 0x06]), false],
  ['function.jumpTarget', 'x64', add([0x31, 0xc0, 0xeb, 0xfd]), false],
  ['function.loopToEntry', 'x64', add([0x31, 0xc0, 0xeb, 0xfc]), true],
  ['function.relocation', 'x86', add([0xa1, 0, 0, 0, 0, 0xc3], { relocations: [1] }), true],
  [
    'function.alignment',
    'arm64',
    (builder) => add(RET.arm64, { alignment: 2 })(builder.code('odd', [0, 0], { alignment: 2 })),
    false,
  ],
  ['loadConfig.size', 'x64', (builder) => builder.loadConfig({}, 0xf0), false],
  ['guard.functionTable', 'x64', (builder) => builder.loadConfig({ guardFlags: 0x100 }), true],
  ['guard.xfg', 'x64', (builder) => builder.loadConfig({ guardFlags: 0x800000 }), true],
];

describe('what makes an image or a function unfit', () => {
  test.each(cases)('%s on %s', (rule, architecture, change, ready) => {
    const report = check(goodImage(architecture, change));
    expect(rulesOf(report)).toContain(rule);
    expect(report.ready).toBe(ready);
    expect(report.functions.find(({ name }) => name === 'good')?.patchable).toBe(true);
  });

  test.each([
    [
      'exDllCharacteristics.hotPatchCompatible',
      new ImageBuilder('x64').code('f', RET.x64, { unwind: UNWIND.x64 }).loadConfig(),
    ],
    [
      'loadConfig.absent',
      new ImageBuilder('x64').code('f', RET.x64, { unwind: UNWIND.x64 }).hotPatchCompatible(),
    ],
    ['unwind.absent', new ImageBuilder('arm64').code('f', RET.arm64).hotPatchCompatible().loadConfig()],
    ['guard.absent', new ImageBuilder('x86').code('f', RET.x86)],
    ['timeDateStamp.absent', goodImage('x64', undefined, { timeDateStamp: 0 })],
    ['relocations.stripped', goodImage('x64', undefined, { relocationsStripped: true })],
  ] as const)('%s', (rule, builder) => {
    expect(rulesOf(check(builder))).toContain(rule);
  });

  test.each([
    ['checkSum.absent', 0],
    ['checkSum.wrong', 1],
  ] as const)('%s', (rule, value) => {
    const { bytes, image, symbols } = goodImage('x64').build();
    new DataView(bytes.buffer).setUint32(image.checkSumOffset, value, true);
    const report = checkImage(
      readImage(bytes),
      { table: symbols, origin: { kind: 'map' } },
      decoderFor('x64'),
    );
    expect(rulesOf(report)).toEqual([rule]);
  });

  test('without a PDB or map: only a warning on x64, but on ARM64 nothing else says where the functions are', () => {
    expect(check(goodImage('x64'), 'exports')).toMatchObject({
      ready: true,
      findings: [{ rule: 'symbols.incomplete' }],
    });
    expect(check(goodImage('arm64'), 'exports')).toMatchObject({
      ready: false,
      findings: [{ rule: 'symbols.absent' }],
    });
  });

  test('loadConfig.directorySize: on x86 a directory of 64 bytes is what old linkers wrote', () => {
    const rulesWith = (architecture: 'x64' | 'x86', directorySize: number) => {
      const { bytes, image, symbols } = goodImage(architecture).build();
      const view = new DataView(bytes.buffer, bytes.byteOffset);
      const directories = image.headers.optionalHeaderOffset + (architecture === 'x64' ? 112 : 96);
      const LOAD_CONFIG = 10;
      view.setUint32(directories + 8 * LOAD_CONFIG + 4, directorySize, true);
      view.setUint32(image.checkSumOffset, readImage(bytes).computedCheckSum, true);
      const origin = { kind: 'map' } as const;
      return rulesOf(checkImage(readImage(bytes), { table: symbols, origin }, decoderFor(architecture)));
    };
    expect(rulesWith('x64', 0x40)).toEqual(['loadConfig.directorySize']);
    expect(rulesWith('x86', 0x44)).toEqual(['loadConfig.directorySize']);
    expect(rulesWith('x86', 0x40)).toEqual([]);
  });

  const CV_CFL_C = 0;
  const CV_CFL_MASM = 3;
  const compile = { isHotPatchable: false, language: CV_CFL_C, compiler: 'compiler 1.0' };
  test.each([
    ['compiled without /hotpatch', compile, 1, 'x64', true],
    ['compiled with it', { ...compile, isHotPatchable: true }, 1, 'x64', false],
    ['assembled', { ...compile, language: CV_CFL_MASM }, 1, 'x64', false],
    ['without code in the image', compile, 0, 'x64', false],
    ['on ARM64, where nothing is needed', compile, 1, 'arm64', false],
    ['that does not say', undefined, 1, 'x86', false],
  ] as const)('compiler.hotPatch: an object file %s', (_, said, size, architecture, warned) => {
    const { image, symbols } = goodImage(architecture).build();
    const module = { shortName: 'file.obj', contribution: { size }, ...(said && { compile: said }) };
    const pdb = { modules: [module] } as unknown as Pdb;
    const report = checkImage(
      image,
      { table: symbols, origin: { kind: 'pdb' }, pdb },
      decoderFor(architecture),
    );
    expect(
      report.findings.map(({ rule, message }) => [rule, message.includes('file.obj (compiler 1.0)')]),
    ).toEqual(warned ? [['compiler.hotPatch', true]] : []);
    expect(report.ready).toBe(true);
  });

  test('a function that calls others but has no unwind data', () => {
    const call = [0xe8, 0, 0, 0, 0, 0xc3];
    expect(rulesOf(check(goodImage('x64', add(call))))).toEqual(['function.unwind']);
  });
});

describe('padding', () => {
  const nop6 = [0x66, 0x0f, 0x1f, 0x44, 0x00, 0x00];
  test.each([
    ['long nops behind a function of known end', [...RET.x64, ...nop6], 6, true],
    ['int 3', [...RET.x64, 0xcc, 0xcc, 0xcc, 0xcc, 0xcc, 0xcc], 6, true],
    ['one byte short', [...RET.x64, 0xcc, 0xcc, 0xcc, 0xcc, 0xcc], 5, false],
    ['zeros, which are instructions', [...RET.x64, 0, 0, 0, 0, 0, 0], 0, false],
  ])('%s', (_, before, padding, patchable) => {
    const { image, rva } = new ImageBuilder('x64', { functionPadding: 0 })
      .code('before', before, { alignment: 1 })
      .code('after', RET.x64, { alignment: 1 })
      .build();
    const symbol = { kind: 'function' as const, isStatic: false };
    const all = [
      { ...symbol, name: 'before', rva: rva('before'), size: RET.x64.length },
      { ...symbol, name: 'after', rva: rva('after'), size: RET.x64.length },
    ];
    const table = { all, byName: () => undefined, allByName: () => [], byAddress: () => undefined };
    const after = checkImage(image, { table, origin: { kind: 'pdb' } }, decoderFor('x64')).functions[1];
    expect(after).toMatchObject({ padding, patchable });
  });
});

test('names that share an address, and a function shorter than the jump', () => {
  const { image, rva } = new ImageBuilder('x64').code('f', [0xc3]).build();
  const symbol = { kind: 'function' as const, isStatic: false, rva: rva('f'), size: 1 };
  const all = [
    { ...symbol, name: 'one' },
    { ...symbol, name: 'two' },
  ];
  const table = { all, byName: () => undefined, allByName: () => [], byAddress: () => undefined };
  const [found] = checkImage(image, { table, origin: { kind: 'pdb' } }, decoderFor('x64')).functions;
  expect(found).toMatchObject({ name: 'one', aliases: ['two'], patchable: false });
  expect(found?.reasons.map(({ rule }) => rule).sort()).toEqual([
    'function.firstInstruction',
    'function.folded',
    'function.size',
  ]);
});

test('each rule says what to do about it', () => {
  for (const [rule, { description, advice }] of Object.entries(CHECK_RULES)) {
    expect(description.length, rule).toBeGreaterThan(20);
    expect(advice.length, rule).toBeGreaterThan(10);
  }
});
