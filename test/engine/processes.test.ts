import { createHash } from 'node:crypto';
import { CpuError } from 'hotpatch-lab/cpu';
import { describe, expect, it } from 'vitest';
import { type Bench, bench, CELLS, type Place } from './kinds.js';

const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');

const found = CELLS.find(({ name }) => name === 'x64 DLL in three processes');
if (found === undefined) throw new Error('there is no such cell');
const dll = found;

/** Ends the processes of these places after so many steps, then takes the operation to its end; false when it had fewer. */
function endMeanwhile(
  steps: Generator<unknown, unknown>,
  after: number,
  places: readonly Place[],
  victims: readonly number[],
): boolean {
  for (let step = 0; step < after; step++) if (steps.next().done === true) return false;
  for (const index of victims) places[index]?.domain.process?.terminate(1);
  while (steps.next().done !== true);
  return true;
}

describe('processes that come and go', () => {
  it('a process that starts later gets the patch before its first instruction', async () => {
    using machine = await bench(dll);
    const patch = machine.load();
    const late = machine.place(machine.lab.kernel.createProcess({ name: 'late.exe' }).domain);
    expect(late.call('leaf_opaque')).toBe(43);
    expect(patch.applications.length).toBe(4);
    machine.lab.engine.unload(patch);
    expect(late.call('leaf_opaque')).toBe(42);
  });

  it('a process that started under the newer patch gets the one before it when the newer is taken back', async () => {
    using machine = await bench(dll);
    const { lab, places } = machine;
    const first = machine.load({ functions: ['leaf_opaque'] });
    const second = machine.load({ sequenceNumber: 2, functions: ['leaf_opaque', 'dispatch'] });
    const late = machine.place(lab.kernel.createProcess({ name: 'late.exe' }).domain);
    expect(late.call('dispatch', 8, 5, 0)).toBe(5 ^ 0x5a5a);
    lab.engine.unload(second);
    for (const { call } of [...places, late]) {
      expect(call('leaf_opaque')).toBe(43);
      expect(call('dispatch', 8, 5, 0)).toBe(-1);
    }
    lab.engine.unload(first);
    for (const { call, demo } of [...places, late]) {
      expect(call('leaf_opaque')).toBe(42);
      expect(demo.codeBytes()).toEqual(demo.codeBytesBeforePatch);
    }
  });

  it('a process that ends takes its application with it', async () => {
    using machine = await bench(dll);
    const patch = machine.load();
    const [first] = machine.places;
    first?.domain.process?.terminate();
    expect(patch.applications.length).toBe(2);
    machine.lab.engine.unload(patch);
    for (const { demo } of machine.places.slice(1))
      expect(demo.codeBytes()).toEqual(demo.codeBytesBeforePatch);
  });

  it('a patch of one user concerns the processes of that user alone', async () => {
    using machine = await bench(dll);
    const { lab, places } = machine;
    const [other] = places;
    if (other === undefined) throw new Error('no process');
    const userSid = 'S-1-5-21-1-2-3-1001';
    const mine = machine.place(lab.createProcess({ name: 'mine.exe', userSid }).domain);
    lab.engine.load(machine.image(), { userSid: 'S-1-5-21-1-2-3-1001' });
    expect(mine.call('leaf_opaque')).toBe(43);
    expect(other.call('leaf_opaque')).toBe(42);
  });
});

/** Every step of a patch is a place where other things may happen. */
describe('between the steps of a patch', () => {
  /** Everything that a patch may change; which frames hold it does not matter. */
  const stateOf = ({ lab, places }: Bench) =>
    places.map(({ domain, demo }) => {
      const { vadState, usedSlots, undo, sequenceNumber } = lab.engine.record(demo);
      const { hpat, hotPatchState, activePatchImageBase } = demo;
      const bytes = domain.images.map((image) =>
        sha256(domain.addressSpace.read(image.dllBase, image.sizeOfImage)),
      );
      const slots =
        hpat?.committed === true ? sha256(domain.addressSpace.read(hpat.base, hpat.reserveSize)) : undefined;
      return {
        vadState,
        usedSlots,
        undo: [...undo],
        sequenceNumber,
        hotPatchState,
        activePatchImageBase,
        bytes,
        slots,
      };
    });

  it.each(['apply', 'apply newer', 'revert'] as const)(
    '%s may be left at any of them, and nothing has happened',
    async (operation) => {
      using machine = await bench(dll);
      const { engine, kernel } = machine.lab;
      const patch = operation === 'apply' ? undefined : machine.load();
      const newer = machine.image({ sequenceNumber: 2, functions: ['leaf_opaque', 'set_hook'] });
      const begin = () =>
        operation === 'revert' && patch !== undefined
          ? engine.unloadSteps(patch)
          : engine.loadSteps(newer, { name: 'demo_hp2.dll' });
      const before = stateOf(machine);
      const patched = machine.places[0]?.call('leaf_opaque');
      const images = machine.places.map(({ domain }) => domain.images.length);
      for (let leaveAt = 1; ; leaveAt += 3) {
        const steps = begin();
        let ended = false;
        for (let step = 0; step < leaveAt && !ended; step++) ended = steps.next().done === true;
        if (ended) break;
        steps.return(undefined as never);
        expect({ leaveAt, state: stateOf(machine) }).toEqual({ leaveAt, state: before });
        expect(machine.places.map(({ domain }) => domain.images.length)).toEqual(images);
        expect(machine.places[0]?.call('leaf_opaque')).toBe(patched);
      }
      expect(kernel.hotPatchingEnabled).toBe(true);
    },
  );

  it('no other operation may begin', async () => {
    using machine = await bench(dll);
    const { engine } = machine.lab;
    const patch = machine.load();
    const steps = engine.loadSteps(machine.image({ sequenceNumber: 2 }));
    steps.next();
    const refused = /operation\.inProgress, STATUS_OPERATION_IN_PROGRESS/;
    expect(() => machine.load({ sequenceNumber: 3 })).toThrow(refused);
    expect(() => engine.unload(patch)).toThrow(refused);
    for (let step = steps.next(); step.done !== true; ) step = steps.next();
    machine.load({ sequenceNumber: 3 });
  });

  it('a process may end, and the others are patched all the same', async () => {
    for (let at = 1; ; at += 9) {
      using machine = await bench(dll);
      const { lab, places } = machine;
      const [, victim] = places;
      const steps = lab.engine.loadSteps(machine.image());
      if (!endMeanwhile(steps, at, places, [1])) break;
      const [patch] = lab.engine.patches;
      expect([at, patch?.state, patch?.applications.length]).toEqual([at, 'applied', 2]);
      for (const place of places) if (place !== victim) expect(place.call('leaf_opaque')).toBe(43);
    }
  });

  it.each([[1], [0, 1, 2]])('processes %s may end while the patch is taken back', async (...victims) => {
    for (let at = 1; ; at += 3) {
      using machine = await bench(dll);
      const { lab, places } = machine;
      const older = machine.load();
      const patch = machine.load({ sequenceNumber: 2, functions: ['fib'] });
      expect(places.map((place) => place.call('leaf_opaque'))).toEqual([42, 42, 42]);
      const steps = lab.engine.unloadSteps(patch);
      if (!endMeanwhile(steps, at, places, victims)) break;
      const left = places.length - victims.length;
      expect([at, patch.state, patch.applications.length]).toEqual([at, 'reverted', left]);
      expect([older.state, older.applications.length]).toEqual([left === 0 ? 'deferred' : 'applied', left]);
      for (const [index, place] of places.entries())
        if (!victims.includes(index)) expect(place.call('leaf_opaque')).toBe(43);
    }
  });

  it.each([[1], [0, 1, 2]])('processes %s may end while the only patch is taken back', async (...victims) => {
    for (let at = 1; ; at += 2) {
      using machine = await bench(dll);
      const { lab, places } = machine;
      const patch = machine.load();
      const steps = lab.engine.unloadSteps(patch);
      if (!endMeanwhile(steps, at, places, victims)) break;
      const left = places.filter((_, index) => !victims.includes(index));
      expect([at, patch.state, patch.applications.length]).toEqual([at, 'reverted', left.length]);
      for (const { demo } of left) expect(demo.codeBytes()).toEqual(demo.codeBytesBeforePatch);
    }
  });

  it('a process may end while the rest is taken back', async () => {
    using machine = await bench(dll);
    const { lab, places } = machine;
    const steps = lab.engine.loadSteps(machine.image());
    for (let step = 0; step < 60; step++) steps.next();
    places[1]?.domain.process?.terminate(1);
    steps.return(undefined as never);
    for (const index of [0, 2]) expect(places[index]?.call('leaf_opaque')).toBe(42);
  });

  it('a process may start, and is patched at the end', async () => {
    using machine = await bench(dll);
    const { lab } = machine;
    const steps = lab.engine.loadSteps(machine.image());
    for (let step = 0; step < 40; step++) steps.next();
    const late = machine.place(lab.kernel.createProcess({ name: 'late.exe' }).domain);
    expect(late.call('leaf_opaque')).toBe(42);
    for (let step = steps.next(); step.done !== true; ) step = steps.next();
    expect(late.call('leaf_opaque')).toBe(43);
    expect(lab.engine.patches[0]?.applications.length).toBe(4);
  });
});

describe('a failure report', () => {
  it('names image, chunk, record, RVA, symbol, process, rule and status', async () => {
    using machine = await bench(dll);
    const { lab, places } = machine;
    const [, second] = places;
    if (second === undefined) throw new Error('no place');
    const entry = second.demo.symbol('dispatch');
    lab.kernel.machine.writeCode(second.domain.addressSpace, entry, Uint8Array.of(0xeb, 0xf0));
    machine.load();
    const told = lab.events.find(({ kind }) => kind === 'lateBaseFailed')?.text ?? '';
    expect(told.replace(/^.*?goes on unpatched: /, '')).toMatch(
      /^demo_hp\.dll, chunk \d+, record \d+, RVA 0x[0-9a-f]+, demo!dispatch, in b\.exe \(\d+\): .*\(function\.mismatch, STATUS_CONFLICTING_ADDRESSES\)$/,
    );
  });

  describe('a store that cannot be made', () => {
    const failingWith = async (error: Error) => {
      const machine = await bench(dll);
      const [, second] = machine.places;
      if (second === undefined) throw new Error('no place');
      const entry = second.demo.symbol('dispatch');
      second.domain.writer.beforeStore(({ into, address }) => {
        if (into === 'code' && address === entry) throw error;
      });
      return machine;
    };

    it.each([
      ['STATUS_NO_MEMORY', 'STATUS_NO_MEMORY'],
      ['STATUS_NOT_COMMITTED', 'STATUS_ACCESS_VIOLATION'],
      [undefined, 'STATUS_ACCESS_VIOLATION'],
    ] as const)('is named; for want of %s it fails with %s', async (status, expected) => {
      using machine = await failingWith(
        new CpuError('noMemory', 'no frame', status === undefined ? {} : { status }),
      );
      expect(() => machine.load()).toThrow(
        new RegExp(
          `^demo\\.dll, entry, RVA 0x[0-9a-f]+, demo!dispatch, in b\\.exe \\(\\d+\\): no frame \\(store\\.failed, ${expected}\\)$`,
        ),
      );
    });

    it('leaves no slot to a function', async () => {
      using machine = await failingWith(new CpuError('noMemory', 'no frame'));
      expect(() => machine.load()).toThrow('store.failed');
      for (const { demo } of machine.places) {
        const record = machine.lab.engine.record(demo);
        expect([record.usedSlots, record.slotOwner(0), record.slotOwner(5)]).toEqual([
          0,
          undefined,
          undefined,
        ]);
      }
    });

    it('takes nothing back in a process that has ended on the way', async () => {
      using machine = await failingWith(new CpuError('noMemory', 'no frame'));
      const { lab, places } = machine;
      const steps = lab.engine.loadSteps(machine.image());
      for (let step = 0; step < 60; step++) steps.next();
      places[0]?.domain.process?.terminate(1);
      expect(() => [...steps]).toThrow('store.failed');
      for (const index of [1, 2]) expect(places[index]?.call('leaf_opaque')).toBe(42);
      const images = lab.kernel.domains.flatMap((domain) =>
        domain.images.map(({ baseDllName }) => baseDllName),
      );
      expect(images.filter((name) => name.includes('_hp'))).toEqual([]);
    });

    it('leaves other errors what they are', async () => {
      const error = new TypeError('a mistake of the laboratory');
      using machine = await failingWith(error);
      expect(() => machine.load()).toThrow(error);
    });
  });
});

describe('between the steps of a revert', () => {
  it('a process may start, and mistakes of the laboratory in it stay what they are', async () => {
    using machine = await bench(dll);
    const { lab } = machine;
    const steps = lab.engine.loadSteps(machine.image());
    for (let step = 0; step < 40; step++) steps.next();
    const late = machine.place(lab.createProcess('late.exe').domain);
    const mistake = new TypeError('a mistake of the laboratory');
    late.domain.writer.beforeStore(({ into }) => {
      if (into === 'code') throw mistake;
    });
    expect(() => [...steps]).toThrow(mistake);
  });

  it('a process may start, and is reverted with the others', async () => {
    using machine = await bench(dll);
    const { lab } = machine;
    const patch = machine.load();
    const steps = lab.engine.unloadSteps(patch);
    for (let step = 0; step < 5; step++) steps.next();
    const late = machine.place(lab.kernel.createProcess({ name: 'late.exe' }).domain);
    expect(late.call('leaf_opaque')).toBe(43);
    for (let step = steps.next(); step.done !== true; ) step = steps.next();
    for (const place of [...machine.places, late]) expect(place.call('leaf_opaque')).toBe(42);
    expect(patch.state).toBe('reverted');
  });
});

describe('a patch that fails in the last process', () => {
  it('stays mapped where a thread has come into it already, until nothing leads there', async () => {
    using machine = await bench(dll);
    const { lab, places } = machine;
    const [first] = places;
    if (first === undefined) throw new Error('no place');
    const thread = lab.kernel.createThread(first.demo.symbol('dispatch'), [6, 77, 1], {
      domain: first.domain,
    });
    const steps = lab.engine.loadSteps(machine.image(), { name: 'demo_hp.dll' });
    const patchImage = () => first.domain.findImage('demo_hp');
    const isInside = () => thread.started && patchImage()?.contains(thread.pc) === true;
    while (!isInside()) {
      const { value, done } = steps.next();
      if (done === true) throw new Error('the patch came through');
      const isEntry = value.kind === 'store' && value.target === 'entry' && value.symbol === 'demo!dispatch';
      for (let count = 0; isEntry && count < 10 && !isInside(); count++) lab.run({ instructions: 1 });
    }
    steps.return(undefined as never);
    expect(places.map(({ domain }) => domain.findImage('demo_hp') !== undefined)).toEqual([
      true,
      false,
      false,
    ]);
    expect(lab.transcript).toMatch(
      /demo_hp\.dll stays mapped in a\.exe \(\d+\): thread \d+ stands at demo_hp\+/,
    );
    lab.run({ until: thread.returns() });
    // The image that was given up still reaches the variables of the base.
    expect(first.domain.addressSpace.readU32(first.demo.symbol('g_counter'))).toBe(77);
    for (const { call } of places) expect(call('leaf_opaque')).toBe(42);
  });
});
