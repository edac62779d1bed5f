import { encodeHotp1, HOOK_TYPE, ImageBuilder, MODULE_ID_METHOD, moduleIdValue } from 'hotpatch-lab/image';
import { describe, expect, it } from 'vitest';
import { explore, imageOperations, protocolNamed } from '../../proof/index.js';

const PROCESSORS = ['x86', 'x64'] as const;
type Processor = (typeof PROCESSORS)[number];
const OPTIONS = { subsystem: 'WINDOWS_CUI', dll: true } as const;
const FIRST = 1000;
const NEW = 9001;

const u32 = (value: number) => [
  value & 0xff,
  (value >> 8) & 0xff,
  (value >> 16) & 0xff,
  (value >>> 24) & 0xff,
];

/** `f` counts, and returns 1000 and ten times the count: 1010 at the first call. */
function counting(processor: Processor) {
  const rip = 6;
  const builder = new ImageBuilder(processor, { ...OPTIONS, name: 'counting.dll' });
  return builder
    .code(
      'f',
      (layout) => {
        const [code, counter] = [layout.rva('f') + 2, layout.rva('counter')];
        const operand = (end: number) =>
          u32(processor === 'x64' ? counter - (code + end) : Number(layout.address('counter')));
        return [
          ...[0x8b, 0xff], // mov edi, edi
          ...[0xff, 0x05, ...operand(rip)], // inc dword [counter]
          ...[0x6b, 0x05, ...operand(rip + 7), 10], // imul eax, [counter], 10
          ...[0x05, ...u32(FIRST)], // add eax, 1000
          0xc3,
        ];
      },
      processor === 'x64' ? {} : { relocations: [4, 10] },
    )
    .data('counter', new Uint8Array(4))
    .export('f')
    .build();
}

function constant(processor: Processor, base: ReturnType<typeof counting>) {
  const f = base.rva('f');
  return new ImageBuilder(processor, { ...OPTIONS, name: 'constant.dll' })
    .code('g', [0x8b, 0xff, 0xb8, ...u32(NEW), 0xc3])
    .section('.hotp1', 0x4000_0040)
    .data(
      'hotp1',
      (layout) =>
        encodeHotp1(
          {
            hooks: [
              { type: HOOK_TYPE.X86_JMP, options: 5, hookRva: f - 5, hotpRva: layout.rva('g') },
              { type: HOOK_TYPE.X86_JMP2B, options: 2, hookRva: f, hotpRva: 0xf9 },
            ],
            origHotpBaseAddress: 0n,
            origTargetBaseAddress: base.image.optionalHeader.imageBase,
            targetName: 'counting.dll',
            moduleIdMethod: MODULE_ID_METHOD.PeChecksum,
            moduleIdValue: moduleIdValue(base.image, 'PeChecksum'),
          },
          layout.rva('hotp1'),
        ),
      { section: '.hotp1' },
    )
    .build();
}

describe.each(PROCESSORS)(
  'a function whose result depends on its own counter, hotpatched in 2003, %s',
  (processor) => {
    const base = counting(processor);
    const operations = imageOperations({
      base: { name: 'counting.dll', image: base.image, symbols: base.symbols },
      patches: [{ name: 'constant.dll', image: constant(processor, base).image }],
      calls: [{ target: (loaded) => loaded.symbol('f'), arguments: [] }],
      engine: 'server-2003',
    });
    const [windows, bytewise] = ['windows', 'byte-by-byte'].map((name) => protocolNamed(name));

    it('is titled with its generation', () => {
      expect(operations.map(({ source }) => source.name)).toEqual([
        'counting.dll, constant.dll: apply, 2003 generation',
        'counting.dll, constant.dll: revert, 2003 generation',
      ]);
    });

    it.each(operations)(
      '$kind: no property is broken, and what cannot be judged is said',
      async ({ source }) => {
        if (windows === undefined || bytewise === undefined) throw new Error('no such protocol');
        const cells = [1, 2].flatMap((processors) =>
          (['coherent', 'weak'] as const).map((fetch) => ({ processors, fetch, calls: 2 })),
        );
        for (const cell of cells) {
          const result = await explore(source, { protocol: windows, ...cell });
          expect([cell, result?.complete, result?.violations]).toEqual([cell, true, []]);
          // One processor counts by itself: its results are known. Two share the count.
          const counts = [10, 20, 30, 40, 50].map((count) => FIRST + count);
          for (const value of result?.unjudged ?? []) expect(counts).toContain(value);
          if (cell.processors === 2) expect(result?.unjudged).not.toEqual([]);
        }
        const broken = await explore(source, { protocol: bytewise, processors: 1, calls: 2 });
        expect(broken?.violations).not.toEqual([]);
      },
    );
  },
);
