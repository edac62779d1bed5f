import { BugCheck, type EngineStep, type Lab } from 'hotpatch-lab';
import { describe, expect, it } from 'vitest';
import { type Bench, bench, CELLS } from './kinds.js';

const cell = (name: string) => {
  const found = CELLS.find((candidate) => candidate.name === name);
  if (found === undefined) throw new Error(`there is no cell ${name}`);
  return found;
};
const DLL = cell('x64 DLL in three processes');
const DRIVER = cell('x64 driver');
const SESSION_DRIVER = cell('x64 session driver in three sessions');

/** VAD and loader states of base and patch image in every place. */
function states({ lab, places }: Bench): string[] {
  return places.map(({ domain, demo }) => {
    const images = [demo, ...domain.images.filter(({ loadReason }) => loadReason === 'PatchImage')];
    return images.map((image) => `${lab.engine.record(image).vadState} ${image.hotPatchState}`).join(', ');
  });
}

/** The different states that a place goes through. */
function phasesOf(machine: Bench, steps: Generator<EngineStep, unknown>): string[] {
  const seen: string[] = [];
  for (const _step of steps) {
    const now = states(machine).at(-1) ?? '';
    if (seen.at(-1) !== now) seen.push(now);
  }
  return [...seen, states(machine).at(-1) ?? ''];
}

describe.each([DLL, DRIVER, SESSION_DRIVER])('states of base and patch image: $name', (kind) => {
  it('while a patch is applied and taken back', async () => {
    using machine = await bench(kind);
    const { engine } = machine.lab;
    expect(phasesOf(machine, engine.loadSteps(machine.image()))).toEqual([
      '0 BaseImage, 0 NotApplied',
      '1 BaseImage, 3 AppliedReverse',
      '2 AppliedForward, 3 AppliedReverse',
    ]);
    const [patch] = engine.patches;
    if (patch === undefined) throw new Error('no patch');
    expect(phasesOf(machine, engine.unloadSteps(patch))).toEqual([
      '2 AppliedForward, 3 AppliedReverse',
      '0 BaseImage, 3 NotApplied',
    ]);
  });

  it('while a second one takes its place and gives it back', async () => {
    using machine = await bench(kind);
    const { engine } = machine.lab;
    machine.load();
    const second = machine.image({ sequenceNumber: 2 });
    expect(phasesOf(machine, engine.loadSteps(second, { name: 'second.dll' }))).toEqual([
      '2 AppliedForward, 3 AppliedReverse, 0 NotApplied',
      '1 AppliedForward, 3 AppliedReverse, 3 AppliedReverse',
      '2 AppliedForward, 3 AppliedReverse, 3 AppliedReverse',
    ]);
    const [, patch] = engine.patches;
    if (patch === undefined) throw new Error('no patch');
    engine.unload(patch);
    expect(states(machine)).toEqual(
      machine.places.map(() => '2 AppliedForward, 3 AppliedReverse, 3 NotApplied'),
    );
  });

  it('when a patch is left in the middle', async () => {
    using machine = await bench(kind);
    const { engine } = machine.lab;
    const steps = engine.loadSteps(machine.image());
    while (states(machine).at(-1)?.startsWith('1') !== true) steps.next();
    steps.return(undefined as never);
    expect(states(machine)).toEqual(machine.places.map(() => '0 BaseImage'));
    machine.load();
    const again = engine.loadSteps(machine.image({ sequenceNumber: 2 }), { name: 'second.dll' });
    while (states(machine).at(-1)?.startsWith('1') !== true) again.next();
    again.return(undefined as never);
    expect(states(machine)).toEqual(machine.places.map(() => '2 AppliedForward, 3 AppliedReverse'));
  });
});

describe('a patch image that a thread has come into before the patch was given up', () => {
  it('keeps its backward records, and says so', async () => {
    using machine = await bench(DLL);
    const { lab, places } = machine;
    const [first] = places;
    if (first === undefined) throw new Error('no place');
    const thread = lab.kernel.createThread(first.demo.symbol('leaf_opaque'), [], { domain: first.domain });
    const steps = lab.engine.loadSteps(machine.image(), { name: 'demo_hp.dll' });
    const isInside = () => first.domain.findImage('demo_hp')?.contains(thread.pc) === true;
    while (!isInside()) {
      if (steps.next().done === true) throw new Error('the patch came through');
      const isPatched = first.demo.domain.addressSpace.read(first.demo.symbol('leaf_opaque'), 1)[0] === 0xeb;
      for (let count = 0; isPatched && count < 4 && !isInside(); count++) lab.run({ instructions: 1 });
    }
    steps.return(undefined as never);
    expect(states(machine)).toEqual(['0 BaseImage, 3 AppliedReverse', '0 BaseImage', '0 BaseImage']);
    lab.run({ until: thread.returns() });
    expect(thread.result).toBe(43);
    machine.load();
    for (const { call } of places) expect(call('leaf_opaque')).toBe(43);
  });
});

describe('a callout that stops the system', () => {
  it('leaves everything as it is at that moment, and is not called again', async () => {
    using machine = await bench(DRIVER);
    const { lab, places } = machine;
    const [place] = places;
    expect(() => machine.load({ failingPhase: 1 })).toThrow(BugCheck);
    expect(place?.demo.domain.addressSpace.read(place.demo.symbol('leaf_opaque'), 2)).toEqual(
      Uint8Array.of(0xeb, 0xf9),
    );
    expect(calloutPhases(lab)).toEqual([0, 1]);
  });
});

describe('a process that ends while another one is patched', () => {
  it('gets no memory for an HPAT any more', async () => {
    using machine = await bench(DLL);
    const { lab, places } = machine;
    const [first, second] = places;
    const steps = lab.engine.loadSteps(machine.image());
    while (first?.demo.hpat?.committed !== true) steps.next();
    second?.domain.process?.terminate();
    const committed = second?.domain.table.committedPages;
    const rest = [...steps];
    expect(second?.domain.table.committedPages).toBe(committed);
    expect(rest.filter(({ kind }) => kind === 'hpatCommitted')).toHaveLength(3);
  });
});

describe('the HotPatch process', () => {
  const attached = (lab: Lab) =>
    lab.events.flatMap(({ kind, text }) =>
      kind === 'sessionAttached' || kind === 'hpatCommitted' || kind === 'applyBegun' ? [text.trim()] : [],
    );

  it('is attached to a session before anything is done there', async () => {
    using machine = await bench(SESSION_DRIVER);
    machine.load();
    const told = attached(machine.lab);
    const sessions = machine.places.map(({ domain }) => domain.session?.id);
    const begun = told.findLastIndex((text) => text.startsWith('apply demo_hp.dll'));
    const pages = (image: string) => `HPAT of ${image} gets memory: 2 pages, 512 slots`;
    const attaches = sessions.map((id) => `the HotPatch process attaches to session ${id}`);
    expect(told.slice(begun + 1)).toEqual([
      ...attaches.flatMap((attach) => [attach, pages('demo.dll'), pages('demo_hp.dll')]),
      ...attaches,
      ...attaches,
    ]);
  });

  it('does not attach for a process of a session', async () => {
    using machine = await bench({
      ...DLL,
      kind: {
        ...DLL.kind,
        domains: ({ kernel }) => [
          kernel.createProcess({ name: 'a.exe', session: kernel.createSession() }).domain,
        ],
      },
    });
    machine.load();
    expect(machine.places[0]?.call('leaf_opaque')).toBe(43);
    expect(attached(machine.lab).filter((text) => text.includes('attaches'))).toEqual([]);
  });
});

function calloutPhases({ transcript }: Lab): number[] {
  return [...transcript.matchAll(/__PatchMainCallout__\(phase (\d)\)/g)].map(([, phase]) => Number(phase));
}
