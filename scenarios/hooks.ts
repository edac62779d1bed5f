import { readFileSync } from 'node:fs';
import { defineScenario, findSymbols, readImage } from 'hotpatch-lab';
import { appendHotPatchTable, encodeHotPatchTable } from 'hotpatch-lab/image';
import { HookMachine, INLINE_HOOKS } from 'hotpatch-lab/proof';

const images = new URL('../test/fixtures/x64/', import.meta.url);

const read = (path: string) => {
  const file = new URL(path, images);
  const image = readImage(readFileSync(file), { file: path });
  return {
    name: path.replace(/.*\//, ''),
    image,
    symbols: findSymbols({ image, path: file.pathname }).table,
  };
};

/** The hotpatch of demo.dll; without the bytes that its records expect at the entries, if so asked. */
function patch(sequenceNumber: number, saysBytes: boolean) {
  const table = read('patch/demo_hp.dll').image.hotPatch;
  if (table === undefined) throw new Error('demo_hp.dll has no table');
  const bases = table.bases.map((base) => ({
    ...base,
    chunks: base.chunks.map((chunk) => ({
      ...chunk,
      records: saysBytes ? chunk.records : chunk.records.map(({ rva, target }) => ({ rva, target })),
    })),
  }));
  const extraPatchSize = saysBytes ? table.extraPatchSize : 0;
  const { image, symbols } = read('fixed/demo.dll');
  const bytes = encodeHotPatchTable({ ...table, bases, extraPatchSize, sequenceNumber });
  return {
    name: `demo_hp${sequenceNumber}.dll`,
    image: readImage(appendHotPatchTable(image, bytes)),
    symbols,
  };
}

function machine(saysBytes: boolean): HookMachine {
  return new HookMachine({
    architecture: 'x64',
    images: [read('hpimport.dll'), read('base/demo.dll')],
    patches: [patch(1, saysBytes), patch(2, saysBytes)],
    function: 'hp_entry',
    arguments: [0, 3, 4],
  });
}

const hook = INLINE_HOOKS.find(({ name }) => name === 'SafetyHook-like');

export default defineScenario('A hook and a hotpatch meet, and an old bug comes back', ({ expect, say }) => {
  if (hook === undefined) throw new Error('there is no such hook');

  say('\nA hook is set, then a hotpatch that says which bytes it expects: refused.');
  {
    const hooked = machine(true);
    hooked.hook(hook, hooked.function);
    expect(hooked.patch(1)).toBe('STATUS_INVALID_IMAGE_FORMAT');
    const { hooked: seen, code } = hooked.call();
    expect(`${seen} ${code}`).toBe('true base');
  }

  say('\nA hotpatch that does not say it: applied, and the hook is lost.');
  {
    const hooked = machine(false);
    hooked.hook(hook, hooked.function);
    expect(hooked.patch(1)).toBe(undefined);
    const patched = hooked.call();
    expect(`${patched.hooked} ${patched.code}`).toBe('false 1');

    say('\nThe hook is taken out. It puts back the bytes that it had seen: those of before the hotpatch.');
    hooked.unhook();
    expect(hooked.call().code).toBe('base');
    say('The old code runs, and the engine still lists the hotpatch as applied.');
    expect(hooked.lab.engine.patches[0]?.state).toBe('applied');
  }

  say('\nThe other way round: a hook over the hotpatch works, but holds it.');
  {
    const hooked = machine(true);
    expect(hooked.patch(1)).toBe(undefined);
    hooked.hook(hook, hooked.function);
    const both = hooked.call();
    expect(`${both.hooked} ${both.code}`).toBe('true 1');
    expect(hooked.patch(2)).toBe('STATUS_PATCH_CONFLICT');
    hooked.unhook();
    expect(hooked.patch(2)).toBe(undefined);
    expect(hooked.call().code).toBe(2);
  }
});
