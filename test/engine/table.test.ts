import { BugCheck } from 'hotpatch-lab';
import { describe, expect, it } from 'vitest';
import { editRecord } from '../../engine/modern/image-record.js';
import { share } from '../share.js';
import { DEMO_FUNCTIONS } from './forms.js';
import { type Bench, bench, CELLS, type Place } from './kinds.js';

const LEAF = { old: 42, fixed: 43 };
const NEW_IMPORT = [8, 0x1234, 0] as const;
const NEW_IMPORT_RESULT = { old: -1, fixed: 0x1234 ^ 0x5a5a };

function expectOriginal({ places }: Bench): void {
  for (const { demo, call } of places) {
    expect(demo.codeBytes()).toEqual(demo.codeBytesBeforePatch);
    expect(demo.hotPatchState).toMatch(/BaseImage|FailedToPatch/);
    expect(demo.activePatchImageBase).toBeUndefined();
    expect(call('leaf_opaque')).toBe(LEAF.old);
    expect(call('dispatch', ...NEW_IMPORT)).toBe(NEW_IMPORT_RESULT.old);
  }
}

function expectPatched({ demo, call }: Place, form: { entry: readonly (number | undefined)[] }): void {
  expect(demo.hotPatchState).toBe('AppliedForward');
  const entry = demo.domain.addressSpace.read(demo.symbol('leaf_opaque'), form.entry.length);
  form.entry.forEach((byte, index) => {
    if (byte !== undefined) expect(entry[index]).toBe(byte);
  });
  expect(call('leaf_opaque')).toBe(LEAF.fixed);
  expect(call('call_op', 7, 1, 1)).toBe(0); // the old one calls through a pointer outside its table
}

/** In each place a thread that stands in the middle of the old `dispatch`. */
function enterDispatch({ lab, places }: Bench) {
  return places.map(({ domain, demo }) => {
    const thread = lab.kernel.createThread(demo.symbol('dispatch'), NEW_IMPORT, { domain });
    while (thread.pc === demo.symbol('dispatch') || !thread.started) lab.run({ instructions: 1 });
    return thread;
  });
}

const cells = share(CELLS, 3);

it('is tested on every form and every kind of image', () => {
  const of = (all: readonly (typeof CELLS)[number][]) => ({
    forms: new Set(all.map(({ form }) => form.name)),
    kinds: new Set(all.map(({ kind }) => kind)),
  });
  expect(of(cells)).toEqual(of(CELLS));
});

describe.each(cells)('$name', (cell) => {
  const { form, kind } = cell;

  it('apply: old code before, its rest while it is applied, new code after', async () => {
    using machine = await bench(cell);
    const { lab, places } = machine;
    expect(places.length).toBeGreaterThan(0);
    expectOriginal(machine);
    const inside = enterDispatch(machine);
    const patch = machine.load();
    expect(patch.applications.length).toBe(places.length);
    for (const thread of inside) {
      lab.run({ until: thread.returns() });
      expect(thread.result).toBe(NEW_IMPORT_RESULT.old);
    }
    for (const place of places) {
      expectPatched(place, form);
      expect(place.call('hp_entry', 3, 9, 4)).toBe(171);
    }
  });

  it('new import: bound for the patch image in every address space', async () => {
    using machine = await bench(cell);
    machine.load();
    for (const { call } of machine.places)
      expect(call('dispatch', ...NEW_IMPORT)).toBe(NEW_IMPORT_RESULT.fixed);
  });

  it('revert: every byte and state is the original one, and a call in the new code ends in it', async () => {
    using machine = await bench(cell);
    const { lab, places } = machine;
    const patch = machine.load();
    const inside = places.map(({ domain, demo }, index) => {
      const thread = lab.kernel.createThread(demo.symbol('dispatch'), NEW_IMPORT, { domain });
      const loaded = patch.applications[index]?.loaded;
      while (!thread.started || loaded?.contains(thread.pc) !== true) lab.run({ instructions: 1 });
      return thread;
    });
    lab.engine.unload(patch);
    for (const thread of inside) {
      lab.run({ until: thread.returns() });
      expect(thread.result).toBe(NEW_IMPORT_RESULT.fixed);
    }
    expectOriginal(machine);
    expect(places.every(({ demo }) => demo.hotPatchState === 'BaseImage')).toBe(true);
  });

  it('apply newer: data slots for what it covers again, original bytes for what it drops', async () => {
    using machine = await bench(cell);
    const { lab, places } = machine;
    const first = machine.load();
    const entries = places.map(({ demo }) => demo.domain.addressSpace.read(demo.symbol('leaf_opaque'), 4));
    const slots = places.map(({ demo }) => lab.engine.record(demo).usedSlots);
    const second = machine.load({ sequenceNumber: 2, functions: ['leaf_opaque', 'hp_entry'] });
    expect([first.state, second.state]).toEqual(['superseded', 'applied']);
    places.forEach((place, index) => {
      const { demo, call } = place;
      expect(demo.domain.addressSpace.read(demo.symbol('leaf_opaque'), 4)).toEqual(entries[index]);
      expect(lab.engine.record(demo).usedSlots).toBe(slots[index]);
      expect(demo.activePatchImageBase).toBe(second.applications[index]?.loaded.dllBase);
      expect(call('leaf_opaque')).toBe(LEAF.fixed);
      expect(call('dispatch', ...NEW_IMPORT)).toBe(NEW_IMPORT_RESULT.old);
    });
  });

  it('repatch: after many patches a call costs no instruction more', async () => {
    using machine = await bench(cell);
    const { lab, places } = machine;
    const [first] = places;
    if (first === undefined) throw new Error('no place');
    const cost = () =>
      lab.kernel.callThread(first.demo.symbol('leaf_opaque'), [], { domain: first.domain }).instructions;
    const unpatched = cost();
    for (const sequenceNumber of [1, 2, 3, 4]) {
      machine.load({ sequenceNumber });
      for (const place of places) expectPatched(place, form);
      expect(cost() - unpatched).toBe(cell.hops);
    }
    expect(lab.engine.record(first.demo).usedSlots).toBe(DEMO_FUNCTIONS.length);
    lab.engine.unloadAll(first.demo);
    expectOriginal(machine);
  });

  it('deferred: applied before the first instruction of a base that comes later', async () => {
    using machine = await bench(cell);
    const { lab, places } = machine;
    for (const { domain } of places)
      for (const image of [...domain.images].reverse()) lab.kernel.unloadImage(image);
    const patch = machine.load();
    expect([patch.state, patch.status.name]).toEqual(['deferred', 'STATUS_PATCH_DEFERRED']);
    for (const { domain } of places) expectPatched(machine.place(domain), form);
    expect([patch.state, patch.applications.length]).toEqual(['applied', places.length]);
  });

  it('far: the patch image may lie anywhere, because both ways lead through 64-bit slots', async () => {
    using machine = await bench(cell);
    const { places } = machine;
    // Programs with 32 bits have no place that is far.
    const distance = cell.images === 'x86' ? 0x1000_0000n : 0x1_8000_0000n;
    for (const region of new Set(places.map(({ domain }) => domain.imageRegion))) region.skip(distance);
    const patch = machine.load();
    places.forEach((place, index) => {
      const base = patch.applications[index]?.loaded.dllBase ?? 0n;
      expect(base - place.demo.dllBase > distance).toBe(true);
      expectPatched(place, form);
      expect(place.call('hp_entry', 3, 9, 4)).toBe(171);
    });
  });

  it('HPAT full: refused before the first store, in every address space', async () => {
    using machine = await bench(cell);
    const { lab, places } = machine;
    const last = places.at(-1);
    const capacity = last?.demo.hpat?.capacity ?? 0;
    if (last === undefined) throw new Error('no place');
    editRecord(lab.engine.record(last.demo)).useSlot(capacity - DEMO_FUNCTIONS.length, 0);
    const frames = lab.kernel.machine.memory.framesInUse;
    expect(() => machine.load()).toThrow(/hpat\.full, STATUS_PATCH_CONFLICT/);
    expect(places.map(({ demo }) => demo.hpat?.committed)).toEqual(places.map(() => false));
    expect(lab.kernel.machine.memory.framesInUse).toBe(frames);
    expectOriginal(machine);
    editRecord(lab.engine.record(last.demo)).useSlot(capacity - DEMO_FUNCTIONS.length - 1, 0);
    machine.load();
    for (const place of places) expectPatched(place, form);
  });

  it('callout fails in phase 0: the patch is refused and nothing is left of it', async () => {
    using machine = await bench(cell);
    expect(() => machine.load({ failingPhase: 0 })).toThrow(/callout\.failed, STATUS_UNSUCCESSFUL/);
    expectOriginal(machine);
    for (const { domain, demo } of machine.places) {
      expect(domain.images.map(({ baseDllName }) => baseDllName)).toEqual(['hpimport.dll', 'demo.dll']);
      expect(demo.hpat?.committed).toBe(false);
      expect(demo.hotPatchState).toBe('BaseImage');
    }
  });

  it('callout fails in phase 1: fast fail 68 ends the process, 0x1A/0x48501B the system', async () => {
    using machine = await bench(cell);
    const { lab, places } = machine;
    if (kind.world === 'system') {
      expect(bugCheckOf(() => machine.load({ failingPhase: 1 }))).toEqual([0x1a, 0x48501bn]);
      return;
    }
    const patch = machine.load({ failingPhase: 1 });
    expect(places.map(({ domain }) => domain.process?.exitStatus)).toEqual(places.map(() => 0xc0000409));
    expect(patch.applications).toEqual([]);
    expect(lab.transcript.match(/FAST_FAIL_PATCH_CALLBACK_FAILED \(68\)/g)?.length).toBe(places.length);
  });

  it('callout fails in phase 2: after a failed forward application, fast fail 68 or 0x1A/0x48501C', async () => {
    using machine = await bench(cell);
    const { places } = machine;
    failAtLastEntry(machine);
    if (kind.world === 'system') {
      expect(bugCheckOf(() => machine.load({ failingPhase: 2 }))).toEqual([0x1a, 0x48501cn]);
      return;
    }
    expect(() => machine.load({ failingPhase: 2 })).toThrow('the store failed');
    expect(places.map(({ domain }) => domain.process?.exitStatus)).toEqual(places.map(() => 0xc0000409));
  });

  it('callout hears of a failed forward application, and everything is taken back everywhere', async () => {
    using machine = await bench(cell);
    const { lab, places } = machine;
    failAtLastEntry(machine);
    expect(() => machine.load({ failingPhase: 7 })).toThrow('the store failed');
    expect(phases(lab.transcript)).toEqual([...places.map(() => 0), ...places.map(() => 2)]);
    expectOriginal(machine);
    const after = kind.world === 'user' ? 'FailedToPatch' : 'BaseImage';
    for (const { domain, demo } of places) {
      expect(demo.hotPatchState).toBe(after);
      expect(domain.images.length).toBe(2);
    }
  });

  it('callout crashes: the process ends, or the system', async () => {
    using machine = await bench(cell);
    const { places } = machine;
    if (kind.world === 'system') {
      expect(bugCheckOf(() => machine.load({ crashingPhase: 0 }))[0]).toBe(0x7e);
      return;
    }
    const patch = machine.load({ crashingPhase: 0 });
    expect(places.map(({ domain }) => domain.process?.exitStatus)).toEqual(places.map(() => 0xc0000005));
    expect([patch.state, patch.applications]).toEqual(['deferred', []]);
    for (const _ of places)
      expect(machine.lab.transcript).toContain(
        '__PatchMainCallout__(phase 0) ended its process with 0xc0000005',
      );
  });

  it('stores: by whom they must be made, and never into a page that is writable and executable', async () => {
    using machine = await bench(cell);
    const { lab, places } = machine;
    const writers = new Set<string>();
    lab.kernel.events.on((event) => {
      if (event.kind === 'store' && / stores .*\(entry of/.test(event.text))
        writers.add(event.text.trim().split(' ')[0] ?? '');
    });
    machine.load();
    expect([...writers]).toEqual([kind.codeWriter]);
    for (const { domain } of places)
      for (const { protection } of domain.table.entries())
        expect(protection).not.toMatch(/^PAGE_EXECUTE_(READWRITE|WRITECOPY)$/);
  });

  it('data: each address space keeps its own, shared by old and new code', async () => {
    using machine = await bench(cell);
    const { places } = machine;
    places.forEach(({ call }, index) => {
      call('dispatch', 6, 500 + index, 1);
    });
    machine.load();
    places.forEach(({ demo, domain, call }, index) => {
      expect(domain.addressSpace.readU32(demo.symbol('g_counter'))).toBe(500 + index);
      call('dispatch', 6, 1000 + index, 1);
    });
    places.forEach(({ demo, domain }, index) => {
      expect(domain.addressSpace.readU32(demo.symbol('g_counter'))).toBe(1000 + index);
    });
  });
});

function phases(transcript: string): number[] {
  return [...transcript.matchAll(/__PatchMainCallout__\(phase (\d)\)/g)].map(([, phase]) => Number(phase));
}

function bugCheckOf(action: () => unknown): [number, bigint | undefined] {
  try {
    action();
  } catch (error) {
    if (error instanceof BugCheck) return [error.code, error.parameters[0]];
    throw error;
  }
  throw new Error('the system did not stop');
}

/** The very last store of forward application fails. */
function failAtLastEntry({ places }: Bench): void {
  const last = places.at(-1);
  if (last === undefined) throw new Error('no place');
  const entries = DEMO_FUNCTIONS.map((name) => last.demo.symbol(name)).sort((a, b) => Number(a - b));
  let left = entries.length;
  last.domain.writer.beforeStore(({ into, address }) => {
    if (into === 'code' && left > 0 && entries.includes(address) && --left === 0)
      throw new Error('the store failed');
  });
}
