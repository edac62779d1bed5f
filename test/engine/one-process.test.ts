import { Lab, type Process } from 'hotpatch-lab';
import { readImage } from 'hotpatch-lab/image';
import { describe, expect, it } from 'vitest';
import { APPLY_IMAGE_PATCH } from '../../engine/index.js';
import { pair, returning } from './built.js';

const { UNDO, REVERSE, FORWARD } = APPLY_IMAGE_PATCH;
const BUILT = pair({
  parts: (builder, value) => builder.code('f', returning(value)),
  covered: ['f'],
  originalBytes: Uint8Array.of(0xb8, 0x01),
});
const NEWER = pair({
  parts: (builder, value) => builder.code('f', returning(value)),
  covered: ['f'],
  sequenceNumber: 2,
}).patch;

async function boot(names: readonly string[]) {
  const lab = await Lab.boot({ architecture: 'x64' });
  const add = (name: string) => {
    const process = lab.createProcess(name);
    const base = process.loadImage(BUILT.base, { initialize: false });
    return { process, base, call: () => Number(process.call64(base.address(BUILT.rva('f')))) };
  };
  return { lab, add, users: names.map(add), [Symbol.dispose]: () => lab[Symbol.dispose]() };
}

const detour = (process: Process, at: bigint) =>
  process.domain.writer.writeCode(at, Uint8Array.of(0xe9, 1, 0, 0, 0));

describe('one process’s private copy of the base that was changed', () => {
  it('is left out and told of; the others and later ones are patched, and it takes the next patch when it fits', async () => {
    using machine = await boot(['a.exe', 'b.exe', 'c.exe']);
    const { lab, add, users } = machine;
    const [a, b, c] = users;
    if (a === undefined || b === undefined || c === undefined) throw new Error('three processes');
    const entry = b.base.address(BUILT.rva('f'));
    const original = b.process.addressSpace.read(entry, 5);
    detour(b.process, entry);
    const patch = lab.engine.load(BUILT.patch);
    expect([patch.state, patch.applications.length]).toEqual(['applied', 2]);
    expect([a.call(), c.call(), add('d.exe').call()]).toEqual([2, 2, 2]);
    expect(b.process.findImage('patch')).toBeUndefined();
    const told = lab.events.filter(({ kind }) => kind === 'lateBaseFailed').map(({ text }) => text);
    expect(told).toHaveLength(1);
    expect(told[0]).toMatch(/^b\.exe.* goes on unpatched: .*the entry is e9/);
    b.process.domain.writer.writeCode(entry, original);
    lab.engine.load(NEWER);
    expect([a.call(), b.call(), c.call()]).toEqual([3, 3, 3]);
  });

  it('is no patch at all when it is the only one', async () => {
    using machine = await boot(['a.exe', 'b.exe']);
    const { lab, users } = machine;
    for (const { process, base } of users) detour(process, base.address(BUILT.rva('f')));
    expect(() => lab.engine.load(BUILT.patch)).toThrow(/STATUS_/);
    expect(lab.engine.patches).toEqual([]);
  });
});

describe('ApplyImagePatch with UNDO', () => {
  it('takes the patch back in the process that asks, and nowhere else', async () => {
    using machine = await boot(['a.exe', 'victim.exe']);
    const { lab, add, users } = machine;
    const [a, victim] = users;
    const patch = lab.engine.load(BUILT.patch);
    const own = patch.applications.find(({ base }) => base.image === a?.base)?.loaded;
    if (a === undefined || victim === undefined || own === undefined) throw new Error('not applied');
    lab.engine.applyImagePatch(a.base, own, UNDO);
    expect([a.call(), victim.call(), add('later.exe').call(), patch.state]).toEqual([1, 2, 2, 'applied']);
    expect(a.base.codeBytes()).toEqual(a.base.codeBytesBeforePatch);
    expect(() => lab.engine.applyImagePatch(a.base, own, UNDO)).toThrow(/only the newest patch/);
    expect(victim.call()).toBe(2);
  });

  it('leaves the patch registered when it was in force nowhere else', async () => {
    using machine = await boot(['a.exe']);
    const { lab, add, users } = machine;
    const [a] = users;
    const patch = lab.engine.load(BUILT.patch);
    const own = patch.loaded;
    if (a === undefined || own === undefined) throw new Error('not applied');
    lab.engine.applyImagePatch(a.base, own, UNDO);
    expect([a.call(), patch.state, add('later.exe').call(), patch.state]).toEqual([
      1,
      'deferred',
      2,
      'applied',
    ]);
  });

  it('lets the process apply it again', async () => {
    using machine = await boot(['a.exe', 'b.exe']);
    const { lab, users } = machine;
    const [a, b] = users;
    const patch = lab.engine.load(BUILT.patch);
    const own = patch.applications.find(({ base }) => base.image === a?.base)?.loaded;
    if (a === undefined || b === undefined || own === undefined) throw new Error('not applied');
    lab.engine.applyImagePatch(a.base, own, UNDO);
    lab.engine.applyImagePatch(a.base, own, FORWARD);
    expect([a.call(), b.call()]).toEqual([2, 2]);
    lab.engine.unload(patch);
    expect([a.call(), b.call(), patch.state]).toEqual([1, 1, 'reverted']);
    expect(REVERSE).toBe(1);
  });
});

describe('the boot loader’s list', () => {
  it('goes on after an entry that is refused', async () => {
    using lab = await Lab.boot({ architecture: 'x64', engineOptions: { awaitBootPatches: true } });
    const noTable = readImage(BUILT.base.bytes, { file: 'no_table.sys' });
    const patches = lab.engine.registerBootPatches([
      { image: noTable, name: 'no_table.sys' },
      { image: BUILT.patch, name: 'good.sys' },
      { image: noTable, name: 'again.sys' },
    ]);
    expect(patches.map(({ name }) => name)).toEqual(['good.sys']);
    expect(lab.engine.ready).toBe(true);
    const told = lab.events.filter(({ kind }) => kind === 'bootPatchRefused').map(({ text }) => text);
    expect(told).toEqual([
      expect.stringMatching(/no_table\.sys.*hotPatch\.absent/),
      expect.stringMatching(/again\.sys.*hotPatch\.absent/),
    ]);
    const base = lab.kernel.loadImage(BUILT.base, { initialize: false });
    expect(lab.call(base.address(BUILT.rva('f')))).toBe(2);
  });
});
