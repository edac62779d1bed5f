import { type EngineStep, Lab, type Patch } from 'hotpatch-lab';
import { describe, expect, it } from 'vitest';
import { type PairOptions, pair, returning } from './built.js';

/** `straddling` begins at the last of eight bytes, `aligned` at the first. */
const PARTS: PairOptions = {
  parts: (builder, value) =>
    builder
      .code('filler', [0xc3])
      .code('straddling', returning(value), { alignment: 1 })
      .code('aligned', returning(value)),
};

async function boot(...covered: readonly string[]) {
  const lab = await Lab.boot({ architecture: 'x64' });
  const first = pair({ ...PARTS, covered });
  const driver = lab.kernel.loadImage(first.base, { initialize: false });
  const steps = {
    load: (sequenceNumber: number, names = covered) =>
      kinds(lab.engine.loadSteps(pair({ ...PARTS, covered: names, sequenceNumber }).patch)),
    unload: (patch: Patch | undefined) => (patch === undefined ? [] : kinds(lab.engine.unloadSteps(patch))),
  };
  return {
    lab,
    ...steps,
    call: (name: string) => lab.call(driver.address(first.rva(name))),
    vad: (name: string) => Number(driver.address(first.rva(name)) & 7n),
    [Symbol.dispose]: () => lab[Symbol.dispose](),
  };
}

/** What is stored, and what happens to the processors. */
function kinds(steps: Generator<EngineStep, unknown>): string[] {
  return [...steps].flatMap((step) => {
    if (step.kind === 'rendezvous') return [`rendezvous ${step.phase}`];
    if (step.kind === 'store') return [step.target];
    return step.kind === 'serialised' ? [step.kind] : [];
  });
}

const NEW = ['dataSlot', 'codeSlot', 'padding'];

describe('processors on x64', () => {
  it('are serialised before and after the entries are stored', async () => {
    using machine = await boot('aligned');
    expect(machine.vad('aligned')).toBe(0);
    expect(machine.load(1)).toEqual([...NEW, 'serialised', 'entry', 'serialised']);
  });

  it('are gathered for an entry that lies across eight bytes', async () => {
    using machine = await boot('straddling');
    expect(machine.vad('straddling')).toBe(7);
    expect(machine.load(1)).toEqual(['rendezvous begin', ...NEW, 'entry', 'serialised', 'rendezvous end']);
    expect(machine.unload(machine.lab.engine.patches[0])).toEqual([
      'rendezvous begin',
      'entry',
      'serialised',
      'rendezvous end',
      'padding',
      'serialised',
    ]);
  });

  it('are not gathered where only the data slot of such a function changes', async () => {
    using machine = await boot('straddling');
    machine.load(1);
    expect(machine.load(2)).toEqual(['dataSlot', 'serialised']);
    expect(machine.call('straddling')).toBe(3);
    expect(machine.unload(machine.lab.engine.patches[1])).toEqual(['dataSlot', 'serialised']);
    expect(machine.call('straddling')).toBe(2);
  });

  it('are not gathered for a base that has just been loaded, whose code nobody has executed', async () => {
    using lab = await Lab.boot({ architecture: 'x64' });
    const { base, patch, rva } = pair({ ...PARTS, covered: ['straddling'] });
    const waiting = lab.engine.load(patch);
    const driver = lab.kernel.loadImage(base, { initialize: false });
    expect([waiting.state, lab.call(driver.address(rva('straddling')))]).toEqual(['applied', 2]);
    expect(lab.events.filter(({ kind }) => kind === 'rendezvous')).toEqual([]);
    lab.engine.unload(waiting);
    expect(lab.events.filter(({ kind }) => kind === 'rendezvous')).toHaveLength(2);
  });

  it('are gathered when the newer patch drops such a function, or the older one has it again', async () => {
    using machine = await boot('straddling', 'aligned');
    machine.load(1);
    const dropped = ['rendezvous begin', 'dataSlot', 'entry', 'serialised', 'rendezvous end'];
    expect(machine.load(2, ['aligned'])).toEqual(dropped);
    const back = ['rendezvous begin', ...NEW, 'dataSlot', 'entry', 'serialised', 'rendezvous end'];
    expect(machine.unload(machine.lab.engine.patches[1])).toEqual(back);
  });

  it('are not gathered to give other entries their bytes back', async () => {
    using machine = await boot('aligned');
    machine.load(1);
    expect(machine.unload(machine.lab.engine.patches[0])).toEqual([
      'entry',
      'serialised',
      'padding',
      'serialised',
    ]);
  });
});
