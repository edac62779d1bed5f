import { Lab } from 'hotpatch-lab';
import { CodeInformation, encodeNames, FLG_HOTPATCH, LDR_HOT_PATCH_ROUTINE } from 'hotpatch-lab/engine';
import { FIXUP_TYPE, ImageBuilder, MODULE_ID_METHOD, readImage } from 'hotpatch-lab/image';
import { describe, expect, it } from 'vitest';
import { observeOperations, type RequestedOperation } from '../../../engine/index.js';
import { processOf } from '../../../loader/index.js';
import { buildPatch, buildTarget, type Running, run, setSystemInformation } from './support.js';

const { NAME_INFO, INJECT_THREAD, ACTIVE, WOW64 } = FLG_HOTPATCH;
const PATH = 'C:\\WINDOWS\\hotpatch\\patch.dll';

const patchOf = ({ target }: Running, result = 9, processor: 'x86' | 'x64' = 'x64') =>
  buildPatch(target, { processor, result });

function first<T>(list: readonly T[]): T {
  const [one] = list;
  if (one === undefined) throw new Error('there is none');
  return one;
}

describe('the state of a hotpatch', () => {
  it('decides what can be asked of it', async () => {
    using running = await run({ processor: 'x64' });
    const { engine } = running;
    const patch = engine.load(patchOf(running));
    expect(() => engine.enable(patch)).toThrow('the hotpatch is applied: there is nothing to enable');
    engine.unload(patch);
    expect(() => engine.unload(patch)).toThrow('the hotpatch is inactive: there is nothing to disable');
    expect(running.call()).toEqual([1, 1]);
  });

  it('is noTarget where nobody has the module, and it is kept all the same', async () => {
    using running = await run({ processor: 'x64', processes: 0 });
    const { engine, lab } = running;
    const patch = engine.load(patchOf(running));
    expect(patch).toMatchObject({ state: 'noTarget', status: { name: 'STATUS_NOT_FOUND' }, functions: 0 });
    expect(engine.patches).toEqual([patch]);
    expect(lab.transcript).toContain('hotpatch patch.dll: target.dll is not loaded anywhere');
    for (const swap of [engine.unload, engine.enable])
      expect(() => swap.call(engine, patch)).toThrow('the hotpatch is noTarget');
  });

  it.each(['x86', 'x64'] as const)(
    'is noTarget again when the last process has ended; it is enabled where the module is mapped since, %s',
    async (processor) => {
      using running = await run({ processor, processes: 1 });
      const { engine, lab, loaded, target } = running;
      const patch = engine.load(buildPatch(target, { processor }));
      loaded[0]?.domain.process?.terminate();
      expect(patch).toMatchObject({ state: 'noTarget', status: { name: 'STATUS_NOT_FOUND' }, functions: 0 });
      for (const swap of [engine.unload, engine.enable])
        expect(() => swap.call(engine, patch)).toThrow('the hotpatch is noTarget: there is nothing to');
      const start = (name: string) => {
        const process = lab.createProcess({ name, wow64: processor === 'x86' });
        const module = process.loadImage(target.image, { symbols: target.symbols, initialize: false });
        return { process, call: () => Number(process.call64(module.symbol('f'))) };
      };
      const second = start('second.exe');
      expect(second.call()).toBe(1);
      engine.enable(patch);
      expect(patch).toMatchObject({ state: 'applied', status: { name: 'STATUS_SUCCESS' } });
      expect(second.call()).toBe(9);
      engine.unload(patch);
      const third = start('third.exe');
      engine.enable(patch);
      expect([second.call(), third.call(), patch.applications.length]).toEqual([9, 9, 2]);
      second.process.terminate();
      expect(patch.state).toBe('applied');
      engine.unload(patch);
      expect([third.call(), patch.state]).toEqual([1, 'inactive']);
      third.process.terminate();
      expect(patch.state).toBe('noTarget');
    },
  );

  it('is inactive when the only process in which it was in force has ended', async () => {
    using running = await run({ processor: 'x64' });
    const { engine, loaded } = running;
    const patch = engine.load(patchOf(running), { active: false });
    const [first] = loaded;
    if (first === undefined) throw new Error('there are two');
    engine.patchOne(patch, first, true);
    expect([patch.state, running.call()]).toEqual(['applied', [9, 1]]);
    first.domain.process?.terminate();
    expect(patch.state).toBe('inactive');
  });

  it('is inactive when it is loaded and not put in force', async () => {
    using running = await run({ processor: 'x64' });
    const { engine, loaded } = running;
    const patch = engine.load(patchOf(running), { active: false });
    expect(patch).toMatchObject({ state: 'inactive', status: { name: 'STATUS_SUCCESS' }, functions: 0 });
    expect(running.call()).toEqual([1, 1]);
    expect(loaded.map((image) => engine.patchList(image).length)).toEqual([1, 1]);
    expect(loaded.map((image) => engine.patchOf(image))).toEqual([undefined, undefined]);
    engine.enable(patch);
    expect(running.call()).toEqual([9, 9]);
  });

  it('tells of each module where its image is', async () => {
    using running = await run({ processor: 'x64' });
    const { engine, lab } = running;
    const patch = engine.load(patchOf(running));
    const count = () => lab.events.filter(({ text }) => /patch.dll of generation 2003 is/.test(text)).length;
    expect(count()).toBe(2);
    engine.unload(patch);
    expect(count()).toBe(4);
  });

  it('forgets a module that is gone', async () => {
    using running = await run({ processor: 'x64' });
    const { engine, loaded } = running;
    const patch = engine.load(patchOf(running));
    first(loaded).domain.process?.terminate();
    expect(loaded.map((image) => engine.patchList(image).length)).toEqual([0, 1]);
    expect(engine.applications).toHaveLength(1);
    expect(patch.applications).toHaveLength(1);
  });

  it('a hotpatch that was refused is in no list', async () => {
    using running = await run({ processor: 'x64' });
    const { engine, loaded } = running;
    const steps = engine.loadSteps(patchOf(running));
    let patches = 0;
    for (const step of { [Symbol.iterator]: () => ({ next: () => steps.next() }) }) {
      patches = engine.applications.length;
      if (step.kind === 'rendezvous' && patches === 2) break;
    }
    expect(patches).toBe(2);
    expect(() => steps.throw(new Error('stopped'))).toThrow('stopped');
    expect(engine.applications).toEqual([]);
    expect(loaded.map((image) => engine.patchList(image))).toEqual([[], []]);
    expect(engine.patches).toEqual([]);
    expect(engine.openPatch('patch.dll')?.applications).toEqual([]);
  });
});

describe('what an observer is told of an operation', () => {
  const told = ({ lab }: Running) => {
    const operations: string[] = [];
    observeOperations(lab.kernel, {
      perform(operation: RequestedOperation | undefined, perform) {
        const names = operation?.domains.map(({ name }) => name.replace(/ .*/, '')) ?? [];
        operations.push([operation?.kind ?? 'nothing', ...names].join(' '));
        return perform();
      },
    });
    return operations;
  };

  it('its kind, and where code changes', async () => {
    using running = await run({ processor: 'x64' });
    const { engine, loaded } = running;
    const operations = told(running);
    const both = 'process0.exe process1.exe';
    const silent = engine.load(patchOf(running), { active: false });
    engine.enable(silent);
    engine.load(patchOf(running, 17));
    engine.unload(first(engine.patches.slice(1)));
    engine.patchOne(silent, first(loaded), false);
    engine.unload(silent);
    engine.enable(silent);
    const process = processOf(first(loaded).domain);
    process?.enablePrivileges('SeDebugPrivilege');
    running.lab.kernel.files.add('other.dll', patchOf(running, 21));
    const buffer = encodeNames(INJECT_THREAD, { name: 'other.dll' }, { targetProcess: 0n });
    if (process !== undefined) expect(setSystemInformation(process, buffer).status).toBe(0);
    expect(operations).toEqual([
      'nothing',
      `apply ${both}`,
      `repatch ${both}`,
      `revert ${both}`,
      'revert process0.exe',
      'revert process1.exe',
      `apply ${both}`,
      `revert ${both}`,
    ]);
  });

  it('nothing where nobody has the module', async () => {
    using running = await run({ processor: 'x64', processes: 0 });
    const operations = told(running);
    running.engine.load(patchOf(running));
    expect(operations).toEqual(['nothing']);
  });
});

describe('processors', () => {
  it('are held from the first store into code to the last, and are serialised before they go on', async () => {
    using running = await run({ processor: 'x64', processes: 1 });
    const { engine, lab } = running;
    const held: string[] = [];
    for (const step of engine.loadSteps(patchOf(running)))
      held.push(`${step.kind} ${lab.kernel.scheduler.gathered}`);
    expect(held.slice(-5)).toEqual([
      'rendezvous true',
      'store true',
      'store true',
      'serialised true',
      'rendezvous false',
    ]);
    expect(lab.transcript.match(/all processors are (held|let go)/g)).toEqual([
      'all processors are held',
      'all processors are let go',
    ]);
  });
});

describe.each(['x86', 'x64'] as const)('the thread that is injected into an %s process', (processor) => {
  it('finds a UserModeInfo, and ends with success', async () => {
    for (const active of [true, false]) {
      using running = await run({ processor, wow64: processor === 'x86', processes: 1 });
      const { engine, lab } = running;
      const { domain } = first(running.loaded);
      const before = domain.allocateMemory('pool', 1);
      const image = buildPatch(running.target, {
        processor,
        section: ({ good, layout }) => ({
          ...good,
          fixups: [
            { rva: layout.rva('value'), type: processor === 'x86' ? FIXUP_TYPE.PC32 : FIXUP_TYPE.PC64 },
          ],
        }),
      });
      const steps = engine.loadSteps(image, {
        path: PATH,
        ...(active ? {} : { active }),
        ...(active ? {} : { name: 'patch.dll' }),
      });
      const step = steps.next();
      const thread = first(lab.kernel.threads);
      expect([thread.name, thread.startAddress]).toEqual([
        'LdrHotPatchRoutine',
        domain.services.address('ntdll.dll', LDR_HOT_PATCH_ROUTINE),
      ]);
      expect(step.done).toBe(false);
      const { addressSpace, architecture } = domain;
      const information = new CodeInformation(
        addressSpace,
        before + 0x10000n,
        0x1000,
        architecture.pointerSize,
      );
      expect(information.flags).toBe(NAME_INFO + (active ? ACTIVE : 0) + (processor === 'x86' ? WOW64 : 0));
      expect([information.name('name'), information.name('targetName')]).toEqual([PATH, 'target.dll']);
      expect(information.patchingFinished).toBe(false);
      const { stack } = thread;
      expect(addressSpace.query(stack.base).state).not.toBe('free');
      while (steps.next().done !== true);
      expect([thread.finished, thread.result]).toEqual([true, 0]);
      expect(lab.kernel.threads).toEqual([]);
      expect(addressSpace.query(stack.base).state).toBe('free');
      expect(addressSpace.query(before + 0x10000n).state).toBe('free');
    }
  });
});

describe('a system of ARM64', () => {
  it('never had the engine', () => {
    expect(() => Lab.boot({ architecture: 'arm64', engine: 'server-2003' })).toThrow(
      expect.objectContaining({ rule: 'engine.boot', place: 'architecture arm64' }),
    );
  });
});

describe('modules that a hotpatch is for', () => {
  it('are found by the path that it was given under', async () => {
    using running = await run({ processor: 'x64' });
    const process = processOf(first(running.loaded).domain);
    if (process === undefined) throw new Error('no process');
    running.engine.load(patchOf(running), { path: PATH });
    const buffer = encodeNames(NAME_INFO, { name: PATH.toUpperCase() });
    expect(setSystemInformation(process, buffer).status).toBe(0);
    expect(running.call()).toEqual([1, 9]);
  });

  it('are not those of another build, as long as there is a right one', async () => {
    using running = await run({ processor: 'x64' });
    const { engine, lab } = running;
    const other = buildTarget('x64', 'dll', 16);
    const process = lab.createProcess('coldpatched.exe');
    const loaded = process.loadImage(other.image, { initialize: false });
    const patch = engine.load(patchOf(running));
    expect(patch.applications.map(({ target }) => target.domain.name)).not.toContain(loaded.domain.name);
    expect(running.call()).toEqual([9, 9]);
    expect(loaded.codeBytes()).toEqual(loaded.codeBytesBeforePatch);
  });

  it('are not those of another processor, even of another build', async () => {
    using running = await run({ processor: 'x64', processes: 0 });
    const { engine, lab } = running;
    const wow64 = lab.createProcess({ name: 'old32.exe', wow64: true });
    wow64.loadImage(buildTarget('x86').image, { initialize: false });
    expect(engine.load(patchOf(running)).state).toBe('noTarget');
  });

  it('are not other modules, nor images of hotpatches', async () => {
    using running = await run({ processor: 'x64', processes: 1 });
    const { engine, lab } = running;
    const process = processOf(first(running.loaded).domain);
    const other = new ImageBuilder('x64', { dll: true, name: 'other.dll' }).code('f', [0xc3]).build();
    process?.loadImage(readImage(other.bytes, { file: 'other.dll' }), { initialize: false });
    const namesake = buildPatch(running.target, { processor: 'x64', result: 17 });
    engine.load(namesake, { name: 'target.dll' });
    const patch = engine.load(patchOf(running));
    expect(patch.applications.map(({ target }) => target.loadReason)).not.toContain('PatchImage');
    expect(patch.applications).toHaveLength(1);
    expect(lab.kernel.threads).toEqual([]);
  });

  it('are not images of hotpatches of their name, even for one that asks for no more than the name', async () => {
    using running = await run({ processor: 'x64', processes: 1 });
    const { engine, target } = running;
    const load = (result: number, name: string) => {
      const image = buildPatch(target, {
        processor: 'x64',
        result,
        name,
        section: ({ good }) => ({ ...good, moduleIdMethod: MODULE_ID_METHOD.None }),
      });
      return engine.load(image, { name });
    };
    const namesake = load(17, 'target.dll');
    expect(engine.targetsOf(namesake)).toEqual(running.loaded);
    expect(load(18, 'other.dll').applications).toHaveLength(1);
    expect(running.call()).toEqual([18]);
  });

  it('are not copies under another name', async () => {
    using running = await run({ processor: 'x64', processes: 0 });
    const { engine, lab, target } = running;
    const process = lab.createProcess('copy.exe');
    const copy = process.loadImage(target.image, { name: 'copy.dll', initialize: false });
    expect(engine.load(patchOf(running)).state).toBe('noTarget');
    expect(copy.codeBytes()).toEqual(copy.codeBytesBeforePatch);
  });

  it('are named in any case', async () => {
    using running = await run({ processor: 'x64' });
    const { engine, target } = running;
    engine.load(
      buildPatch(target, {
        processor: 'x64',
        section: ({ good }) => ({ ...good, targetName: 'TARGET.DLL' }),
      }),
    );
    expect(running.call()).toEqual([9, 9]);
  });
});
