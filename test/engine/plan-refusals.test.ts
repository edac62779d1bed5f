import { HotPatchError, Lab, type LoadedImage } from 'hotpatch-lab';
import { arm64Encoder, x64Encoder } from 'hotpatch-lab/cpu';
import { describe, expect, it } from 'vitest';
import { editRecord } from '../../engine/modern/image-record.js';
import { type PairOptions, pair, returning } from './built.js';
import { bootForm, demoPatch, FORMS } from './forms.js';
import { bench, CELLS } from './kinds.js';

const TWO: PairOptions = {
  parts: (builder, value) =>
    builder
      .code('f', returning(value))
      .code('g', returning(10 * value))
      .code('helper', returning(0)),
  covered: ['f', 'g'],
};

async function boot(options: PairOptions = TWO) {
  const built = pair(options);
  const lab = await Lab.boot({ architecture: 'x64' });
  const process = lab.createProcess('p.exe');
  const base = process.loadImage(built.base, { initialize: false });
  const entry = (name: string) => base.address(built.rva(name));
  return {
    ...built,
    lab,
    process,
    base,
    entry,
    write: (address: bigint, bytes: Uint8Array) => process.domain.writer.writeCode(address, bytes),
    call: (name: string) => Number(process.call64(entry(name))),
    [Symbol.dispose]: () => lab[Symbol.dispose](),
  };
}

const slotOf = ({ hpat }: LoadedImage, index: number) => hpat?.codeSlot(index) ?? 0n;

describe('an entry in memory', () => {
  it.each([0, 1])('that leads to slot %i, which no patch uses, is refused', async (index) => {
    using machine = await boot();
    const { lab, base, entry, write } = machine;
    write(entry('f') - 5n, x64Encoder.nearJump(entry('f') - 5n, slotOf(base, index)));
    write(entry('f'), Uint8Array.of(0xeb, 0xf9));
    const code = base.codeBytes();
    expect(() => lab.engine.load(machine.patch)).toThrow(
      new RegExp(
        `leads to HPAT slot ${index}, which is not in use \\(function\\.slot, STATUS_CONFLICTING_ADDR`,
      ),
    );
    expect(base.codeBytes()).toEqual(code);
  });

  it('that is not what the patch expects is refused, though the file has it', async () => {
    using machine = await boot({ ...TWO, covered: ['f'], originalBytes: Uint8Array.of(0xb8, 0x01) });
    const { lab, base, entry, write } = machine;
    write(entry('f') + 1n, Uint8Array.of(0x02));
    expect(() => lab.engine.load(machine.patch)).toThrow(
      /the entry is b8 02, the patch expects b8 01 \(record\.originalBytes, STATUS_INVALID_IMAGE_FORMAT\)/,
    );
    expect(base.hpat?.committed).toBe(false);
  });
});

describe('functions in the undo table', () => {
  const changes: [string, (machine: Awaited<ReturnType<typeof boot>>) => void][] = [
    ['has its original bytes', ({ entry, write }) => write(entry('f'), Uint8Array.of(0xb8, 0x01))],
    [
      'leads to the slot of another one',
      ({ base, entry, write }) =>
        write(entry('f') - 5n, x64Encoder.nearJump(entry('f') - 5n, slotOf(base, 1))),
    ],
    ['jumps into its padding and nowhere', ({ entry, write }) => write(entry('f') - 5n, x64Encoder.fill(5))],
  ];
  it.each(changes)('when one %s, no other patch is applied', async (_, change) => {
    using machine = await boot();
    const { lab, base, patch } = machine;
    lab.engine.load(patch);
    change(machine);
    const code = base.codeBytes();
    const newer = pair({ ...TWO, sequenceNumber: 2 }).patch;
    expect(() => lab.engine.load(newer)).toThrow(
      /through HPAT slot 0, but its entry at RVA 0x[0-9a-f]+ does not lead there.*\(undo\.entryChanged, STATUS_PATCH_CONFLICT\)/,
    );
    expect(base.codeBytes()).toEqual(code);
    expect(machine.call('g')).toBe(20);
  });

  it('a revert goes by the records for the base alone, whatever has become of the image before', async () => {
    using machine = await boot({
      ...TWO,
      backward: (patch, base) => [
        {
          direction: 'backward',
          type: 'FUNCTION',
          records: [{ rva: patch('helper'), target: base('helper') }],
        },
      ],
    });
    const { lab, patch, write } = machine;
    const { loaded } = lab.engine.load(patch);
    const newer = lab.engine.load(pair({ ...TWO, sequenceNumber: 2 }).patch);
    write(loaded?.address(machine.patchRva('helper')) ?? 0n, Uint8Array.of(0xeb, 0xf0));
    lab.engine.unload(newer);
    expect(machine.call('f')).toBe(2);
  });
});

describe('the HPAT of a patch image', () => {
  const leading = (count: number) => {
    const names = Array.from({ length: count }, (_, index) => `own${index}`);
    return boot({
      ...TWO,
      more: (builder) => names.reduce((made, name) => made.code(name, returning(0)), builder),
      backward: (patch, base) => [
        {
          direction: 'backward',
          type: 'FUNCTION',
          records: names.map((name) => ({ rva: patch(name), target: base('helper') })),
        },
      ],
    });
  };

  it('has room for 512 functions that lead to the base', async () => {
    using machine = await leading(512);
    const { lab, patch } = machine;
    const { loaded } = lab.engine.load(patch);
    expect(loaded === undefined ? 0 : lab.engine.record(loaded).usedSlots).toBe(512);
  });

  it('has no room for one more', async () => {
    using machine = await leading(513);
    const { lab, base, patch } = machine;
    expect(() => lab.engine.load(patch)).toThrow(
      /the HPAT of patch1\.dll has 512 slots, 0 in use; 513 more are needed \(hpat\.full, STATUS_PATCH_CONFLICT\)/,
    );
    expect(base.hpat?.committed).toBe(false);
  });
});

describe('a slot that is farther than a branch of ARM64 reaches', () => {
  it('is STATUS_CONFLICTING_ADDRESSES', async () => {
    const form = {
      architecture: 'arm64',
      parts: (builder, value) => builder.code('f', [0x20 * value, 0x00, 0x80, 0x52, 0xc0, 0x03, 0x5f, 0xd6]),
      covered: ['f'],
    } as const satisfies PairOptions;
    const { base: image, patch } = pair(form);
    using lab = await Lab.boot({ architecture: 'arm64', hotPatchTableSize: 0x500_0000 });
    const base = lab.kernel.loadImage(image, { initialize: false });
    editRecord(lab.engine.record(base)).useSlot((base.hpat?.capacity ?? 0) - 2, 0);
    const load = () => lab.engine.load(patch);
    expect(load).toThrow(HotPatchError);
    expect(load).toThrow(/beyond ±0x8000000 \(function\.branchRange, STATUS_CONFLICTING_ADDRESSES\)/);
  });
});

describe('images that a system cannot patch', () => {
  it('32-bit ones, where the HPAT has pointers alone', async () => {
    const cell = CELLS.find(({ name }) => name === 'x86 DLL in three WOW64 processes');
    if (cell === undefined) throw new Error('there is no such cell');
    using machine = await bench({ ...cell, boot: { architecture: 'x64', hpatLayout: 'pointers' } });
    expect(() => machine.load()).toThrow(
      /is for x64 images only, not x86 \(hpat\.layout, STATUS_NOT_SUPPORTED\)/,
    );
    for (const { demo } of machine.places) expect(demo.codeBytes()).toEqual(demo.codeBytesBeforePatch);
  });
});

describe('a patch image that imports its base', () => {
  const importing: PairOptions = {
    ...TWO,
    parts: (builder, value) => TWO.parts(builder, value).export('g'),
    more: (builder) => builder.import('base.dll', ['g']),
  };

  it('is applied in a process', async () => {
    using machine = await boot(importing);
    expect(machine.lab.engine.load(machine.patch).state).toBe('applied');
    expect(machine.call('f')).toBe(2);
  });

  it('is refused for a driver, by any case of its name', async () => {
    const { base, patch } = pair(importing);
    using lab = await Lab.boot({ architecture: 'x64' });
    lab.kernel.loadImage(base, { name: 'BASE.dll', initialize: false });
    expect(() => lab.engine.load(patch)).toThrow(/\(patch\.importsBase, STATUS_INVALID_IMAGE_FORMAT\)/);
  });
});

describe('what the kernel refuses', () => {
  it('is the engine’s error, with the status, the hint and the cause', async () => {
    const form = FORMS.find(({ name }) => name === 'ARM64');
    if (form === undefined) throw new Error('there is no such form');
    using machine = await bootForm({ ...form, boot: { ...form.boot, processors: 2 } });
    const { lab } = machine;
    const spin = lab.allocateCode(arm64Encoder.branch(0n, 0n));
    lab.kernel.createThread(spin, [], { irql: 15, affinity: 1 });
    lab.run({ instructions: 1000 });
    const error = errorOf(() => lab.engine.load(demoPatch(form, 1)));
    expect(error).toBeInstanceOf(HotPatchError);
    expect(error).toMatchObject({
      rule: 'rendezvous.timeout',
      status: { name: 'STATUS_IO_TIMEOUT' },
      image: 'demo_hp1.dll',
      hint: expect.stringMatching(/let it release the lock and try again/) as string,
      cause: { name: 'KernelError' },
    });
  });
});

function errorOf(action: () => unknown): unknown {
  try {
    action();
  } catch (error) {
    return error;
  }
  return undefined;
}
