import { fileURLToPath } from 'node:url';
import { HotPatchError, Lab } from 'hotpatch-lab';
import { instructionFacts } from 'hotpatch-lab/cpu';
import { type BuiltImage, checkImage, findSymbols, ImageBuilder } from 'hotpatch-lab/image';
import { describe, expect, it } from 'vitest';
import { entryProblems } from '../../builder/entry.js';
import { Findings } from '../../builder/finding.js';
import { Program } from '../../builder/program.js';
import { checkEntry } from '../../builder/server-2003/hooks.js';
import { pair, returning } from './built.js';
import { buildPatch, indirectHooks, nearHooks } from './server-2003/support.js';

type Processor = 'x64' | 'x86';

/** What is at an entry, and what is right of it: bytes of fill before it, and the length of its first instruction. */
interface Entry {
  readonly name: string;
  readonly processors?: readonly Processor[];
  /** Right before the function, behind the RET of another one. */
  readonly before: readonly number[];
  readonly code: readonly number[];
  readonly fill: number;
  /** 0: it is no instruction. */
  readonly first: number;
}

const RETURN_1 = [0xb8, 1, 0, 0, 0, 0xc3];
const CC6 = [0xcc, 0xcc, 0xcc, 0xcc, 0xcc, 0xcc];
const good = { code: RETURN_1, first: 5 };

/** NOP in its recommended forms: Intel SDM volume 2, "NOP", table 4-12. */
const NOP = {
  2: [0x66, 0x90],
  3: [0x0f, 0x1f, 0x00],
  4: [0x0f, 0x1f, 0x40, 0x00],
  5: [0x0f, 0x1f, 0x44, 0x00, 0x00],
  6: [0x66, 0x0f, 0x1f, 0x44, 0x00, 0x00],
  7: [0x0f, 0x1f, 0x80, 0, 0, 0, 0],
  8: [0x0f, 0x1f, 0x84, 0, 0, 0, 0, 0],
  9: [0x66, 0x0f, 0x1f, 0x84, 0, 0, 0, 0, 0],
} as const;

const ENTRIES: readonly Entry[] = [
  { name: 'six INT 3', before: CC6, fill: 6, ...good },
  { name: 'six NOP', before: [0x90, 0x90, 0x90, 0x90, 0x90, 0x90], fill: 6, ...good },
  { name: 'three NOP of two bytes', before: [...NOP[2], ...NOP[2], ...NOP[2]], fill: 6, ...good },
  { name: 'two NOP of three bytes', before: [...NOP[3], ...NOP[3]], fill: 6, ...good },
  { name: 'NOP of four bytes and of two', before: [...NOP[4], ...NOP[2]], fill: 6, ...good },
  { name: 'NOP of one byte and of five', before: [0x90, ...NOP[5]], fill: 6, ...good },
  { name: 'one NOP of six bytes', before: NOP[6], fill: 6, ...good },
  { name: 'one NOP of seven bytes', before: NOP[7], fill: 7, ...good },
  { name: 'one NOP of eight bytes', before: NOP[8], fill: 8, ...good },
  { name: 'one NOP of nine bytes', before: NOP[9], fill: 9, ...good },
  { name: 'one NOP of ten bytes, with 2E', before: [0x66, 0x2e, ...NOP[8]], fill: 10, ...good },
  { name: 'INT 3 and NOP', before: [0xcc, ...NOP[5]], fill: 6, ...good },
  { name: 'six zero bytes', before: [0, 0, 0, 0, 0, 0], fill: 0, ...good },
  {
    name: 'zero bytes, the end of a jump, and four INT 3',
    before: [0xe9, 4, 2, 0, 0, ...CC6.slice(2)],
    fill: 4,
    ...good,
  },
  { name: 'five INT 3', before: CC6.slice(1), fill: 5, ...good },
  { name: 'nothing', before: [], fill: 0, ...good },
  { name: 'PAUSE, which is no NOP', before: [0xf3, 0x90, 0xf3, 0x90, 0xf3, 0x90], fill: 1, ...good },
  { name: 'PREFETCH, which is near to NOP', before: [0x0f, 0x18, 0x00, 0x0f, 0x18, 0x00], fill: 0, ...good },
  { name: 'the end of UD2', before: [0x0f, 0x0b, 0x0f, 0x0b, 0x0f, 0x0b], fill: 0, ...good },
  { name: 'RET alone at the entry', before: CC6, fill: 6, code: [0xc3, ...CC6], first: 1 },
  { name: 'PUSH of one byte', before: CC6, fill: 6, code: [0x55, 0x5d, ...RETURN_1], first: 1 },
  { name: 'INC EAX', processors: ['x86'], before: CC6, fill: 6, code: [0x40, ...RETURN_1], first: 1 },
  {
    name: 'the same byte, a prefix',
    processors: ['x64'],
    before: CC6,
    fill: 6,
    code: [0x40, ...RETURN_1],
    first: 6,
  },
  { name: 'no instruction', processors: ['x64'], before: CC6, fill: 6, code: [0x06, ...RETURN_1], first: 0 },
  { name: 'no padding and RET', before: [], fill: 0, code: [0xc3, ...CC6], first: 1 },
];

const CASES = ENTRIES.flatMap((entry) =>
  (entry.processors ?? (['x64', 'x86'] as const)).map((processor) => ({ ...entry, processor })),
);

const parts = (builder: ImageBuilder, before: readonly number[], code: readonly number[]) =>
  builder
    .code('g', [0xb8, 7, 0, 0, 0, 0xc3, ...before], { padding: 0 })
    .code('f', code, { padding: 0, alignment: 1 })
    .code('cells', new Uint8Array(64))
    .export('f')
    .export('g');

/** The only names are exports, whose sizes nobody knows. */
function target({ processor, before, code }: (typeof CASES)[number]): BuiltImage {
  return parts(
    new ImageBuilder(processor, { dll: true, subsystem: 'WINDOWS_CUI', name: 'target.dll' }),
    before,
    code,
  ).build();
}

const exportsOf = ({ image }: BuiltImage) =>
  findSymbols({ image, path: fileURLToPath(new URL('nowhere/target.dll', import.meta.url)) });

/** The rule that an operation is refused with; undefined when it is done. */
function ruleOf(action: () => unknown): string | undefined {
  try {
    action();
    return undefined;
  } catch (error) {
    if (error instanceof HotPatchError) return error.rule;
    throw error;
  }
}

const ENTRY_RULES = /\.(padding|firstInstruction|invalid|entry)$/;

/** Everybody who judges entries: the rules that say so, of an entry in their need. */
const JUDGES: readonly {
  readonly name: string;
  readonly padding: Readonly<Record<Processor, number>>;
  readonly rules: { readonly padding: string; readonly first: string; readonly invalid: string };
  /** Engines end with the first rule that is broken. */
  readonly endsWithFirst?: true;
  judge(one: (typeof CASES)[number]): Promise<readonly (string | undefined)[]>;
}[] = [
  {
    name: 'check',
    padding: { x64: 6, x86: 6 },
    rules: { padding: 'function.padding', first: 'function.firstInstruction', invalid: 'function.invalid' },
    async judge(one) {
      const { image } = target(one);
      const { table, origin } = exportsOf(target(one));
      const report = checkImage(
        image,
        { table, origin },
        {
          facts: (bytes, address) => instructionFacts(one.processor, bytes, address),
          text: () => '',
        },
      );
      const found = report.functions.find(({ name }) => name === 'f');
      return (found?.reasons ?? []).map(({ rule }) => rule).filter((rule) => ENTRY_RULES.test(rule));
    },
  },
  {
    name: 'the builder',
    padding: { x64: 6, x86: 6 },
    rules: {
      padding: 'entry.padding',
      first: 'entry.firstInstruction',
      invalid: 'entry.firstInstruction',
    },
    async judge(one) {
      const built = target(one);
      const program = new Program({ image: built.image, symbols: exportsOf(built).table });
      const code = program.functionAt(built.rva('f'));
      if (code === undefined) throw new Error('there is no f');
      return entryProblems(program, code, 0).map(({ rule }) => rule);
    },
  },
  {
    name: 'the builder for Server 2003',
    padding: { x64: 6, x86: 5 },
    rules: { padding: 'hotp1.padding', first: 'hotp1.entry', invalid: 'hotp1.entry' },
    async judge(one) {
      const built = target(one);
      const program = new Program({ image: built.image, symbols: exportsOf(built).table });
      const code = program.functionAt(built.rva('f'));
      if (code === undefined) throw new Error('there is no f');
      const findings = new Findings();
      checkEntry(program, code, one.processor === 'x64' ? 'indirect' : 'near', findings);
      return findings.all.map(({ rule }) => rule);
    },
  },
  {
    name: 'the modern engine',
    endsWithFirst: true,
    padding: { x64: 6, x86: 6 },
    rules: {
      padding: 'function.padding',
      first: 'function.firstInstruction',
      invalid: 'function.firstInstruction',
    },
    async judge({ processor, before, code }) {
      const images = pair({
        architecture: processor,
        covered: ['f'],
        parts: (builder, value) =>
          value === 1 ? parts(builder, before, code) : builder.code('f', returning(value)),
      });
      using lab = await Lab.boot({ architecture: 'x64' });
      const process = lab.createProcess({ name: 'p.exe', wow64: processor === 'x86' });
      process.loadImage(images.base, { initialize: false });
      return [ruleOf(() => lab.engine.load(images.patch))];
    },
  },
  {
    name: 'the engine of Server 2003',
    endsWithFirst: true,
    padding: { x64: 6, x86: 5 },
    rules: { padding: 'hook.padding', first: 'hook.entry', invalid: 'hook.entry' },
    async judge(one) {
      const built = target(one);
      const { processor } = one;
      using lab = await Lab.boot({ architecture: processor, engine: 'server-2003', memorySize: 16 << 20 });
      const process = lab.createProcess({ name: 'p.exe', wow64: processor === 'x86' });
      process.loadImage(built.image, { initialize: false });
      const patch = buildPatch(built, {
        processor,
        section: ({ good: input, layout }) => {
          const [f, g] = [built.rva('f'), layout.rva('g')];
          const hooks = processor === 'x64' ? indirectHooks(f, g, built.rva('cells')) : nearHooks(f, g);
          return { ...input, hooks, validations: [] };
        },
      });
      return [ruleOf(() => lab.engine.load(patch))];
    },
  },
];

describe.each(JUDGES)('an entry, as $name judges it', ({ padding, rules, endsWithFirst, judge }) => {
  it.each(CASES)('$processor: $name', async (one) => {
    const wanted = [
      ...(one.fill < padding[one.processor] ? [rules.padding] : []),
      ...(one.first === 0 ? [rules.invalid] : one.first < 2 ? [rules.first] : []),
    ];
    expect(await judge(one)).toEqual(endsWithFirst === true ? [wanted[0]] : wanted);
  });
});

describe.each(JUDGES)('a first instruction that crosses a page end, as $name judges it', ({ judge }) => {
  const offsets = [0xffb, 0xffc, 0xffd, 0xffe, 0xfff];
  it.each(offsets)('at page offset %i it is as long as it is', async (offset) => {
    for (const processor of ['x64', 'x86'] as const) {
      // `g` and its return begin the section; the rest is fill.
      const before = new Array<number>(offset - 6).fill(0xcc);
      const one = { name: '', processor, before, ...good, fill: 6 };
      expect((await judge(one)).filter((rule) => rule !== undefined)).toEqual([]);
    }
  });
});

describe('check, of code that runs through the padding into a function', () => {
  const found = (before: readonly number[], end: readonly number[]) => {
    const built = new ImageBuilder('x64', { dll: true, name: 'target.dll' })
      .code('g', [0x31, 0xc9, ...end, ...before], { padding: 0 })
      .code('f', RETURN_1, { padding: 0, alignment: 1 })
      .export('f')
      .export('g')
      .build();
    const { table, origin } = exportsOf(built);
    const decoder = {
      facts: (bytes: Uint8Array, address: bigint) => instructionFacts('x64', bytes, address),
      text: () => '',
    };
    const { functions } = checkImage(built.image, { table, origin }, decoder);
    const reasons = functions.find(({ name }) => name === 'f')?.reasons ?? [];
    return reasons.filter(({ rule }) => rule === 'function.fallThrough').map(({ severity }) => severity);
  };
  const SIX_NOPS = [0x90, 0x90, 0x90, 0x90, 0x90, 0x90];
  it.each([
    ['XOR and NOP', SIX_NOPS, [], ['warning']],
    ['a conditional jump and NOP', SIX_NOPS, [0x74, 0xfe], ['warning']],
    ['RET and NOP', SIX_NOPS, [0xc3], []],
    ['JMP and NOP', SIX_NOPS, [0xeb, 0xfe], []],
    ['a call, which may never return, and NOP', SIX_NOPS, [0xe8, 0, 0, 0, 0], []],
    ['UD2 and NOP', SIX_NOPS, [0x0f, 0x0b], []],
    ['XOR and INT 3, which traps', CC6, [], []],
  ])('%s', (_, before, end, severities) => {
    expect(found(before, end)).toEqual(severities);
  });
});
