import type { Lab } from 'hotpatch-lab';
import type { HotPatchTableInput } from 'hotpatch-lab/image';
import { describe, expect, it } from 'vitest';
import { bootForm, demoPatch, FORMS } from './forms.js';
import { bench, CELLS } from './kinds.js';

const ALICE = 'S-1-5-21-1-2-3-1001';
const BOB = 'S-1-5-21-1-2-3-1002';

const cell = CELLS.find(({ name }) => name === 'x64 DLL in three processes');
const [form] = FORMS;
if (cell === undefined || form === undefined) throw new Error('there is no such cell');
const dll = cell;
const x64 = form;

const processOf = (lab: Lab, userSid: string | undefined) => {
  const process = lab.createProcess({ name: 'new.exe', userSid });
  return process.domain;
};

describe('a process that loads a base', () => {
  it.each([
    ['of the user that the patch is registered for', ALICE, ALICE, 43],
    ['of another user', ALICE, BOB, 42],
    ['of nobody in particular', ALICE, undefined, 42],
    ['of some user, when the patch is for all', undefined, BOB, 43],
    ['of nobody in particular, when the patch is for all', undefined, undefined, 43],
  ])('%s', async (_, registered, owner, result) => {
    for (const waits of [true, false]) {
      using machine = await bench(dll);
      const { lab, places } = machine;
      if (waits)
        for (const { domain } of places)
          for (const image of [...domain.images].reverse()) lab.kernel.unloadImage(image);
      lab.engine.load(machine.image(), registered === undefined ? {} : { userSid: registered });
      const place = machine.place(processOf(lab, owner));
      expect({ waits, result: place.call('leaf_opaque') }).toEqual({ waits, result });
    }
  });
});

describe('the sequence number of a patch', () => {
  const otherBase = (change: 'originalCheckSum' | 'originalTimeDateStamp'): Partial<HotPatchTableInput> => {
    const bases = demoPatch(x64, 2).hotPatch?.bases ?? [];
    return { bases: bases.map((base) => ({ ...base, [change]: base[change] ^ 1 })) };
  };
  const booted = async () => {
    const machine = await bootForm(x64);
    machine.lab.kernel.unloadImage(machine.demo);
    return machine;
  };

  it.each(['originalCheckSum', 'originalTimeDateStamp'] as const)(
    'counts for its base alone: not for one with another %s',
    async (change) => {
      using machine = await booted();
      const { engine } = machine.lab;
      const other = engine.load(demoPatch(x64, 2, undefined, otherBase(change)));
      const same = engine.load(demoPatch(x64, 2));
      const lower = engine.load(demoPatch(x64, 1), { userSid: ALICE });
      expect([other, same, lower].map(({ state }) => state)).toEqual(['deferred', 'deferred', 'deferred']);
      expect(engine.patches).toEqual([other, same, lower]);
    },
  );

  it('counts within one list of patches: those of a user, those for all', async () => {
    using machine = await booted();
    const { engine } = machine.lab;
    const forAll = engine.load(demoPatch(x64, 2));
    const alices = engine.load(demoPatch(x64, 1), { userSid: ALICE });
    const bobs = engine.load(demoPatch(x64, 1), { userSid: BOB });
    expect(engine.patches).toEqual([forAll, alices, bobs]);
    expect(() => engine.load(demoPatch(x64, 1))).toThrow(/sequence\.lowerThanRegistered/);
    expect(engine.load(demoPatch(x64, 1), { userSid: BOB })).toBe(bobs);
    const newer = engine.load(demoPatch(x64, 2), { userSid: ALICE });
    expect([forAll, alices, bobs, newer].map(({ state }) => state)).toEqual([
      'deferred',
      'superseded',
      'deferred',
      'deferred',
    ]);
  });
});
