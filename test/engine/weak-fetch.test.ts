import { CpuError } from 'hotpatch-lab/cpu';
import { describe, expect, it } from 'vitest';
import { bootForm, demoPatch, FORMS, type Form } from './forms.js';

const WEAK = FORMS.map(
  (form): Form => ({ ...form, boot: { ...form.boot, processors: 2, instructionFetch: 'weak' } }),
);

/** A machine whose processors may go on executing what they have fetched, until something serialises them. */
async function boot(form: Form) {
  const machine = await bootForm(form);
  const { lab, demo } = machine;
  const { processors } = lab.kernel.machine;
  const entry = demo.symbol('leaf_opaque');
  /** Each processor executes the function, and so has fetched its page. */
  const fetchEverywhere = () =>
    processors.map((_, affinity) => {
      const thread = lab.kernel.createThread(entry, [], { affinity });
      lab.run({ until: thread.returns() });
      return thread.result;
    });
  const inMemory = () => demo.domain.addressSpace.read(entry, 8);
  return {
    ...machine,
    fetchEverywhere,
    inMemory,
    fetched: () => processors.map((processor) => processor.fetchBytes(entry, 8)),
    /** Takes steps until the entry has been stored. */
    toEntry(steps: ReturnType<typeof lab.engine.loadSteps | typeof lab.engine.unloadSteps>) {
      for (;;) {
        const { value: step, done } = steps.next();
        if (done === true || step === undefined) throw new Error('no entry was stored');
        if (step.kind === 'store' && step.target === 'entry' && step.address === entry) return;
      }
    },
    [Symbol.dispose]: machine[Symbol.dispose],
  };
}

describe.each(WEAK)('processors that keep what they fetched, in the form of $name', (form) => {
  // Where all are gathered none of them executes anything until the entries are stored.
  const isGathered = form.name === 'ARM64';

  it('fetch the original code when a patch is left in the middle', async () => {
    using machine = await boot(form);
    const { lab, fetched, fetchEverywhere, inMemory } = machine;
    const original = inMemory();
    fetchEverywhere();
    const steps = lab.engine.loadSteps(demoPatch(form, 1));
    machine.toEntry(steps);
    if (!isGathered) expect(fetchEverywhere()).toEqual([43, 43]);
    steps.return(undefined as never);
    expect(inMemory()).toEqual(original);
    expect(fetched()).toEqual([original, original]);
    expect(fetchEverywhere()).toEqual([42, 42]);
  });

  it('fetch the jump to the patch when a revert is left in the middle', async () => {
    using machine = await boot(form);
    const { lab, fetched, fetchEverywhere, inMemory } = machine;
    fetchEverywhere();
    const patch = lab.engine.load(demoPatch(form, 1));
    const patched = inMemory();
    const steps = lab.engine.unloadSteps(patch);
    machine.toEntry(steps);
    if (!isGathered) expect(fetchEverywhere()).toEqual([42, 42]);
    steps.return();
    expect(inMemory()).toEqual(patched);
    expect(fetched()).toEqual([patched, patched]);
    expect(fetchEverywhere()).toEqual([43, 43]);
  });

  it('fetch the original code when the last store fails', async () => {
    using machine = await boot(form);
    const { lab, demo, fetched, fetchEverywhere, inMemory } = machine;
    const original = inMemory();
    fetchEverywhere();
    let failing = false;
    demo.domain.writer.beforeStore(({ into }) => {
      if (into !== 'code' || !failing) return;
      failing = false;
      throw new CpuError('noMemory', 'no frame', { status: 'STATUS_NO_MEMORY' });
    });
    const steps = lab.engine.loadSteps(demoPatch(form, 1));
    machine.toEntry(steps);
    if (!isGathered) fetchEverywhere();
    failing = true;
    expect(() => [...steps]).toThrow(/no frame/);
    expect(inMemory()).toEqual(original);
    expect(fetched()).toEqual([original, original]);
    expect(fetchEverywhere()).toEqual([42, 42]);
  });

  it('fetch what is there after patch and revert', async () => {
    using machine = await boot(form);
    const { lab, fetched, fetchEverywhere, inMemory } = machine;
    fetchEverywhere();
    const patch = lab.engine.load(demoPatch(form, 1));
    expect(fetched()).toEqual([inMemory(), inMemory()]);
    fetchEverywhere();
    lab.engine.unload(patch);
    expect(fetched()).toEqual([inMemory(), inMemory()]);
  });
});
