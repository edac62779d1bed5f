import { Lab, ModernEngine } from 'hotpatch-lab';
import { appendHotPatchTable, encodeHotPatchTable, ImageBuilder, readImage } from 'hotpatch-lab/image';
import { describe, expect, it } from 'vitest';
import { FaultInjector } from '../../proof/index.js';
import { bench, CELLS, readFixture } from './kinds.js';

const DLL = CELLS.find(({ name }) => name === 'x64 DLL in three processes');
if (DLL === undefined) throw new Error('there is no such cell');
const dll = DLL;

/** A base and its patch, whose table lists call targets of the patch image. */
function guarded() {
  const code = (value: number) => [0xb8, value, 0, 0, 0, 0xc3];
  const start = (value: number, name: string) =>
    new ImageBuilder('x64', { name, dll: true })
      .code('f', code(value), { alignment: 16 })
      .code('g', code(7), { alignment: 16 })
      .loadConfig();
  const base = start(1, 'base.dll').build();
  const image = readImage(base.bytes, { file: 'base.dll' });
  const patch = start(2, 'patch.dll')
    .hotPatchTable((layout) => {
      const target = (name: string) => [{ rva: layout.rva(name), target: layout.rva(name) }];
      return {
        sequenceNumber: 1,
        bases: [
          {
            flags: 0x12,
            originalCheckSum: image.optionalHeader.checkSum,
            originalTimeDateStamp: image.fileHeader.timeDateStamp,
            chunks: [
              { direction: 'backward', type: 'CALL_TARGET', records: [...target('f'), ...target('g')] },
              { direction: 'backward', type: 'NO_CALL_TARGET', records: target('g') },
              {
                direction: 'forward',
                type: 'FUNCTION',
                records: [{ rva: base.rva('f'), target: layout.rva('f') }],
              },
            ],
          },
        ],
      };
    })
    .build();
  return {
    image,
    patchImage: readImage(patch.bytes, { file: 'patch.dll' }),
    rva: (name: string) => patch.rva(name),
  };
}

async function guardedProcess() {
  const built = guarded();
  const faults = new FaultInjector();
  const lab = await Lab.boot({ architecture: 'x64', seams: faults.seams });
  const process = lab.kernel.createProcess({ name: 'p.exe', controlFlowGuard: true });
  const base = process.loadImage(built.image, { initialize: false });
  return { ...built, faults, lab, process, base, [Symbol.dispose]: () => lab[Symbol.dispose]() };
}

describe('call targets of a patch image under Control Flow Guard', () => {
  it('are those that CALL_TARGET lists, without those that NO_CALL_TARGET takes back', async () => {
    using machine = await guardedProcess();
    const { loaded } = machine.lab.engine.load(machine.patchImage);
    if (loaded === undefined) throw new Error('not loaded');
    const { guard } = machine.process.domain;
    const valid = (name: string) => guard.isValidTarget(loaded.address(machine.rva(name)));
    expect([valid('f'), valid('g')]).toEqual([true, false]);
    expect(machine.lab.transcript).toContain('CFG: 2 function(s) of patch.dll are valid call targets');
  });

  /** The loader of the process has mapped the patch image. */
  function mapped({ lab, process, patchImage }: Awaited<ReturnType<typeof guardedProcess>>) {
    const engine = new ModernEngine(lab.kernel, { patchUserImages: false });
    engine.load(patchImage);
    const options = { domain: process.domain, loadReason: 'PatchImage', initialize: false } as const;
    return { engine, loaded: lab.kernel.loadImage(patchImage, options) };
  }

  it('are set by the loader’s request, too', async () => {
    using machine = await guardedProcess();
    const { engine, loaded } = mapped(machine);
    const { guard } = machine.process.domain;
    const valid = (name: string) => guard.isValidTarget(loaded.address(machine.rva(name)));
    expect([valid('f'), valid('g')]).toEqual([true, true]);
    engine.applyImagePatch(machine.base, loaded, 1);
    expect([valid('f'), valid('g')]).toEqual([true, false]);
  });

  it('are as before when the loader’s request fails behind them', async () => {
    using machine = await guardedProcess();
    const { process, base } = machine;
    const { engine, loaded } = mapped(machine);
    const saved = process.domain.guard.saveImage(loaded.dllBase);
    {
      using _ = machine.faults.inject(
        'codeStore',
        () => base.hpat?.committed === true && loaded.hotPatchState === 'AppliedReverse',
      );
      expect(() => engine.applyImagePatch(base, loaded, 3)).toThrow(
        /store a store into code|a store into code/,
      );
    }
    expect(process.domain.guard.saveImage(loaded.dllBase)).toEqual(saved);
  });
});

describe('a patch that is refused', () => {
  it('has failed, and is not registered', async () => {
    using machine = await bench(dll);
    const { lab } = machine;
    const image = machine.image({ failingPhase: 0 });
    expect(() => lab.engine.load(image)).toThrow(/callout\.failed/);
    expect(lab.engine.patches).toEqual([]);
    const base = machine.places[0]?.demo;
    expect(base === undefined ? undefined : lab.engine.registeredFor(base)).toBeUndefined();
  });

  it('a newer one that fails leaves the older one applied, with its functions', async () => {
    using machine = await bench(dll);
    const first = machine.load();
    expect(first.functions).toBe(6);
    expect(() => machine.load({ sequenceNumber: 2, failingPhase: 0 })).toThrow(/callout\.failed/);
    expect([first.state, first.functions, first.applications.length]).toEqual(['applied', 6, 3]);
    machine.load({ sequenceNumber: 2 });
    expect([first.state, first.functions]).toEqual(['superseded', 0]);
  });

  it('an address space that is full, and one in which a page cannot be written', async () => {
    for (const [fault, expected] of [
      ['page', /STATUS_NO_MEMORY/],
      ['dataStore', /STATUS_ACCESS_VIOLATION/],
    ] as const) {
      const faults = new FaultInjector();
      using machine = await bench({ ...dll, boot: { ...dll.boot, seams: faults.seams } });
      using _ = faults.inject(fault, () => true);
      expect(() => machine.load()).toThrow(expected);
    }
  });
});

describe('a hotpatch image that is itself a base', () => {
  it('is not patched where it is mapped as a hotpatch image, before or after its own patch', async () => {
    for (const first of [true, false]) {
      using machine = await bench({
        ...dll,
        kind: { ...dll.kind, domains: (lab) => [lab.createProcess('a.exe').domain] },
      });
      const { lab } = machine;
      const image = machine.image();
      const { image: fixed } = readFixture('x64/fixed/demo.dll');
      const table = image.hotPatch;
      if (table === undefined) throw new Error('the image has no table');
      const { optionalHeader, fileHeader } = image;
      const bases = table.bases.map((base) => ({
        ...base,
        originalCheckSum: optionalHeader.checkSum,
        originalTimeDateStamp: fileHeader.timeDateStamp,
      }));
      const bytes = appendHotPatchTable(fixed, encodeHotPatchTable({ ...table, bases, sequenceNumber: 9 }));
      const later = readImage(bytes, { file: 'later_hp.dll' });
      const early = first ? lab.engine.load(later) : undefined;
      lab.engine.load(image, { name: 'demo_hp.dll' });
      const patch = early ?? lab.engine.load(later);
      expect([patch.state, patch.applications]).toEqual(['deferred', []]);
    }
  });
});
