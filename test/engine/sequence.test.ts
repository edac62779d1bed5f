import { type EngineOptions, ModernEngine } from 'hotpatch-lab';
import {
  HOT_PATCH_BASE_FLAG,
  HOT_PATCH_INFO_FLAG,
  type HotPatchTableInput,
  readImage,
} from 'hotpatch-lab/image';
import { describe, expect, it } from 'vitest';
import { fixtureBytes } from '../support.js';
import { bootForm, demoPatch, FORMS, type Form } from './forms.js';

const form = FORMS[0] as Form;
const NO_ROLL_BACK = (() => {
  const table = readImage(fixtureBytes('x64/patch/demo_hp.dll')).hotPatch;
  const bases = table?.bases.map((base) => ({
    ...base,
    flags: base.flags & ~HOT_PATCH_BASE_FLAG.CAN_ROLL_BACK,
  }));
  return { bases: bases ?? [] };
})();

/** A machine with an engine of other options than the lab's own. */
async function boot(options: EngineOptions = {}) {
  const machine = await bootForm(form);
  return {
    ...machine,
    engine: new ModernEngine(machine.lab.kernel, options),
    [Symbol.dispose]: machine[Symbol.dispose],
  };
}

describe('sequence numbers', () => {
  const critical: Partial<HotPatchTableInput> = { flags: HOT_PATCH_INFO_FLAG.PATCHORDERCRITICAL };
  const cases: [string, (engine: ModernEngine) => void, RegExp | undefined][] = [
    ['a newer one', (engine) => engine.load(demoPatch(form, 7)), undefined],
    [
      'an older one',
      (engine) => engine.load(demoPatch(form, 4)),
      /sequence\.lowerThanRegistered, STATUS_REQUEST_OUT_OF_SEQUENCE/,
    ],
    [
      'the least one that it needs',
      (engine) => engine.load(demoPatch(form, 7, undefined, { minSequenceNumber: 5 })),
      undefined,
    ],
    [
      'less than it needs',
      (engine) => engine.load(demoPatch(form, 7, undefined, { minSequenceNumber: 6 })),
      /sequence\.minimum/,
    ],
    [
      'the next one, where order is critical',
      (engine) => engine.load(demoPatch(form, 6, undefined, critical)),
      undefined,
    ],
    [
      'a later one, where order is critical',
      (engine) => engine.load(demoPatch(form, 7, undefined, critical)),
      /sequence\.order/,
    ],
    [
      'a swap of hot patches',
      (engine) => engine.load(demoPatch(form, 7, undefined, { flags: HOT_PATCH_INFO_FLAG.HOTSWAP })),
      /hotPatch\.hotSwap, STATUS_NOT_SUPPORTED/,
    ],
  ];
  it.each(cases)('after 5: %s', async (_name, load, refusal) => {
    using machine = await boot();
    const { engine, demo } = machine;
    engine.load(demoPatch(form, 5));
    const code = demo.codeBytes();
    if (refusal === undefined) return expect(() => load(engine)).not.toThrow();
    expect(() => load(engine)).toThrow(refusal);
    expect(demo.codeBytes()).toEqual(code);
    expect(engine.record(demo).sequenceNumber).toBe(5);
  });

  it('need not grow where they are not enforced, as in older builds', async () => {
    using machine = await boot({ enforcePatchSequenceNumbers: false });
    const { engine, demo } = machine;
    engine.load(demoPatch(form, 5));
    engine.load(demoPatch(form, 4));
    expect(engine.record(demo).sequenceNumber).toBe(4);
    const again = engine.load(demoPatch(form, 4));
    expect(engine.record(demo).active?.patch).toBe(again);
    expect(engine.patches).toHaveLength(3);
  });

  it('of a deferred patch: the newest is the one that is applied', async () => {
    using machine = await boot();
    const { lab, engine, demo } = machine;
    lab.kernel.unloadImage(demo);
    const old = engine.load(demoPatch(form, 1));
    const newer = engine.load(demoPatch(form, 2));
    expect([old.state, newer.state]).toEqual(['superseded', 'deferred']);
    expect(() => engine.load(demoPatch(form, 1))).toThrow(/sequence\.lowerThanRegistered/);
  });
});

describe('taking a patch back', () => {
  it('needs the flag CAN_ROLL_BACK', async () => {
    using machine = await boot();
    const { engine, demo } = machine;
    const patch = engine.load(demoPatch(form, 1, undefined, NO_ROLL_BACK));
    const code = demo.codeBytes();
    expect(() => engine.unload(patch)).toThrow(/unload\.cannotRollBack, STATUS_REQUEST_OUT_OF_SEQUENCE/);
    expect(demo.codeBytes()).toEqual(code);
  });

  it('is refused by newer builds', async () => {
    using machine = await boot({ allowUndo: false });
    const patch = machine.engine.load(demoPatch(form, 1));
    expect(() => machine.engine.unload(patch)).toThrow(/unload\.notAllowed/);
  });

  it('takes all back, the newest first', async () => {
    using machine = await boot();
    const { engine, demo } = machine;
    const patches = [1, 2, 3].map((sequence) => engine.load(demoPatch(form, sequence)));
    engine.unloadAll(demo);
    expect(patches.map((patch) => patch.state)).toEqual(['reverted', 'reverted', 'reverted']);
    expect(demo.codeBytes()).toEqual(demo.codeBytesBeforePatch);
  });
});
