import {
  type BuiltImage,
  HOOK_TYPE,
  HOTP1_RULES,
  ImageBuilder,
  MODULE_ID_METHOD,
  readImage,
} from 'hotpatch-lab/image';
import { describe, expect, it } from 'vitest';
import { type BuildRuleId, verifyHotPatch2003 } from '../../builder/index.js';
import { DAMAGES } from '../engine/server-2003/damages.js';
import {
  buildPatch,
  buildTarget,
  type PatchChange,
  type Processor,
  returning,
} from '../engine/server-2003/support.js';

const PROCESSORS = ['x86', 'x64'] as const;

function verify(target: BuiltImage, change: PatchChange, allow: readonly string[] = []) {
  const image = buildPatch(target, change);
  return verifyHotPatch2003({
    base: { image: target.image, symbols: target.symbols },
    patch: { image, symbols: target.symbols },
    allow,
  });
}

/** Only a running system knows where images lie, and who protects them. */
const IN_MEMORY = /^(hook\.(distance|range)|fixup\.range|kernel\..*)$/;

interface Misfit extends PatchChange {
  readonly what: string;
  readonly rule: string;
  /** Default: the target that the hotpatch was made for. */
  readonly target?: (processor: Processor) => BuiltImage;
}

/** A target with other functions than the usual one. */
const targetWith = (change: (builder: ImageBuilder) => ImageBuilder) => (processor: Processor) =>
  change(new ImageBuilder(processor, { name: 'target.dll', subsystem: 'WINDOWS_CUI', dll: true })).build();

/** What the engine does not meet: it picks the target by name, and never reads a hotpatch for another processor. */
const MISFITS: readonly Misfit[] = [
  {
    what: 'a target of another name',
    rule: 'target.name',
    section: ({ good }) => ({ ...good, targetName: 'other.dll' }),
  },
  {
    what: 'a hook over an address in the code',
    rule: 'hook.relocation',
    target: (processor) =>
      targetWith((b) => b.code('f', [0x8b, 0xff, 0xa1, 0, 0, 0, 0, 0, 0, 0, 0, 0xc3], { relocations: [3] }))(
        processor,
      ),
    section: ({ good }) => ({
      ...good,
      validations: [],
      hooks: good.hooks.map((hook, index) => (index === 1 ? { ...hook, options: 6 } : hook)),
    }),
  },
  {
    what: 'a validation over an address in the code',
    rule: 'validation.relocation',
    target: (processor) =>
      targetWith((b) => b.code('f', [0x8b, 0xff, 0xa1, 0, 0, 0, 0, 0, 0, 0, 0, 0xc3], { relocations: [3] }))(
        processor,
      ),
  },
  {
    what: 'a jump over two instructions',
    rule: 'hook.entry',
    target: targetWith((b) => b.code('f', [0x6a, 0x55, 0x58, 0x90, 0x90, 0x90, 0x90, 0xc3])),
    section: ({ good, target, layout }) => ({
      ...good,
      hooks: [{ type: HOOK_TYPE.X86_JMP, options: 5, hookRva: target.rva('f'), hotpRva: layout.rva('g') }],
    }),
  },
  {
    what: 'a fixup that ends behind the hotpatch',
    rule: 'fixup.location',
    section: ({ good }) => ({ ...good, fixups: [{ rva: 0x4ffe, type: 2 }] }),
  },
  {
    what: 'a name without identification',
    rule: 'moduleId.none',
    section: ({ good }) => ({ ...good, moduleIdMethod: MODULE_ID_METHOD.None }),
  },
  {
    what: 'a validation of nothing',
    rule: 'validation.empty',
    section: ({ good }) => ({
      ...good,
      validations: [...(good.validations ?? []), { source: new Uint8Array(), targetRva: 0x1000 }],
    }),
  },
  {
    what: 'a hotpatch that imports from its target',
    rule: 'target.importsTarget',
    build: (builder) => builder.import('TARGET.dll', ['h']),
  },
];

interface BadTarget {
  readonly what: string;
  readonly rule: BuildRuleId;
  readonly target: (processor: Processor) => BuiltImage;
  /** The nearest one of which nothing is found. */
  readonly good: (processor: Processor) => BuiltImage;
}

const f = (...bytes: number[]) => targetWith((builder) => builder.code('f', bytes));

/** Functions that a hotpatch must not hook, as only their symbols and their whole code tell. */
const BAD_TARGETS: readonly BadTarget[] = [
  {
    what: 'a branch into the second byte',
    rule: 'hotp1.entry',
    target: f(0xb8, 0x90, 0x90, 0x90, 0x90, 0x75, 0xfa, 0xc3),
    good: f(0xb8, 0x90, 0x90, 0x90, 0x90, 0x75, 0xfb, 0xc3),
  },
  {
    what: 'a loop over the entry',
    rule: 'entry.loop',
    target: f(0x8b, 0xff, 0xff, 0xc9, 0x75, 0xfa, 0xc3),
    good: f(0x8b, 0xff, 0xff, 0xc9, 0x75, 0xfc, 0xc3),
  },
  {
    what: 'a loop that nothing ends',
    rule: 'hotp1.neverLeaves',
    target: f(0x8b, 0xff, 0xeb, 0xfe),
    good: f(0x8b, 0xff, 0x75, 0xfe, 0xc3),
  },
];

describe('hotpatch verify, for hotpatches of 2003 that somebody made wrongly', () => {
  it.each(DAMAGES.filter(({ rule }) => !IN_MEMORY.test(rule)))('$rule: $name', ({ rule, ...damage }) => {
    const target = buildTarget(damage.processor ?? 'x86', damage.kind);
    const { isValid, formatFindings, findings } = verify(target, damage);
    const found = [
      ...formatFindings.filter(({ severity }) => severity === 'error'),
      ...findings.filter(({ severity }) => severity === 'refusal'),
    ];
    expect(found.map((finding): string => finding.rule)).toContain(rule);
    expect(isValid).toBe(false);
  });

  it.each(DAMAGES.filter(({ rule }) => IN_MEMORY.test(rule)))('cannot know of $rule: $name', (damage) => {
    const target = buildTarget(damage.processor ?? 'x86', damage.kind);
    expect(verify(target, damage)).toMatchObject({ isValid: true, formatFindings: [], findings: [] });
  });

  it.each(MISFITS)('$rule: $what', ({ rule, target = (processor) => buildTarget(processor), ...change }) => {
    for (const processor of PROCESSORS) {
      const { isValid, formatFindings } = verify(target(processor), { processor, ...change });
      const severity = HOTP1_RULES.find(({ id }) => id === rule)?.severity;
      expect(formatFindings.map((finding) => [finding.rule, finding.severity])).toEqual([[rule, severity]]);
      expect(isValid).toBe(severity === 'warning');
    }
  });

  it('target.machine: for another processor than its target', () => {
    const patch = {
      image: buildPatch(buildTarget('x86'), { processor: 'x86' }),
      symbols: buildTarget('x86').symbols,
    };
    const { image, symbols } = buildTarget('x64');
    const { isValid, formatFindings } = verifyHotPatch2003({ base: { image, symbols }, patch });
    expect(formatFindings.map(({ rule }) => rule)).toContain('target.machine');
    expect(isValid).toBe(false);
  });

  it('hotp1.machine: for a processor that this generation does not know', () => {
    const target = buildTarget('x64');
    const patch = buildPatch(target, { processor: 'x64' });
    const bytes = Uint8Array.from(patch.bytes);
    const ARM64 = 0xaa64;
    new DataView(bytes.buffer).setUint16(patch.headers.fileHeaderOffset, ARM64, true);
    const image = readImage(bytes, { file: 'patch.dll' });
    const base = { image: target.image, symbols: target.symbols };
    const { formatFindings } = verifyHotPatch2003({ base, patch: { image, symbols: target.symbols } });
    expect(formatFindings.map(({ rule }) => rule)).toContain('hotp1.machine');
  });

  it('shows every rule of the format', () => {
    const shown = new Set<string>([...DAMAGES, ...MISFITS].map(({ rule }) => rule));
    // The last one where coldpatches are made.
    const elsewhere = ['target.machine', 'hotp1.machine', 'hook.coldpatch'];
    const missing = HOTP1_RULES.map(({ id }) => id).filter((id) => !shown.has(id) && !elsewhere.includes(id));
    expect(missing).toEqual([]);
  });
});

describe.each(PROCESSORS)('hotpatch verify, for functions that must not be hooked, %s', (processor) => {
  it.each(BAD_TARGETS)('$rule: $what', ({ rule, target, good }) => {
    const { isValid, formatFindings, findings } = verify(target(processor), { processor });
    expect(formatFindings).toEqual([]);
    expect(findings.map((finding) => [finding.rule, finding.severity, finding.symbol])).toEqual([
      [rule, 'refusal', 'f'],
    ]);
    expect(isValid).toBe(false);
    expect(verify(good(processor), { processor })).toMatchObject({ isValid: true, findings: [] });
  });

  it.each(['entry.loop', 'hotp1.neverLeaves'])('%s can be allowed', (rule) => {
    const bad = BAD_TARGETS.find((one) => one.rule === rule);
    if (bad === undefined) throw new Error(`no target for ${rule}`);
    const { isValid, findings } = verify(bad.target(processor), { processor }, [rule]);
    expect(findings.map(({ severity }) => severity)).toEqual(['warning']);
    expect(isValid).toBe(true);
  });
});

describe('hotpatch verify accepts what the engine does', () => {
  it.each(PROCESSORS)(
    'a short jump into a cave of int 3, before which there is no padding, on %s',
    (processor) => {
      const found = verify(
        targetWith((b) =>
          b
            .code('g', [0xc3])
            .code('f', returning(1), { padding: 0, alignment: 1 })
            .code('cave', new Uint8Array(16).fill(0xcc), { padding: 0, alignment: 1 }),
        )(processor),
        {
          processor,
          section: ({ good, target: built, layout }) => {
            const at = built.rva('cave');
            return {
              ...good,
              validations: [],
              hooks: [
                { type: HOOK_TYPE.X86_JMP, options: 5, hookRva: at, hotpRva: layout.rva('g') },
                {
                  type: HOOK_TYPE.X86_JMP2B,
                  options: 2,
                  hookRva: built.rva('f'),
                  hotpRva: (at - built.rva('f') - 2) & 0xff,
                },
              ],
            };
          },
        },
      );
      expect(found).toMatchObject({ isValid: true, formatFindings: [], findings: [] });
    },
  );

  it('a hook of no kind inside another one, and bytes behind a checksum', () => {
    const found = verify(buildTarget('x86'), {
      section: ({ good, target }) => ({
        ...good,
        hooks: [...good.hooks, { type: HOOK_TYPE.None, hookRva: target.rva('f') + 1, hotpRva: 0 }],
        moduleIdValue: Uint8Array.from([
          ...(good.moduleIdValue ?? []).slice(0, 8),
          ...new Array(16).fill(0xaa),
        ]),
      }),
    });
    expect(found.isValid).toBe(true);
  });

  it('a validation that ends in the low half of an address, which no relocation changes', () => {
    const target = targetWith((b) =>
      b.code('f', [0x8b, 0xff, 0xa1, 0, 0, 0, 0, 0, 0, 0, 0, 0xc3], { relocations: [3] }),
    )('x86');
    const rules = (length: number) =>
      verify(target, {
        section: ({ good, target: built }) => ({
          ...good,
          validations: [{ source: built.image.read(built.rva('f'), length), targetRva: built.rva('f') }],
        }),
      }).formatFindings.map(({ rule }) => rule);
    expect([rules(5), rules(6)]).toEqual([[], ['validation.relocation']]);
  });

  it.each([
    ['nobody’s', []],
    ['that of a hook of no kind', [{ type: HOOK_TYPE.None, hookRva: 0, hotpRva: 0, validation: 0 }]],
  ])('a validation for a hook only that is %s is not compared', (_, more) => {
    const found = verify(buildTarget('x64'), {
      processor: 'x64',
      section: ({ good, target }) => ({
        ...good,
        validations: [{ source: Uint8Array.of(0xee), targetRva: target.rva('f'), optionFlags: 1 }],
        hooks: [...more, ...good.hooks],
      }),
    });
    expect(found.isValid).toBe(true);
  });

  it('a pointer in data, which it names', () => {
    const found = verify(buildTarget('x86'), {
      section: ({ good, target, layout }) => ({
        ...good,
        hooks: [{ type: HOOK_TYPE.VA32, hookRva: target.rva('table'), hotpRva: layout.rva('g') }],
      }),
    });
    expect(found.functions.map(({ name }) => name)).toEqual(['table']);
  });

  it('not all of the 64 bits of a checksum', () => {
    const found = verify(buildTarget('x86'), {
      section: ({ good }) => ({
        ...good,
        moduleIdValue: Uint8Array.from(
          (good.moduleIdValue ?? new Uint8Array(24)).map((byte, i) => (i === 4 ? 1 : byte)),
        ),
      }),
    });
    expect(found.formatFindings.map(({ rule }) => rule)).toContain('target.moduleId');
  });
});
