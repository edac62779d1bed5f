import { Lab, ModernEngine } from 'hotpatch-lab';
import { describe, expect, it } from 'vitest';
import { bootDemo, damaged, fixture } from '../support.js';
import { bench, CELLS, readFixture } from './kinds.js';

const cell = (name: string) => {
  const found = CELLS.find((candidate) => candidate.name === name);
  if (found === undefined) throw new Error(`there is no cell ${name}`);
  return found;
};
const DLL = cell('x64 DLL in three processes');
const PACKETS_HP = fixture('x64/patch/packets_hp.sys');
const PACKETS = fixture('x64/base/packets.sys');

/** packets.sys that was built at another time, or that has another checksum. */
const otherBuild = (field: 'timeDateStamp' | 'checkSum') =>
  damaged('x64/base/packets.sys', (view) => {
    const pe = view.getUint32(0x3c, true);
    const at = field === 'timeDateStamp' ? pe + 8 : pe + 24 + 0x40;
    view.setUint32(at, view.getUint32(at, true) ^ 1, true);
    return undefined;
  });

describe('a base that is loaded when a patch waits', () => {
  it.each(['timeDateStamp', 'checkSum'] as const)('is not the patch’s with another %s', async (field) => {
    using lab = await Lab.boot({ architecture: 'x64' });
    const patch = await lab.loadHotPatch(PACKETS_HP);
    const driver = lab.kernel.loadImage(otherBuild(field), { name: 'packets.sys' });
    expect(patch.state).toBe('deferred');
    expect(driver.codeBytes()).toEqual(driver.codeBytesBeforePatch);
  });

  it('a patch of two processes keeps the application of the one that goes on', async () => {
    using machine = await bench(DLL);
    const patch = machine.load();
    const [first, second, third] = machine.places;
    second?.domain.process?.terminate();
    expect(patch.applications.map(({ base }) => base.image)).toEqual([first?.demo, third?.demo]);
  });

  it('is patched again after it was unloaded; the patch image goes with it', async () => {
    using lab = await Lab.boot({ architecture: 'x64' });
    const driver = await lab.loadDriver(PACKETS);
    const patch = await lab.loadHotPatch(PACKETS_HP);
    lab.kernel.unloadImage(driver);
    expect(patch).toMatchObject({ state: 'deferred', applications: [], functions: 0 });
    expect(lab.kernel.domain.images).toEqual([]);
    const again = await lab.loadDriver(PACKETS);
    expect(patch.state).toBe('applied');
    expect(again.hotPatchState).toBe('AppliedForward');
    expect(lab.engine.record(again).usedSlots).toBe(1);
  });

  it('runs its own code when the patch was taken back before it was unloaded', async () => {
    using lab = await Lab.boot({ architecture: 'x64' });
    const driver = await lab.loadDriver(PACKETS);
    const patch = await lab.loadHotPatch(PACKETS_HP);
    lab.unloadHotPatch(patch);
    expect([patch.state, patch.functions]).toEqual(['reverted', 0]);
    lab.kernel.unloadImage(driver);
    expect(patch.state).toBe('reverted');
    const again = await lab.loadDriver(PACKETS);
    expect(again.codeBytes()).toEqual(again.codeBytesBeforePatch);
  });

  it('a patch that waits can be given up', async () => {
    using lab = await Lab.boot({ architecture: 'x64' });
    const patch = await lab.loadHotPatch(PACKETS_HP);
    lab.unloadHotPatch(patch);
    expect(patch.state).toBe('reverted');
    expect(() => lab.unloadHotPatch(patch)).toThrow(/unload\.notActive/);
    const driver = await lab.loadDriver(PACKETS);
    expect(driver.codeBytes()).toEqual(driver.codeBytesBeforePatch);
  });
});

describe('an engine that leaves user images to their loaders', () => {
  it('patches drivers all the same, loaded before the patch or after', async () => {
    for (const first of ['driver', 'patch']) {
      using lab = await Lab.boot({ architecture: 'x64' });
      const engine = new ModernEngine(lab.kernel, { patchUserImages: false });
      const load = () => engine.load(readFixture('x64/patch/packets_hp.sys').image);
      const early = first === 'patch' ? load() : undefined;
      await lab.loadDriver(PACKETS);
      expect((early ?? load()).state).toBe('applied');
    }
  });

  it('leaves a DLL alone, loaded before the patch or after', async () => {
    using lab = await Lab.boot({ architecture: 'x64' });
    const engine = new ModernEngine(lab.kernel, { patchUserImages: false });
    const process = lab.createProcess('program.exe');
    const load = async () => {
      await lab.loadDll(process, fixture('x64/hpimport.dll'));
      return lab.loadDll(process, fixture('x64/base/demo.dll'));
    };
    const demo = await load();
    const patch = engine.load(readFixture('x64/patch/demo_hp.dll').image);
    process.unloadImage(demo);
    const later = await load();
    expect(patch.state).toBe('deferred');
    expect(later.codeBytes()).toEqual(later.codeBytesBeforePatch);
  });
});

describe('processes that end before or after a patch is taken back', () => {
  it('take the image of a patch that was taken back with them', async () => {
    using machine = await bench(DLL);
    const { lab, places } = machine;
    const patch = machine.load();
    lab.engine.unload(patch);
    const [first, ...others] = places;
    first?.domain.process?.terminate();
    expect(patch.applications.map(({ base }) => base.image)).toEqual(others.map(({ demo }) => demo));
    lab.engine.unmapPatch(patch);
    for (const { domain, demo } of others) expect(domain.images.at(-1)).toBe(demo);
    for (const { domain } of others) domain.process?.terminate();
    expect([patch.state, patch.applications]).toEqual(['reverted', []]);
  });

  it('leave two patches waiting: without the newer one the next process gets the older', async () => {
    using machine = await bench(DLL);
    const { lab, places } = machine;
    const older = machine.load();
    const newer = machine.load({ sequenceNumber: 2, functions: ['fib'] });
    for (const { domain } of places) domain.process?.terminate();
    expect([older.state, newer.state]).toEqual(['deferred', 'deferred']);
    const place = machine.place(lab.createProcess('next.exe').domain);
    expect([newer.state, place.call('leaf_opaque')]).toEqual(['applied', 42]);
    lab.engine.unload(newer);
    expect([older.state, place.call('leaf_opaque')]).toEqual(['applied', 43]);
    expect(machine.place(lab.createProcess('last.exe').domain).call('leaf_opaque')).toBe(43);
  });
});

describe('the callout of a DLL’s patch', () => {
  const callouts = (lab: Lab) => lab.events.filter(({ kind }) => kind === 'callout').length;

  it('is left out while the process initialises, and called in one that runs', async () => {
    using machine = await bench({ ...DLL, kind: { ...DLL.kind, domains: () => [] } });
    const { lab } = machine;
    lab.engine.load(machine.image({ failingPhase: 7 }), { name: 'demo_hp.dll' });
    const place = machine.place(lab.createProcess('new.exe').domain);
    expect(place.call('leaf_opaque')).toBe(43);
    expect(callouts(lab)).toBe(0);

    const waiting = lab.createProcess('waiting.exe');
    await lab.loadDll(waiting, fixture('x64/hpimport.dll'));
    const notStarted = waiting.createThread(waiting.findImage('hpimport')?.dllBase ?? 0n);
    machine.place(waiting.domain);
    expect([notStarted.started, callouts(lab)]).toEqual([false, 0]);
    waiting.terminate();

    const running = lab.createProcess('running.exe');
    await lab.loadDll(running, fixture('x64/hpimport.dll'));
    const import_ = running.findImage('hpimport');
    const [name] = import_?.image.exports?.functions ?? [];
    const thread = running.createThread(import_?.symbol(name?.name ?? '') ?? 0n);
    lab.run({ instructions: 1 });
    expect(thread.started).toBe(true);
    machine.place(running.domain);
    expect(callouts(lab)).toBe(2);
  });
});

describe('one operation at a time', () => {
  it('a process that starts meanwhile is patched once', async () => {
    using machine = await bench(DLL);
    const { lab } = machine;
    const steps = lab.engine.loadSteps(machine.image());
    for (let step = 0; step < 40; step++) steps.next();
    machine.place(lab.createProcess('late.exe').domain);
    for (let step = steps.next(); step.done !== true; ) step = steps.next();
    expect(lab.events.filter(({ kind }) => kind === 'lateBaseFailed')).toEqual([]);
    expect(lab.events.filter(({ kind }) => kind === 'applied')).toHaveLength(4);
  });

  it('a process that starts meanwhile and cannot be patched goes on unpatched, and is named', async () => {
    using machine = await bench(DLL);
    const { lab, places } = machine;
    const steps = lab.engine.loadSteps(machine.image());
    for (let step = 0; step < 40; step++) steps.next();
    const late = machine.place(lab.createProcess('late.exe').domain);
    const entry = late.demo.symbol('dispatch');
    lab.kernel.machine.writeCode(late.domain.addressSpace, entry, Uint8Array.of(0xeb, 0xf0));
    for (let step = steps.next(); step.done !== true; ) step = steps.next();
    expect(lab.transcript).toMatch(/late\.exe \(\d+\) goes on unpatched: .*function\.mismatch/);
    expect(late.call('leaf_opaque')).toBe(42);
    for (const place of places) expect(place.call('leaf_opaque')).toBe(43);
  });

  it('the loader of a process may only apply what is registered', async () => {
    using machine = await bench(DLL);
    const [first] = machine.places;
    if (first === undefined) throw new Error('no place');
    expect(() => machine.lab.engine.applyImagePatch(first.demo, first.demo, 1)).toThrow(
      /applyImage\.notRegistered, STATUS_PATCH_NOT_REGISTERED/,
    );
  });

  it('a second apply that the loader asks for in between is refused', async () => {
    using machine = await bench(DLL);
    const { lab, places } = machine;
    const [first] = places;
    const patch = machine.load();
    const application = patch.applications[0];
    if (first === undefined || application === undefined) throw new Error('no place');
    const steps = lab.engine.loadSteps(machine.image({ sequenceNumber: 2 }));
    steps.next();
    expect(() => lab.engine.applyImagePatch(first.demo, application.loaded, 2)).toThrow(
      /operation\.inProgress, STATUS_OPERATION_IN_PROGRESS/,
    );
    steps.return(undefined as never);
  });
});

describe('what is kept of a patch', () => {
  it('a patch that another one has superseded is not unmapped', async () => {
    using machine = await bench(DLL);
    const first = machine.load();
    machine.load({ sequenceNumber: 2 });
    expect(first.state).toBe('superseded');
    expect(() => machine.lab.engine.unmapPatch(first)).toThrow(/the patch is superseded.*unmap\.inForce/);
    expect(() => machine.lab.engine.unload(first)).toThrow(/unload\.notActive/);
  });

  it('functions of the patch image that lead to the base have slots, and no undo entries', async () => {
    using machine = await bootDemo();
    const patch = await machine.lab.loadHotPatch(fixture('x64/patch/demo_hp.dll'));
    if (patch.loaded === undefined) throw new Error('not loaded');
    const own = machine.lab.engine.record(patch.loaded);
    expect(own.usedSlots).toBeGreaterThan(0);
    expect([...own.undo]).toEqual([]);
    expect([...machine.lab.engine.record(machine.demo).undo]).toHaveLength(6);
  });

  it('a failed patch says so, and gives back whose slots were whose', async () => {
    using machine = await bench(DLL);
    const { lab, places } = machine;
    expect(() => machine.load({ failingPhase: 0 })).toThrow(/callout\.failed/);
    expect(lab.engine.patches).toEqual([]);
    for (const { demo } of places) {
      const record = lab.engine.record(demo);
      expect([record.usedSlots, record.slotOwner(0)]).toEqual([0, undefined]);
    }
  });
});
