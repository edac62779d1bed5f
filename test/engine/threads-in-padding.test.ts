import { type HotPatchEngine, HotPatchError, Lab, type LoadedImage, type Process } from 'hotpatch-lab';
import { type BuiltImage, ImageBuilder, type PeImage } from 'hotpatch-lab/image';
import { describe, expect, it } from 'vitest';
import { pair, returning } from './built.js';
import { buildPatch, indirectHooks, nearHooks } from './server-2003/support.js';

type Processor = 'x64' | 'x86';

const XOR_ECX = [0x31, 0xc9];
const nops = (count: number) => new Array<number>(count).fill(0x90);
const NINE = [0x66, 0x0f, 0x1f, 0x84, 0, 0, 0, 0, 0];

/** `g` runs through its no-operations into `f`. */
const PADDINGS: readonly {
  readonly name: string;
  readonly padding: readonly number[];
  /** How far before the function its last no-operations begin. */
  readonly starts: readonly number[];
}[] = [
  { name: '14 NOP of one byte', padding: nops(14), starts: [6, 5, 4, 3, 2, 1] },
  { name: 'NOP of five bytes', padding: [...nops(5), 0x0f, 0x1f, 0x44, 0, 0], starts: [6, 5] },
  { name: 'NOP of nine bytes before', padding: [...NINE, ...nops(6)], starts: [6, 5, 4, 3, 2, 1] },
];

/** The jump would begin inside one of them. */
const SPLIT: readonly { readonly name: string; readonly padding: readonly number[] }[] = [
  { name: 'NOP of nine bytes among others', padding: [...nops(3), ...NINE, 0x90, 0x90] },
  { name: 'NOP of five bytes before two', padding: [...nops(4), 0x0f, 0x1f, 0x44, 0, 0, 0x66, 0x90] },
  { name: 'NOP of seven bytes', padding: [0x90, 0x0f, 0x1f, 0x80, 0, 0, 0, 0] },
];

interface Setup extends Disposable {
  readonly lab: Lab;
  readonly engine: HotPatchEngine;
  readonly processes: readonly Process[];
  readonly bases: readonly LoadedImage[];
  readonly patch: PeImage;
}

interface Engine {
  readonly name: string;
  readonly processor: Processor;
  /** Bytes of the jump in the padding. */
  readonly jump: number;
  boot(padding: readonly number[], processes?: number): Promise<Setup>;
}

const parts = (builder: ImageBuilder, padding: readonly number[]) =>
  builder
    .code('g', [...XOR_ECX, ...padding], { padding: 0 })
    .code('f', returning(1), { padding: 0, alignment: 1 })
    .code('cells', new Uint8Array(64));

function started(lab: Lab, count: number, processor: Processor, base: PeImage, patch: PeImage): Setup {
  const processes = Array.from({ length: count }, (_, index) =>
    lab.createProcess({ name: `p${index}.exe`, wow64: processor === 'x86' }),
  );
  const dllBase = 0x1000_0000n;
  const bases = processes.map((process) => process.loadImage(base, { initialize: false, dllBase }));
  const { engine } = lab;
  return { lab, engine, processes, bases, patch, [Symbol.dispose]: () => lab[Symbol.dispose]() };
}

const ENGINES: readonly Engine[] = (['x64', 'x86'] as const).flatMap((processor): Engine[] => [
  {
    name: `modern, ${processor}`,
    processor,
    jump: 5,
    async boot(padding, count = 1) {
      const images = pair({
        architecture: processor,
        covered: ['f'],
        parts: (builder, value) =>
          value === 1 ? parts(builder, padding) : builder.code('f', returning(value)),
      });
      const lab = await Lab.boot({ architecture: 'x64' });
      return started(lab, count, processor, images.base, images.patch);
    },
  },
  {
    name: `Server 2003, ${processor}`,
    processor,
    jump: processor === 'x64' ? 6 : 5,
    async boot(padding, count = 1) {
      const builder = new ImageBuilder(processor, {
        dll: true,
        subsystem: 'WINDOWS_CUI',
        name: 'target.dll',
      });
      const built: BuiltImage = parts(builder, padding).build();
      const patch = buildPatch(built, {
        processor,
        result: 2,
        section: ({ good, layout }) => {
          const [f, g] = [built.rva('f'), layout.rva('g')];
          const hooks = processor === 'x64' ? indirectHooks(f, g, built.rva('cells')) : nearHooks(f, g);
          return { ...good, hooks, validations: [] };
        },
      });
      const lab = await Lab.boot({ architecture: processor, engine: 'server-2003' });
      return started(lab, count, processor, built.image, patch);
    },
  },
]);

const symbolRva = (image: LoadedImage, name: 'g' | 'f', padding: readonly number[]) => {
  const [text] = image.executableSections;
  if (text === undefined) throw new Error('no code');
  return image.address(text.virtualAddress + (name === 'g' ? 0 : XOR_ECX.length + padding.length));
};

describe.each(ENGINES)('code that runs through padding into a function, $name', ({ boot, jump }) => {
  it.each(PADDINGS)('$name: wherever the thread is, it returns the old or the new result', async (one) => {
    const { padding, starts } = one;
    let [applied, refused] = [0, 0];
    for (let count = 0; ; count++) {
      using setup = await boot(padding);
      const { lab, engine, bases, processes, patch } = setup;
      const [base] = bases;
      const [process] = processes;
      if (base === undefined || process === undefined) throw new Error('no process');
      const thread = process.createThread(symbolRva(base, 'g', padding));
      if (count > 0) lab.run({ instructions: count, until: thread.returns() });
      if (thread.finished) break;
      const before = base.codeBytes();
      let isRefused = false;
      try {
        engine.load(patch);
        applied++;
      } catch (error) {
        if (!(error instanceof HotPatchError)) throw error;
        expect([error.rule, error.status.name]).toEqual(['padding.occupied', 'STATUS_RETRY']);
        expect(base.codeBytes()).toEqual(before);
        isRefused = true;
        refused++;
      }
      lab.run({ until: thread.returns() });
      expect([1, 2]).toContain(thread.result);
      if (isRefused) engine.load(patch);
      expect(process.call(symbolRva(base, 'f', padding))).toBe(2);
    }
    expect(applied).toBeGreaterThan(2);
    expect(refused).toBe(starts.filter((start) => start < jump).length);
  });
});

describe.each(ENGINES)(
  'code that runs through no-operations that the jump would split, $name',
  ({ boot }) => {
    it.each(SPLIT)('$name: is refused', async ({ padding }) => {
      using setup = await boot(padding);
      const { engine, bases, patch } = setup;
      expect(() => engine.load(patch)).toThrow(/(function|hook)\.padding/);
      expect(bases[0]?.codeBytes()).toEqual(bases[0]?.codeBytesBeforePatch);
    });
  },
);

describe.each(ENGINES)('two processes that have a DLL at one address, $name', ({ boot }) => {
  it('a thread in the padding of the one holds back neither apply nor revert in the other', async () => {
    const padding = nops(14);
    using setup = await boot(padding, 2);
    const { lab, engine, bases, processes, patch } = setup;
    const [one, other] = bases;
    if (one === undefined || other === undefined) throw new Error('no process');
    expect(one.dllBase).toBe(other.dllBase);
    const loaded = engine.load(patch);
    const thread = processes[0]?.createThread(symbolRva(one, 'f', padding));
    if (thread === undefined) throw new Error('no thread');
    // The short jump, and then it stands on the jump in the padding.
    lab.run({ instructions: 1 });
    expect(thread.pc).toBeLessThan(symbolRva(one, 'f', padding));
    engine.unload(loaded);
    expect(other.codeBytes()).toEqual(other.codeBytesBeforePatch);
    expect(one.codeBytes()).not.toEqual(one.codeBytesBeforePatch);
    lab.run({ until: thread.returns() });
    expect(thread.result).toBe(2);
    expect(bases.map((base, i) => processes[i]?.call(symbolRva(base, 'f', padding)))).toEqual([1, 1]);
  });
});

describe.each(ENGINES)(
  'somebody else’s jump in the padding of a hotpatched function, $name',
  ({ boot, jump }) => {
    it('is not overwritten: the hotpatch is not taken back', async () => {
      const padding = nops(14);
      using setup = await boot(padding);
      const { lab, engine, bases, processes, patch } = setup;
      const [base] = bases;
      if (base === undefined) throw new Error('no process');
      const f = symbolRva(base, 'f', padding);
      const loaded = engine.load(patch);
      // As Detours does: from where the entry's short jump leads, to a function of its own.
      const detour = Uint8Array.from([0xe9, 0, 0, 0, 0]);
      new DataView(detour.buffer).setInt32(1, Number(symbolRva(base, 'g', padding) - f) + jump - 5, true);
      lab.kernel.machine.writeCode(base.domain.addressSpace, f - BigInt(jump), detour);
      const code = base.codeBytes();
      expect(() => engine.unload(loaded)).toThrow(/STATUS_PATCH_CONFLICT|STATUS_DATA_ERROR/);
      expect(base.codeBytes()).toEqual(code);
      expect(loaded.state).toBe('applied');
      expect(processes).toHaveLength(1);
    });
  },
);

/** Those whose processors run on while entries are stored. */
const MODERN = ENGINES.filter(({ name }) => name.startsWith('modern'));

describe.each(MODERN)('a hotpatch that is left when its entry is stored, $name', ({ boot }) => {
  it.each([1, 2, 3])(
    'a thread that has met it, %i instructions ago, returns a right result',
    async (count) => {
      // Before another function's end: whoever executed it would fault.
      const padding = new Array<number>(14).fill(0xcc);
      using setup = await boot(padding);
      const { lab, engine, bases, processes, patch } = setup;
      const [base] = bases;
      const [process] = processes;
      if (base === undefined || process === undefined) throw new Error('no process');
      const f = symbolRva(base, 'f', padding);
      const original = base.codeBytes();
      const steps = engine.loadSteps(patch);
      for (let step = steps.next(); !isEntry(step.value, f); step = steps.next())
        if (step.done === true) throw new Error('no store at the entry');
      const thread = process.createThread(f);
      lab.run({ instructions: count, until: thread.returns() });
      expect(thread.pc).not.toBe(f);
      steps.return(undefined as never);
      lab.run({ until: thread.returns() });
      expect(thread.result).toBe(2);
      expect(process.call(f)).toBe(1);
      const loaded = engine.load(patch);
      expect(process.call(f)).toBe(2);
      engine.unload(loaded);
      expect(process.call(f)).toBe(1);
      expect(base.codeBytes()).toEqual(original);
    },
  );
});

const isEntry = (step: unknown, address: bigint): boolean =>
  typeof step === 'object' && step !== null && 'address' in step && step.address === address;
