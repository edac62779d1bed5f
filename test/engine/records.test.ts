import { Lab, ModernEngine } from 'hotpatch-lab';
import type { DynamicValues } from 'hotpatch-lab/engine';
import { type HotPatchChunkInput, ImageBuilder, readImage } from 'hotpatch-lab/image';
import { describe, expect, it } from 'vitest';

/** A base with a function and a variable, and a patch image whose table has one more backward chunk. */
function images(
  chunk: HotPatchChunkInput | ((rva: (name: string) => number) => HotPatchChunkInput),
  architecture: 'x64' | 'x86' = 'x64',
) {
  const code = (value: number) => [0xb8, value, 0, 0, 0, 0xc3];
  const start = (value: number, name: string) =>
    new ImageBuilder(architecture, { name, dll: true })
      .code('f', code(value))
      .code('callee', code(7))
      .data('variable', [1, 2, 3, 4, 5, 6, 7, 8])
      .loadConfig();
  const base = start(1, 'base.dll').build();
  const image = readImage(base.bytes, { file: 'base.dll' });
  const patch = start(2, 'patch.dll')
    .hotPatchTable((layout) => ({
      sequenceNumber: 1,
      bases: [
        {
          flags: architecture === 'x64' ? 0x12 : 0x06,
          originalCheckSum: image.optionalHeader.checkSum,
          originalTimeDateStamp: image.fileHeader.timeDateStamp,
          chunks: [
            typeof chunk === 'function' ? chunk((name) => layout.rva(name)) : chunk,
            {
              direction: 'forward',
              type: 'FUNCTION',
              records: [{ rva: base.rva('f'), target: layout.rva('f') }],
            },
          ],
        },
      ],
    }))
    .build();
  return { base, image, patch, patchImage: readImage(patch.bytes, { file: 'patch.dll' }) };
}

async function apply(
  built: ReturnType<typeof images>,
  options: {
    ignoreRel32?: boolean;
    dynamicValues?: DynamicValues | 'invalid';
    controlFlowGuard?: boolean;
  } = {},
) {
  const lab = await Lab.boot({ architecture: 'x64' });
  const { controlFlowGuard = false, ...engineOptions } = options;
  const wow64 = built.image.architecture === 'x86';
  const process = lab.kernel.createProcess({ name: 'p.exe', controlFlowGuard, wow64 });
  const base = process.loadImage(built.image, { initialize: false });
  const engine = new ModernEngine(lab.kernel, engineOptions);
  const load = () => engine.load(built.patchImage);
  return { lab, process, base, engine, load, [Symbol.dispose]: () => lab[Symbol.dispose]() };
}

const table: DynamicValues = { present: Uint8Array.of(0, 0xff), values: [100n, 0x1000n] };

describe('backward records', () => {
  it('REL32 stores the distance to the base, from behind the operand', async () => {
    const built = images((rva) => ({
      direction: 'backward',
      type: 'REL32',
      records: [{ rva: rva('variable'), target: 0x1100 }],
    }));
    using machine = await apply(built);
    const { loaded } = machine.load();
    if (loaded === undefined) throw new Error('not loaded');
    const location = loaded.address(built.patch.rva('variable'));
    const stored = BigInt.asIntN(32, BigInt(machine.process.addressSpace.readU32(location)));
    expect(location + 4n + stored).toBe(machine.base.address(0x1100));
  });

  it('REL32 is validated and left alone where the builds seen leave it alone', async () => {
    const built = images((rva) => ({
      direction: 'backward',
      type: 'REL32',
      records: [{ rva: rva('variable'), target: 0x1100 }],
    }));
    using machine = await apply(built, { ignoreRel32: true });
    const { loaded } = machine.load();
    const location = loaded?.address(built.patch.rva('variable')) ?? 0n;
    expect([...machine.process.addressSpace.read(location, 4)]).toEqual([1, 2, 3, 4]);
  });

  const words = (...values: number[]) => new Uint8Array(Uint32Array.from(values).buffer);
  const pointers = [
    ['ABSOLUTE', (base: bigint, target: number) => Number(base) + target],
    ['INDIRECT', () => 0x04030201],
    ['DYNAMIC_VALUE', () => 0x04031201],
  ] as const;
  it.each(pointers)('%s changes the four bytes of a pointer in a WOW64 process', async (type, expected) => {
    const built = images((rva) => {
      const target = type === 'DYNAMIC_VALUE' ? 1 : rva('variable');
      return { direction: 'backward', type, records: [{ rva: rva('variable'), target }] };
    }, 'x86');
    using machine = await apply(built, { dynamicValues: table });
    const { loaded } = machine.load();
    const location = loaded?.address(built.patch.rva('variable')) ?? 0n;
    expect(machine.process.addressSpace.read(location, 8)).toEqual(
      words(expected(machine.base.dllBase, built.patch.rva('variable')), 0x08070605),
    );
  });

  const dynamic = (index: number) =>
    images((rva) => ({
      direction: 'backward',
      type: 'DYNAMIC_VALUE',
      records: [{ rva: rva('variable'), target: index }],
    }));
  it.each([
    ['adds a value that is present', 1, table, 0x0807060504031201n],
    ['leaves one that is not', 0, table, 0x0807060504030201n],
    ['does nothing without a table, as NT passes none', 1, undefined, 0x0807060504030201n],
  ] as const)('DYNAMIC_VALUE %s', async (_name, index, dynamicValues, expected) => {
    const built = dynamic(index);
    using machine = await apply(built, dynamicValues === undefined ? {} : { dynamicValues });
    const { loaded } = machine.load();
    const location = loaded?.address(built.patch.rva('variable')) ?? 0n;
    expect(machine.process.addressSpace.readU64(location)).toBe(expected);
  });

  it('DYNAMIC_VALUE with the table -1 is STATUS_INVALID_PARAMETER_MIX', async () => {
    using machine = await apply(dynamic(1), { dynamicValues: 'invalid' });
    expect(machine.load).toThrow(/record\.dynamicValueTable, STATUS_INVALID_PARAMETER_MIX/);
    expect(machine.base.codeBytes()).toEqual(machine.base.codeBytesBeforePatch);
  });

  it('CALL_TARGET makes listed functions of the patch image valid call targets, and nothing else of it', async () => {
    const built = images((rva) => ({
      direction: 'backward',
      type: 'CALL_TARGET',
      records: [{ rva: rva('callee'), target: rva('callee') }],
    }));
    using machine = await apply(built, { controlFlowGuard: true });
    const { guard } = machine.process.domain;
    const patch = machine.load();
    const address = (name: string) => patch.loaded?.address(built.patch.rva(name)) ?? 0n;
    expect([guard.isValidTarget(address('callee')), guard.isValidTarget(address('f'))]).toEqual([
      true,
      false,
    ]);
    expect(guard.isValidTarget(machine.base.address(built.base.rva('f')))).toBe(true);
    expect(guard.isValidTarget(machine.base.hpat?.codeSlot(0) ?? 0n)).toBe(false);
  });

  it('tells the process that its images are hotpatched', async () => {
    const built = images({ direction: 'backward', type: 'CALL_TARGET', records: [] });
    using machine = await apply(built);
    expect(machine.process.environment?.imagesHotPatched).toBe(false);
    machine.load();
    expect(machine.process.environment?.imagesHotPatched).toBe(true);
  });
});
