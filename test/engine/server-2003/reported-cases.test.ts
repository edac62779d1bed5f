import { describe, expect, it } from 'vitest';
import type { Patch2003 } from '../../../engine/index.js';
import {
  type Fix,
  type Form,
  first,
  hotpatchOf,
  isItself,
  type Name,
  ORIGINAL,
  results,
  SYSTEMS,
  standAt,
} from './fixes.js';
import { type Running, run } from './support.js';

describe.each(SYSTEMS)('$name', ({ processor, wow64 }) => {
  const start = (processes = 1) => run({ processor, processes, wow64 });
  const load = (running: Running, fix: Fix): Patch2003 =>
    running.engine.load(hotpatchOf(running, processor, fix));

  const shared: readonly Form[] = processor === 'x86' ? ['cave'] : ['cave', 'indirect'];
  it.each(shared)(
    'case 1: two hotpatches of different functions, %s, in one cell: the second is refused',
    async (form) => {
      using running = await start();
      load(running, { functions: ['f'], form, result: 10 });
      const code = first(running).codeBytes();
      expect(() => load(running, { functions: ['h'], form, result: 20 })).toThrow('chain.shared');
      expect([results(running), first(running).codeBytes()]).toEqual([[10, 2], code]);
      load(running, { functions: ['h'], form, result: 30, cell: 3 });
      expect(results(running)).toEqual([10, 30]);
    },
  );

  it.each([
    { what: 'a small one, then one of both', one: ['f'], other: ['f', 'h'] },
    { what: 'one of both, then a small one', one: ['f', 'h'], other: ['h'] },
    { what: 'the same functions', one: ['f', 'h'], other: ['f', 'h'] },
  ] as const)(
    'case 2: $what, disabled while a thread stands in a padding: nothing comes back',
    async ({ one, other }) => {
      using running = await start();
      const { engine, lab } = running;
      const older = load(running, { functions: one, result: 10 });
      const newer = load(running, { functions: other, result: 20 });
      const thread = standAt(running, 'h', -5n);
      const newerH = other.includes('h') ? 20 : 10;
      engine.unload(newer);
      const olderOf = (name: Name) => ((one as readonly Name[]).includes(name) ? 10 : ORIGINAL[name]);
      expect(results(running)).toEqual([olderOf('f'), olderOf('h')]);
      engine.unload(older);
      expect(results(running)).toEqual([1, 2]);
      engine.restoreLeftHooks();
      expect(results(running)).toEqual([1, 2]);
      lab.run({ until: thread.returns() });
      // The older one's jump may have returned where the thread stands.
      expect([10, newerH]).toContain(thread.result);
      engine.restoreLeftHooks();
      expect([results(running), isItself(running)]).toEqual([[1, 2], true]);
      expect([older.state, newer.state]).toEqual(['inactive', 'inactive']);
      engine.enable(older);
      engine.enable(newer);
      engine.unload(newer);
      engine.unload(older);
      expect(isItself(running)).toBe(true);
    },
  );

  if (processor === 'x64')
    it.each(['f', 'h'] as const)(
      'case 2: a thread in the padding of %s keeps the pointer that two jumps share',
      async (name) => {
        using running = await start();
        const { engine, lab } = running;
        const patch = load(running, { functions: ['f', 'h'], form: 'indirect', result: 10 });
        const thread = standAt(running, name, -6n);
        engine.unload(patch);
        expect(results(running)).toEqual([1, 2]);
        lab.run({ until: thread.returns() });
        expect(thread.result).toBe(10);
        engine.restoreLeftHooks();
        expect(isItself(running)).toBe(true);
      },
    );
});
