import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { richImage } from '../../campaign/fuzz/rich-image.js';
import {
  applyArm64xFixups,
  applyRelocations,
  IMAGE_DLLCHARACTERISTICS_EX,
  ImageBuilder,
  type PeImage,
  type Relocation,
  readImage,
} from '../../image/index.js';
import { inRepository } from './real-images.js';

const open = (file: string): PeImage => readImage(readFileSync(inRepository(file)), { file });
const various = (architecture: string) => open(`test/image/fixtures/${architecture}/various.dll`);
const hybrid = (machine: string) => open(`test/image/fixtures/hybrid/${machine}.dll`);
const architectures = ['x64', 'arm64', 'x86'] as const;

describe('relocations', () => {
  /** One place of 8 bytes with this value before and after a move. */
  const cases: readonly [Relocation, before: bigint, delta: bigint, after: bigint][] = [
    [{ rva: 0, type: 'DIR64' }, 0x1_8000_2000n, 0x7ff6_0000_0000n, 0x7ff7_8000_2000n],
    [{ rva: 0, type: 'DIR64' }, 0x1_8000_2000n, -0x1_0000_0000n, 0x8000_2000n],
    [{ rva: 0, type: 'DIR64' }, 0xffff_ffff_ffff_f000n, 0x2000n, 0x1000n],
    [{ rva: 0, type: 'HIGHLOW' }, 0xaaaa_aaaa_1000_2250n, 0x6000_0000n, 0xaaaa_aaaa_7000_2250n],
    [{ rva: 0, type: 'HIGHLOW' }, 0xf000_0000n, 0x2000_0000n, 0x1000_0000n],
    [{ rva: 0, type: 'HIGH' }, 0x1000n, 0x12340000n, 0x2234n],
    [{ rva: 0, type: 'LOW' }, 0xfff0n, 0x5678n, 0x5668n],
    [{ rva: 0, type: 'HIGHADJ', low: 0x9000 }, 0x1001n, 0x0000_7000n, 0x1001n],
    [{ rva: 0, type: 'HIGHADJ', low: 0x7000 }, 0x1000n, 0x0000_1000n, 0x1001n],
  ];
  test.each(cases)('%o', (relocation, before, delta, after) => {
    const memory = new Uint8Array(8);
    const view = new DataView(memory.buffer);
    view.setBigUint64(0, before, true);
    applyRelocations(memory, [relocation], delta);
    expect(view.getBigUint64(0, true)).toBe(after);
  });

  test('in a window of the image only what lies wholly inside it', () => {
    const memory = new Uint8Array(16);
    const places: Relocation[] = [0x0ff8, 0x1000, 0x1008, 0x100c].map((rva) => ({ rva, type: 'DIR64' }));
    applyRelocations(memory, places, 1n, 0x1000);
    expect(Array.from(memory)).toEqual([1, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0]);
  });

  test.each(architectures)('%s: a moved image points at its moved parts', (architecture) => {
    const built = richImage(architecture);
    const { image } = built;
    const memory = image.layOut();
    const newBase = image.optionalHeader.imageBase + 0x1230000n;
    applyRelocations(memory, image.relocations, newBase - image.optionalHeader.imageBase);
    const moved = new DataView(memory.buffer);
    const pointer = (rva: number) =>
      image.pointerSize === 8 ? moved.getBigUint64(rva, true) : BigInt(moved.getUint32(rva, true));
    expect(pointer(built.rva('table'))).toBe(newBase + BigInt(built.rva('answer')));
    expect(pointer(built.rva('table') + 2 * image.pointerSize)).toBe(newBase + BigInt(built.rva('counter')));
  });

  test('the relocations of a range', () => {
    const built = richImage('x64');
    const table = built.rva('table');
    const rvas = (rva: number, length: number) =>
      built.image.relocationsIn(rva, length).map((entry) => entry.rva - table);
    expect(rvas(table, 24)).toEqual([0, 8, 16]);
    expect(rvas(table + 7, 2)).toEqual([0, 8]);
    expect(rvas(table + 15, 1)).toEqual([8]);
    expect(rvas(table - 4, 4)).toEqual([]);
  });
});

describe('imports and exports', () => {
  test.each(architectures)('%s: by name and by ordinal', (architecture) => {
    const built = richImage(architecture);
    expect(
      built.image.imports.map(({ module, functions }) => [module, functions.map((f) => f.name ?? f.ordinal)]),
    ).toEqual([
      ['ntoskrnl.exe', ['DbgPrint', 7, 'ExAllocatePool2']],
      ['hal.dll', ['HalReturnToFirmware']],
    ]);
    const slots = built.image.imports.flatMap(({ functions }) => functions.map((f) => f.iatRva));
    expect(slots).toEqual(
      ['__imp_DbgPrint', '__imp_ntoskrnl.exe#7', '__imp_ExAllocatePool2', '__imp_HalReturnToFirmware'].map(
        (name) => built.rva(name),
      ),
    );
  });

  test.each(architectures)('%s: names, ordinals, forwarders', (architecture) => {
    const built = richImage(architecture);
    const forwarded = built.image.exports?.functions.find((entry) => entry.name === 'forwarded');
    expect(built.image.exports).toMatchObject({
      name: 'rich.sys',
      ordinalBase: 1,
      functions: [
        { ordinal: 1, name: 'answer', rva: built.rva('answer') },
        { ordinal: 2, rva: built.rva('second') },
        { ordinal: 9, name: 'counter', rva: built.rva('counter') },
        { ordinal: 10, name: 'forwarded', forwarder: 'NTDLL.RtlAllocateHeap' },
      ],
    });
    expect(built.image.exports?.functions[1]).not.toHaveProperty('name');
    expect(forwarded?.forwarder).toBe('NTDLL.RtlAllocateHeap');
  });

  test.each(architectures)('%s: delay-loaded', (architecture) => {
    const [module] = various(architecture).delayImports;
    expect(module).toMatchObject({ module: 'delayed.dll', attributes: 1 });
    expect(module?.functions.map(({ name }) => name)).toEqual(['delayed_add', 'delayed_sub']);
  });

  test('delay-load descriptors of the time before RVAs', () => {
    const image = new ImageBuilder('x86', { imageBase: 0x400000n })
      .data('name', new TextEncoder().encode('OLD.dll\0'))
      .data('hint', [5, 0, 0x66, 0])
      .data('names', (layout) => words(Number(layout.address('hint')), 0))
      .data('slots', words(0x401000, 0))
      .data('descriptors', (layout) =>
        words(
          0,
          Number(layout.address('name')),
          0,
          Number(layout.address('slots')),
          Number(layout.address('names')),
          0,
          0,
          0,
          0,
          0,
          0,
          0,
          0,
          0,
          0,
          0,
        ),
      )
      .directory('delayImport', 'descriptors')
      .build();
    expect(image.image.delayImports).toMatchObject([
      { module: 'OLD.dll', attributes: 0, functions: [{ name: 'f', hint: 5, iatRva: image.rva('slots') }] },
    ]);
  });

  test('bound imports, with a forwarder', () => {
    const { image } = new ImageBuilder('x86')
      .data(
        'bound',
        [
          ...words(0x40000000, 24 | (1 << 16), 0x40000001, 36, 0, 0),
          ...new TextEncoder().encode('KERNEL32.dll\0NTDLL.dll\0'),
        ].map((byte, i) => (i === 12 ? 37 : byte)),
      )
      .directory('boundImport', 'bound')
      .build();
    expect(image.boundImports).toEqual([
      {
        module: 'KERNEL32.dll',
        timeDateStamp: 0x40000000,
        forwarders: [{ module: 'NTDLL.dll', timeDateStamp: 0x40000001 }],
      },
    ]);
  });
});

test('import descriptors that share one list of names again and again are refused, not multiplied', () => {
  const { image } = new ImageBuilder('x64')
    .data('module', [0x61, 0])
    .data('names', Array.from({ length: 3000 }, (_, i) => words(i + 1, 0x80000000)).flat())
    .data('slots', words(0, 0))
    .data('descriptors', (layout) =>
      Array.from({ length: 1000 }, () =>
        words(layout.rva('names'), 0, 0, layout.rva('module'), layout.rva('names')),
      ).flat(),
    )
    .data('end', new Uint8Array(20))
    .directory('import', 'descriptors')
    .build();
  expect(() => image.imports).toThrow(/tooMuch/);
});

describe('load configuration', () => {
  test.each([
    ['x64', 0x70, false],
    ['x64', 0xf0, false],
    ['x64', 0xf2, false],
    ['x64', 0xf4, true],
    ['x64', 0x148, true],
    ['x86', 0x48, false],
    ['x86', 0x94, false],
    ['x86', 0x98, true],
    ['x86', 0xc4, true],
  ] as const)('%s, %i bytes: HotPatchTableOffset is there: %s', (architecture, size, there) => {
    const { image } = new ImageBuilder(architecture)
      .data('cookie', [1])
      .loadConfig({ securityCookie: 'cookie' }, size)
      .build();
    expect(image.loadConfig?.has('hotPatchTableOffset')).toBe(there);
    expect(image.loadConfig?.hotPatchTableOffset).toBe(0);
    expect(image.loadConfig).toMatchObject({ size, directorySize: size });
  });

  test('PE32 has the process heap flags before the affinity mask, PE32+ behind it', () => {
    const offsets = (architecture: 'x86' | 'x64') => {
      const config = new ImageBuilder(architecture).data('d', [0]).loadConfig().build().image.loadConfig;
      return [
        config?.offsetOf('processHeapFlags'),
        config?.offsetOf('processAffinityMask'),
        config?.offsetOf('hotPatchTableOffset'),
      ];
    };
    expect(offsets('x86')).toEqual([0x2c, 0x30, 0x94]);
    expect(offsets('x64')).toEqual([0x48, 0x40, 0xf0]);
  });

  test('guard tables with one byte of flags in each entry', () => {
    const { image } = new ImageBuilder('x64')
      .code('f', [0xc3])
      .constant('fids', [...words(0x1010), 2, ...words(0x1020), 0])
      .constant('jumps', [...words(0x1030), 0])
      .loadConfig({
        guardCFFunctionTable: 'fids',
        guardCFFunctionCount: 2,
        guardLongJumpTargetTable: 'jumps',
        guardLongJumpTargetCount: 1,
        guardEHContinuationTable: 'jumps',
        guardEHContinuationCount: 1,
        guardAddressTakenIatEntryTable: 'jumps',
        guardAddressTakenIatEntryCount: 1,
        guardFlags: 0x10410500,
      })
      .build();
    expect(image.guard.extraBytes).toBe(1);
    expect(image.guard.functions.map(({ rva, flags }) => [rva, flags])).toEqual([
      [0x1010, 2],
      [0x1020, 0],
    ]);
    for (const table of [
      image.guard.longJumpTargets,
      image.guard.ehContinuations,
      image.guard.addressTakenIatEntries,
    ]) {
      expect(table.map(({ rva }) => rva)).toEqual([0x1030]);
    }
  });

  test('x86: registered exception handlers', () => {
    expect(various('x86').guard.seHandlers).toHaveLength(1);
    expect(various('x64').guard.seHandlers).toEqual([]);
  });
});

describe('dynamic relocations', () => {
  const page = (rva: number, ...entries: number[]) => [...words(rva, 8 + entries.length), ...entries];
  const image = (symbol: number, data: number[]) =>
    new ImageBuilder('x64')
      .code('f', [0xc3])
      .data('table', [...words(1, 12 + data.length, symbol, 0, data.length), ...data])
      .loadConfig({ dynamicValueRelocTable: 'table' })
      .build().image;

  test.each([
    [
      3,
      page(0x1000, ...words((7 << 13) | 0x1000 | 0x123)),
      { kind: 'importControlTransfer', rva: 0x1123, indirectCall: true, iatIndex: 7 },
    ],
    [
      4,
      page(0x2000, 0x45, 0xf0),
      { kind: 'indirControlTransfer', rva: 0x2045, indirectCall: true, rexWPrefix: true, cfgCheck: true },
    ],
    [5, page(0x3000, 0x10, 0xa0), { kind: 'switchTableBranch', rva: 0x3010, registerNumber: 10 }],
    [6, page(0x4000, 0x10, 0x80), { kind: 'arm64x', rva: 0x4010, change: 'zeroFill', size: 4 }],
    [6, page(0x4000, 0x10, 0x60, 0x02, 0x00), { kind: 'arm64x', rva: 0x4010, change: 'delta', delta: -8 }],
    [6, page(0x4000, 0x10, 0xa0, 0x02, 0x00), { kind: 'arm64x', rva: 0x4010, change: 'delta', delta: 16 }],
    [
      8,
      page(0x5000, ...words((9 << 17) | (1 << 16) | (16 << 11) | (1 << 10) | 4)),
      {
        kind: 'arm64KernelImportCall',
        rva: 0x5010,
        indirectCall: true,
        registerIndex: 16,
        delayLoad: true,
        iatIndex: 9,
      },
    ],
  ] as const)('symbol %i', (symbol, data, expected) => {
    expect(image(symbol, [...data]).dynamicRelocations).toMatchObject([
      { symbol: BigInt(symbol), fixups: [expected] },
    ]);
  });

  test('function overrides', () => {
    const relocations = page(0x2000, 0x08, 0xa0, 0x00, 0x00);
    const override = [...words(0x1010, 0, 8, relocations.length), ...words(0x1020, 0x1030), ...relocations];
    const found = image(7, [...words(override.length), ...override, ...words(1, 0)]).dynamicRelocations;
    expect(found).toMatchObject([
      {
        name: 'FUNCTION_OVERRIDE',
        functionOverrides: [
          { originalRva: 0x1010, rvas: [0x1020, 0x1030], fixups: [{ rva: 0x2008, type: 10 }] },
        ],
      },
    ]);
  });

  test('an address instead of a known symbol: the data is kept', () => {
    expect(image(0x7ffe0000, [1, 2, 3, 4]).dynamicRelocations).toMatchObject([
      { symbol: 0x7ffe0000n, fixups: [] },
    ]);
  });
});

describe('images with two instruction sets', () => {
  test('ARM64EC: an AMD64 image with ARM64EC code', () => {
    const image = hybrid('arm64ec');
    expect(image.machine).toBe('AMD64');
    expect(image.hybrid).toMatchObject({
      kind: 'ARM64EC',
      codeRanges: [{ type: 'ARM64EC' }, { type: 'AMD64' }],
      redirections: [{ source: 0x2000 }],
    });
    expect(image.hybrid?.extraFunctionTable).toHaveLength(1);
    expect(applyArm64xFixups(image)).toBeUndefined();
  });

  test('ARM64X: its fixups make an AMD64 image of it', () => {
    const image = hybrid('arm64x');
    expect(image.machine).toBe('ARM64');
    expect(image.hybrid?.kind).toBe('ARM64X');
    const other = readImage(applyArm64xFixups(image) ?? new Uint8Array(0));
    expect(other.machine).toBe('AMD64');
    expect(other.hybrid?.kind).toBe('ARM64EC');
    expect(other.exports?.functions.map(({ name }) => name)).toEqual(
      image.exports?.functions.map(({ name }) => name),
    );
  });

  test('plain images are neither', () => {
    for (const architecture of architectures) expect(various(architecture).hybrid).toBeUndefined();
  });
});

describe('thread-local storage, debug directory', () => {
  test.each(architectures)('%s: TLS callbacks', (architecture) => {
    const image = various(architecture);
    expect(image.tls?.callBacks).toHaveLength(1);
    const [callBack = 0] = image.tls?.callBacks ?? [];
    expect(image.sectionAt(callBack)?.name).toBe('.text');
  });

  test('EX_DLLCHARACTERISTICS and CodeView', () => {
    const { image } = richImage('arm64');
    expect(image.exDllCharacteristics).toBe(IMAGE_DLLCHARACTERISTICS_EX.HOTPATCH_COMPATIBLE);
    expect(image.debug.find(({ codeView }) => codeView)?.codeView).toEqual({
      format: 'RSDS',
      guid: '03020100-0504-0706-0809-0A0B0C0D0E0F',
      age: 1,
      pdbFileName: 'rich.pdb',
    });
    expect(various('x64').exDllCharacteristics).toBe(0);
  });

  test("REPRO: lld writes the entry alone, Microsoft's linker the hash too", () => {
    const repro = (image: PeImage) => image.debug.find(({ type }) => type === 'REPRO')?.reproHash;
    expect(repro(various('x64'))).toHaveLength(0);
    const { image } = new ImageBuilder('x64')
      .debugEntry('REPRO', Uint8Array.from([...words(4), 1, 2, 3, 4]))
      .build();
    expect(Array.from(repro(image) ?? [])).toEqual([1, 2, 3, 4]);
  });
});

function words(...values: number[]): number[] {
  return [...new Uint8Array(Uint32Array.from(values).buffer)];
}
