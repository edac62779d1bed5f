import type { Patch2003 } from 'hotpatch-lab';
import type { EngineStep } from 'hotpatch-lab/engine';
import { describe, expect, it } from 'vitest';
import { systemState } from '../../../proof/index.js';
import { buildPatch, indirectHooks, nearHooks, type Processor, type Running, run } from './support.js';

interface Form {
  readonly processor: Processor;
  readonly form: 'near' | 'indirect';
  readonly length: number;
  /** 32-bit processes of an x64 server. */
  readonly wow64?: boolean;
}

const FORMS: readonly Form[] = [
  { processor: 'x86', form: 'near', length: 5 },
  { processor: 'x86', form: 'near', length: 5, wow64: true },
  { processor: 'x64', form: 'near', length: 5 },
  { processor: 'x64', form: 'indirect', length: 6 },
];

function patchOf({ target }: Running, { processor, form }: Form, result = 9) {
  return buildPatch(target, {
    processor,
    name: `fix${result}.dll`,
    result,
    ...(form === 'near'
      ? {}
      : {
          section: ({ good, layout }) => ({
            ...good,
            hooks: indirectHooks(target.rva('f'), layout.rva('g'), target.rva('cells')),
          }),
        }),
  });
}

/** A thread of a process, by its number, that stands at a distance from the jump in the padding of `f`. */
function standAt({ lab, loaded }: Running, { length }: Form, distance: number, index = 0) {
  const module = loaded[index];
  if (module === undefined) throw new Error('no such process');
  const address = module.symbol('f') - BigInt(length) + BigInt(distance);
  return lab.kernel.createThread(address, [], { domain: module.domain });
}

const left = ({ applications }: Patch2003) =>
  applications.map(({ hooks }) =>
    hooks
      .filter((hook) => hook.left)
      .map(({ target }) => target)
      .reverse(),
  );

const isItself = ({ loaded }: Running) =>
  loaded.map((image) => Buffer.compare(image.codeBytes(), image.codeBytesBeforePatch) === 0);

describe.each(FORMS)('$processor, $form jump: the padding is given back', (form) => {
  const kept = form.form === 'near' ? ['padding'] : ['padding', 'pointer'];
  const [first, last] = [0, form.length - 1];
  it.each([
    { where: 'the byte before it', distance: first - 1, stays: false },
    { where: 'its first byte', distance: first, stays: true },
    { where: 'its last byte', distance: last, stays: true },
    { where: 'the byte behind it, the entry', distance: last + 1, stays: false },
  ])('with a thread at $where: left is $stays, in that process alone', async ({ distance, stays }) => {
    using running = await run(form);
    const { engine, call, lab } = running;
    const patch = engine.load(patchOf(running, form));
    const thread = standAt(running, form, distance);
    engine.unload(patch);
    expect(left(patch)).toEqual([stays ? kept : [], []]);
    expect(isItself(running)).toEqual([!stays, true]);
    expect(call()).toEqual([1, 1]);
    const told = lab.transcript.split('\n').filter((line) => line.includes('stays: a thread stands in it'));
    expect(told).toEqual(
      stays ? kept.map((target) => `  the ${target} of target!f stays: a thread stands in it`) : [],
    );
    engine.restoreLeftHooks();
    expect(left(patch)).toEqual([stays ? kept : [], []]);
    lab.kernel.scheduler.remove(thread);
    engine.restoreLeftHooks();
    expect(left(patch)).toEqual([[], []]);
    expect(isItself(running)).toEqual([true, true]);
  });

  it('not while the handler of an exception that was raised there runs: the thread goes on there', async () => {
    using running = await run(form);
    const { engine, lab, loaded } = running;
    const { domain } = loaded[0] ?? {};
    const patch = engine.load(patchOf(running, form));
    const thread = standAt(running, form, 0);
    if (domain?.process === undefined) throw new Error('no process');
    const page = thread.pc & ~0xfffn;
    // nop; mov eax, EXCEPTION_CONTINUE_EXECUTION; and its one parameter is popped on x86.
    const end = form.processor === 'x86' ? [0xc2, 4, 0] : [0xc3];
    const handler = lab.allocateCode(Uint8Array.of(0x90, 0xb8, 0xff, 0xff, 0xff, 0xff, ...end), { domain });
    const add = domain.services.address('kernelbase.dll', 'AddVectoredExceptionHandler');
    lab.kernel.call64(add, [1, handler], { domain });
    domain.table.protect(page, 1, 'PAGE_NOACCESS');
    lab.run({ until: thread.reaches(handler + 1n) });
    domain.table.protect(page, 1, 'PAGE_EXECUTE_READ');
    engine.unload(patch);
    expect(left(patch)).toEqual([kept, []]);
    lab.run({ until: thread.returns() });
    expect(thread.result).toBe(9);
    engine.restoreLeftHooks();
    expect(isItself(running)).toEqual([true, true]);
  });

  it('without a look at threads when that is switched off', async () => {
    using running = await run({ ...form, engine: { spareOccupiedPadding: false } });
    const patch = running.engine.load(patchOf(running, form));
    standAt(running, form, 0);
    const steps = [...running.engine.unloadSteps(patch)];
    expect(steps.filter((step) => step.kind === 'store' && step.unlessOccupied)).toEqual([]);
    expect(left(patch)).toEqual([[], []]);
    expect(isItself(running)).toEqual([true, true]);
  });

  it('not over what somebody else has made of it meanwhile', async () => {
    using running = await run(form);
    const { engine, lab, loaded } = running;
    const [module] = loaded;
    const patch = engine.load(patchOf(running, form));
    const change = (distance: number) => {
      const address = (module?.symbol('f') ?? 0n) + BigInt(distance);
      module?.domain.writer.writeCode(address, Uint8Array.of(0x90));
    };
    const kept = module?.domain.addressSpace.read(module.symbol('f'), 2);
    change(0);
    expect(() => engine.unload(patch)).toThrow('code.verification');
    expect(patch.state).toBe('applied');
    module?.domain.writer.writeCode(module.symbol('f'), kept ?? new Uint8Array(2));
    const thread = standAt(running, form, 0);
    engine.unload(patch);
    lab.kernel.scheduler.remove(thread);
    change(-1);
    expect(() => engine.restoreLeftHooks()).toThrow('code.verification');
    expect(() => engine.enable(patch)).toThrow('code.verification');
  });

  it('without any store where nothing was left', async () => {
    using running = await run(form);
    const { engine, lab } = running;
    const patch = engine.load(patchOf(running, form));
    const idle = () => {
      const count = lab.events.length;
      engine.restoreLeftHooks();
      expect(lab.events).toHaveLength(count);
    };
    idle();
    engine.unload(patch);
    idle();
  });

  it('the hotpatch comes into force again over what it left', async () => {
    using running = await run(form);
    const { engine, call, lab } = running;
    const patch = engine.load(patchOf(running, form));
    const thread = standAt(running, form, 0);
    engine.unload(patch);
    engine.enable(patch);
    expect(call()).toEqual([9, 9]);
    expect(left(patch)).toEqual([[], []]);
    engine.restoreLeftHooks();
    expect(call()).toEqual([9, 9]);
    lab.kernel.scheduler.remove(thread);
    engine.unload(patch);
    expect(isItself(running)).toEqual([true, true]);
  });

  it('another hotpatch fits the function in spite of what was left, and gives it back', async () => {
    using running = await run(form);
    const { engine, call, lab } = running;
    const older = engine.load(patchOf(running, form));
    const thread = standAt(running, form, 0);
    engine.unload(older);
    const newer = engine.load(patchOf(running, form, 17));
    lab.kernel.scheduler.remove(thread);
    engine.restoreLeftHooks();
    expect(call()).toEqual([17, 17]);
    expect(left(older)).toEqual([[], []]);
    engine.unload(newer);
    expect(call()).toEqual([1, 1]);
    expect(isItself(running)).toEqual([true, true]);
    engine.enable(older);
    expect(call()).toEqual([9, 9]);
  });

  it('an older hotpatch under a disabled one leaves its own hooks, not those of the newer', async () => {
    using running = await run(form);
    const { engine, lab } = running;
    const older = engine.load(patchOf(running, form));
    const newer = engine.load(patchOf(running, form, 17));
    engine.unload(newer);
    const thread = standAt(running, form, 0);
    engine.unload(older);
    expect([left(older), left(newer)]).toEqual([
      [kept, []],
      [[], []],
    ]);
    lab.kernel.scheduler.remove(thread);
    engine.restoreLeftHooks();
    expect(isItself(running)).toEqual([true, true]);
  });

  it('an older hotpatch comes into force over what a newer one left: the thread there goes its way', async () => {
    using running = await run(form);
    const { engine, lab, call } = running;
    const older = engine.load(patchOf(running, form));
    engine.unload(older);
    const newer = engine.load(patchOf(running, form, 17));
    const thread = standAt(running, form, 0);
    engine.unload(newer);
    engine.enable(older);
    expect([left(older), left(newer)]).toEqual([
      [[], []],
      [[], []],
    ]);
    expect(call()).toEqual([9, 9]);
    lab.run({ until: thread.returns() });
    expect(thread.result).toBe(9);
    engine.unload(older);
    expect(isItself(running)).toEqual([true, true]);
  });

  it('a newer hotpatch gives an older one its jump back although a thread stands there', async () => {
    using running = await run(form);
    const { engine, lab, call } = running;
    const older = engine.load(patchOf(running, form));
    const newer = engine.load(patchOf(running, form, 17));
    const thread = standAt(running, form, 0);
    engine.unload(newer);
    expect(left(newer)).toEqual([[], []]);
    expect(call()).toEqual([9, 9]);
    lab.run({ until: thread.returns() });
    expect(thread.result).toBe(9);
    engine.unload(older);
    expect(isItself(running)).toEqual([true, true]);
  });

  it('what comes into force again over what it left is left again', async () => {
    using running = await run(form);
    const { engine, lab } = running;
    const patch = engine.load(patchOf(running, form));
    const thread = standAt(running, form, 0);
    for (let times = 0; times < 2; times++) {
      engine.unload(patch);
      expect(left(patch)).toEqual([kept, []]);
      engine.enable(patch);
    }
    engine.unload(patch);
    lab.run({ until: thread.returns() });
    expect(thread.result).toBe(9);
  });

  it.each([
    ['fails', (steps: Generator) => expect(() => steps.throw(new Error('stopped'))).toThrow('stopped')],
    ['is left where it is', (steps: Generator) => expect(steps.return(undefined).done).toBe(true)],
  ])(
    'an operation that %s while all are held leaves the hotpatch as it was, in force or left',
    async (_, leave) => {
      using running = await run(form);
      const { engine, lab } = running;
      const patch = engine.load(patchOf(running, form));
      const stop = (steps: Generator<EngineStep>) => {
        const known = [left(patch), patch.applications.map(({ active }) => active), patch.state];
        const before = systemState(lab).memory;
        const places = new Set<string>();
        for (let step = steps.next(); step.value.kind !== 'serialised'; step = steps.next()) {
          if (step.value.kind === 'store') places.add(step.value.place);
          expect(lab.kernel.scheduler.gathered).toBe(true);
        }
        expect(places.size).toBe(2);
        leave(steps);
        expect(lab.kernel.scheduler.gathered).toBe(false);
        expect([left(patch), patch.applications.map(({ active }) => active), patch.state]).toEqual(known);
        expect(systemState(lab).memory).toEqual(before);
      };
      stop(engine.unloadSteps(patch));
      standAt(running, form, 0);
      engine.unload(patch);
      stop(engine.enableSteps(patch));
    },
  );
});

describe('a hotpatch over others', () => {
  it.each(FORMS)(
    'leaves its jump of $processor, $form, in spite of hotpatches of other functions',
    async (form) => {
      using running = await run(form);
      const { engine, target } = running;
      engine.load(
        buildPatch(target, {
          processor: form.processor,
          name: 'other.dll',
          section: ({ good, layout }) => ({ ...good, hooks: nearHooks(target.rva('h'), layout.rva('g')) }),
        }),
      );
      const patch = engine.load(patchOf(running, form, 17));
      standAt(running, form, 0);
      engine.unload(patch);
      expect(left(patch)).toEqual([form.form === 'near' ? ['padding'] : ['padding', 'pointer'], []]);
    },
  );
});

describe('a jump over another hotpatch’s jump of the other form', () => {
  const FORMS_OF_X64 = FORMS.filter(({ processor }) => processor === 'x64');
  it.each(
    FORMS_OF_X64.flatMap((older) => FORMS_OF_X64.map((newer) => ({ older, newer, same: older === newer }))),
  )('$newer.form over $older.form: $same', async ({ older, newer, same }) => {
    using running = await run({ processor: 'x64' });
    const { engine, lab, call } = running;
    const first = engine.load(patchOf(running, older));
    standAt(running, older, 0);
    const before = systemState(lab).memory;
    const second = () => engine.load(patchOf(running, newer, 17));
    if (same) {
      second();
      expect(call()).toEqual([17, 17]);
      return;
    }
    expect(second).toThrow(
      /hook \d.*the padding of target!f would replace a part of what fix9\.dll has there.*chain\.crossed, STATUS_CONFLICTING_ADDRESSES/,
    );
    expect(systemState(lab).memory).toEqual(before);
    expect(call()).toEqual([9, 9]);
    engine.unload(first);
    expect(second).toThrow('chain.crossed');
  });

  it('is applied when the other is disabled and nothing was left of it', async () => {
    using running = await run({ processor: 'x64' });
    const { engine, call } = running;
    const [near, indirect] = FORMS.filter(({ processor }) => processor === 'x64');
    if (near === undefined || indirect === undefined) throw new Error('no forms');
    const first = engine.load(patchOf(running, indirect));
    engine.unload(first);
    engine.load(patchOf(running, near, 17));
    expect(call()).toEqual([17, 17]);
  });

  it('is applied without a look at threads when that is switched off', async () => {
    using running = await run({ processor: 'x64', engine: { spareOccupiedPadding: false } });
    const { engine, call } = running;
    const [near, indirect] = FORMS.filter(({ processor }) => processor === 'x64');
    if (near === undefined || indirect === undefined) throw new Error('no forms');
    engine.load(patchOf(running, indirect));
    engine.load(patchOf(running, near, 17));
    expect(call()).toEqual([17, 17]);
  });
});

describe('threads in old code', () => {
  it('are named with their functions, in the process where they are', async () => {
    using running = await run({ processor: 'x64' });
    const { engine, lab, loaded } = running;
    const start = (index: number, name: string, behind: bigint) => {
      const module = loaded[index];
      if (module === undefined) throw new Error('no such process');
      return lab.kernel.createThread(module.symbol(name) + behind, [], { domain: module.domain });
    };
    const patch = engine.load(buildPatch(running.target, { processor: 'x64' }));
    const [inOne, inOther] = [start(0, 'f', 2n), start(1, 'f', 7n)];
    start(0, 'h', 2n);
    start(1, 'tiny', 0n);
    expect(engine.threadsInOldCode(patch)).toEqual([
      `thread ${inOne.id} is in the old target!f`,
      `thread ${inOther.id} is in the old target!f`,
    ]);
    lab.kernel.scheduler.remove(inOne);
    expect(engine.threadsInOldCode(patch)).toEqual([`thread ${inOther.id} is in the old target!f`]);
  });

  it('are not those in data whose pointers were changed', async () => {
    using running = await run({ processor: 'x64', processes: 1 });
    const { engine, lab, loaded, target } = running;
    const [module] = loaded;
    if (module === undefined) throw new Error('no process');
    const image = buildPatch(target, {
      processor: 'x64',
      section: ({ good, layout }) => ({
        ...good,
        hooks: indirectHooks(target.rva('f'), layout.rva('g'), target.rva('cells')),
      }),
    });
    const patch = engine.load(image);
    lab.kernel.createThread(module.symbol('cells'), [], { domain: module.domain });
    expect(engine.threadsInOldCode(patch)).toEqual([]);
  });
});
