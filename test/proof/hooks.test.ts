import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import {
  entryRaces,
  HOOK_PLACES,
  HOOK_SEQUELS,
  HookMachine,
  type HookPlace,
  INLINE_HOOKS,
  runHookCase,
} from 'hotpatch-lab/proof';
import { describe, expect, it } from 'vitest';
import { hookedDemo } from './hooked.js';

const ARCHITECTURES = ['x64', 'x86', 'arm64'] as const;
const WITHOUT_BYTES = 'before, no bytes';

/** Read once for all rows: images and symbols are never changed. */
const PROGRAMS = new Map<string, ReturnType<typeof hookedDemo>>();
function programOf(architecture: (typeof ARCHITECTURES)[number], originalBytes = true) {
  const key = `${architecture} ${originalBytes}`;
  const program = PROGRAMS.get(key) ?? hookedDemo(architecture, { originalBytes });
  PROGRAMS.set(key, program);
  return program;
}

const page = readFileSync(fileURLToPath(new URL('../../docs/hooks.md', import.meta.url)), 'utf8');

/** Rows of the matrix in docs/hooks.md: processor, hook, place, and what comes of each sequel. */
const ROWS = page
  .split('\n')
  .filter((line) => /^\| (x64|x86|arm64) \|/.test(line))
  .map((line) =>
    line
      .split('|')
      .slice(1, -1)
      .map((cell) => cell.trim()),
  );

const placesOn = (architecture: string): string[] => [
  ...HOOK_PLACES.filter((place) => place !== 'padding' || architecture !== 'arm64'),
  WITHOUT_BYTES,
];

describe('the matrix of docs/hooks.md', () => {
  it('has every hook at every place on every processor', () => {
    const all = ARCHITECTURES.flatMap((architecture) =>
      INLINE_HOOKS.filter(({ architectures }) => architectures.includes(architecture)).flatMap(({ name }) =>
        placesOn(architecture).map((place) => `${architecture} ${name} ${place}`),
      ),
    );
    expect(ROWS.map(([architecture, name, place]) => `${architecture} ${name} ${place}`).sort()).toEqual(
      all.sort(),
    );
  });

  it.each(ROWS)('%s: %s, %s', (architecture, name, place, ...shown) => {
    const hook = INLINE_HOOKS.find((candidate) => candidate.name === name);
    if (hook === undefined) throw new Error(`there is no hook ${name}`);
    const isWithout = place === WITHOUT_BYTES;
    const program = programOf(architecture as (typeof ARCHITECTURES)[number], !isWithout);
    const where = (isWithout ? 'before' : place) as HookPlace;
    expect(HOOK_SEQUELS.map((sequel) => runHookCase(program, { hook, place: where, sequel }))).toEqual(shown);
  });
});

describe.each(ARCHITECTURES)('threads that stand in the first instructions, on %s', (architecture) => {
  const program = programOf(architecture);
  const crashes = (by: Parameters<typeof entryRaces>[1]) =>
    entryRaces(program, by)
      .filter(({ ends }) => ends === 'crash')
      .map(({ schedule }) => schedule);

  it('go on unharmed when the hotpatch engine changes the entry', () => {
    expect(crashes('hotpatch')).toEqual([]);
  });

  const SHORTEST: Readonly<Record<string, string | undefined>> = {
    'plain 5-byte jump': '0x2',
    'SafetyHook-like': '0x2',
    '14-byte absolute jump': '0x2',
    '2 bytes and padding': undefined,
    '4-byte branch': undefined,
    '16-byte literal': '0x4',
  };
  const named = INLINE_HOOKS.filter(
    ({ name, architectures }) => name in SHORTEST && architectures.includes(architecture),
  );

  it.each(named)('$name: the shortest schedule that crashes', (hook) => {
    const offset = SHORTEST[hook.name];
    const expected = offset && `hp_entry+${offset}; the hook is stored; the thread goes on`;
    expect(crashes(hook)[0]).toBe(expected);
  });
});

describe('an import that is hooked', () => {
  it.each(ARCHITECTURES)(
    '%s: a hotpatch copies the hooked slot when it is applied, and only then',
    (architecture) => {
      const target = (hooked: 'before' | 'after') => {
        using machine = new HookMachine(programOf(architecture));
        const { base, lab } = machine;
        const slot = base.imports.find(({ module }) => module.toLowerCase() === 'hpimport.dll');
        if (slot === undefined) throw new Error('demo.dll imports nothing');
        const hook = base.address(0);
        if (hooked === 'before') base.writePointer(slot.iatRva, hook);
        expect(machine.patch(1)).toBeUndefined();
        if (hooked === 'after') base.writePointer(slot.iatRva, hook);
        const patchImage = lab.engine.patches[0]?.loaded;
        const same = patchImage?.imports.find(({ name }) => name === slot.name);
        return patchImage?.readPointer(same?.iatRva ?? 0) === hook;
      };
      expect([target('before'), target('after')]).toEqual([true, false]);
    },
  );
});
