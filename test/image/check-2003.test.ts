import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { instructionFacts } from '../../cpu/index.js';
import {
  type CheckReport,
  type CheckRuleId,
  checkImage,
  findSymbols,
  ImageBuilder,
  type InstructionDecoder,
  readImage,
} from '../../image/index.js';
import { fixtureImages, inRepository } from './real-images.js';

type Machine = 'x86' | 'x64';
const MACHINES = ['x86', 'x64'] as const;

const decoderFor = (architecture: Machine | 'arm64'): InstructionDecoder => ({
  facts: (bytes, address) => instructionFacts(architecture, bytes, address),
  text: () => '',
});

/** What a linker of 2003 made of it: no load configuration, no mark, no guard, no time stamp. */
const plain = (machine: Machine, options = {}) =>
  new ImageBuilder(machine, { timeDateStamp: 0, ...options }).code('good', [0x8b, 0xff, 0xc3]);

function check(builder: ImageBuilder, generation: '2003' | 'modern' = '2003'): CheckReport {
  const { image, symbols } = builder.build();
  const decoder = decoderFor(builder.architecture);
  return checkImage(image, { table: symbols, origin: { kind: 'map' } }, decoder, { generation });
}

const rulesOf = ({ findings, functions }: CheckReport) => [
  ...findings.map(({ rule }) => rule),
  ...functions.flatMap(({ reasons }) => reasons.map(({ rule }) => rule)),
];

describe.each(MACHINES)('hotpatches of the 2003 generation for an %s image', (machine) => {
  test('what the modern one needs of it is not asked for', () => {
    const report = check(plain(machine));
    expect([report.generation, report.ready, rulesOf(report)]).toEqual(['2003', true, []]);
    const modern = check(plain(machine), 'modern');
    expect([modern.generation, modern.ready]).toEqual(['modern', false]);
    expect(rulesOf(modern)).toContain('loadConfig.absent');
  });

  /** E9 rel32 takes five bytes; FF 25 rel32, of x64 images that have room for its pointer, six. */
  const needed = machine === 'x86' ? 5 : 6;
  test.each([
    { padding: needed - 1, fits: false },
    { padding: needed, fits: true },
  ])('$padding bytes of padding: $fits', ({ padding, fits }) => {
    const report = check(
      plain(machine, { functionPadding: 0 }).code('f', [0x8b, 0xff, 0xc3], { padding, alignment: 1 }),
    );
    const f = report.functions.find(({ name }) => name === 'f');
    expect([f?.padding, f?.patchable]).toEqual([padding, fits]);
    if (!fits) expect(f?.reasons[0]?.message).toContain(`${padding} of ${needed}`);
  });

  const cases: readonly (readonly [CheckRuleId, string, readonly number[], boolean])[] = [
    ['function.firstInstruction', 'push; pop; ret', [0x55, 0x5d, 0xc3], false],
    ['function.jumpTarget', 'a jump to its second byte', [0x31, 0xc0, 0xeb, 0xfd, 0xc3], false],
    ['function.loopToEntry', 'a conditional jump to its entry', [0x31, 0xc0, 0x75, 0xfc, 0xc3], true],
    ['function.neverLeaves', 'a jump to itself behind the entry', [0x31, 0xc0, 0xeb, 0xfe], false],
    ['function.neverLeaves', 'a part that a branch leads to', [0x74, 0x01, 0xc3, 0x90, 0xeb, 0xfd], false],
  ];
  test.each(cases)('%s: %s', (rule, _, code, patchable) => {
    const report = check(plain(machine).code('bad', code));
    expect(rulesOf(report)).toEqual([rule]);
    expect(report.functions.find(({ name }) => name === 'bad')?.patchable).toBe(patchable);
    expect(report.ready).toBe(patchable);
  });

  test('a loop that ends is none', () => {
    const loop = [0x31, 0xc0, 0xff, 0xc0, 0x75, 0xfc, 0xc3];
    expect(rulesOf(check(plain(machine).code('loop', loop)))).toEqual([]);
    expect(rulesOf(check(plain(machine).code('endless', [0x90, 0x90, 0xeb, 0xfd]), 'modern'))).not.toContain(
      'function.neverLeaves',
    );
  });

  test.each([
    ['checkSum.absent', 0],
    ['checkSum.wrong', 1],
  ] as const)('%s', (rule, value) => {
    const { bytes, image, symbols } = plain(machine).build();
    new DataView(bytes.buffer).setUint32(image.checkSumOffset, value, true);
    const report = checkImage(
      readImage(bytes),
      { table: symbols, origin: { kind: 'map' } },
      decoderFor(machine),
      { generation: '2003' },
    );
    expect(rulesOf(report)).toEqual([rule]);
  });
});

test('an ARM64 image cannot carry them', () => {
  const { image, symbols } = new ImageBuilder('arm64').code('f', [0xc0, 0x03, 0x5f, 0xd6]).build();
  const report = checkImage(image, { table: symbols, origin: { kind: 'map' } }, decoderFor('arm64'), {
    generation: '2003',
  });
  expect(report.ready).toBe(false);
  expect(rulesOf(report)).toContain('image.machine');
});

const bases = fixtureImages.filter((file) => file.includes('/base/') && file.includes('/2003/'));

test('there are fixtures of that generation', () => expect(bases.length).toBeGreaterThan(3));

test.each(bases)('%s is ready', (file) => {
  const path = inRepository(file);
  const image = readImage(readFileSync(path), { file });
  const machine = image.architecture === 'x86' ? 'x86' : 'x64';
  const report = checkImage(image, findSymbols({ image, path }), decoderFor(machine), { generation: '2003' });
  expect(report.functions.filter(({ patchable }) => !patchable)).toEqual([]);
  expect(report.ready).toBe(true);
});
