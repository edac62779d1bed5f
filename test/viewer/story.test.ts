import { defineScenario, Lab } from 'hotpatch-lab';
import { describe, expect, it } from 'vitest';
import { Replay, recordScenario } from '../../viewer/index.js';
import { CodeBook } from '../../viewer/recording/code-book.js';
import { Names } from '../../viewer/recording/names.js';
import { Story, type Telling } from '../../viewer/recording/story.js';
import { type PartKind, Trampolines } from '../../viewer/recording/trampolines.js';
import { type Architecture, demoScenario } from '../debugger/debug.js';
import { fixture } from '../support.js';

interface Step extends Telling {
  readonly moment: number;
  readonly running: readonly PartKind[];
  readonly trail: readonly PartKind[];
}

/** What the page tells of the steps from the first call of a patched function on. */
async function firstWay(scenario: ReturnType<typeof defineScenario>, symbol: string): Promise<Step[]> {
  const { recording } = await recordScenario(scenario);
  const replay = new Replay(recording);
  const names = new Names(recording.head);
  const code = new CodeBook(recording.head);
  const trampolines = new Trampolines(replay, names, code);
  const story = new Story(replay, names, code, trampolines);
  const trampoline = trampolines.all.find(({ facts }) => facts.symbol === symbol);
  if (trampoline === undefined) throw new Error(`${symbol} is not patched`);
  const first = replay.addresses.findIndex(
    (address, entry) => address === trampoline.entry && (replay.notes[entry] ?? -1) >= 0,
  );
  return Array.from({ length: 6 }, (_, index) => {
    replay.goTo(first + 1 + index);
    const parts = [...trampolines.state(trampoline).parts.values()];
    return {
      ...story.tell(),
      moment: replay.moment,
      running: parts.filter(({ isRunning }) => isRunning).map(({ kind }) => kind),
      trail: parts.filter(({ isOnTrail }) => isOnTrail).map(({ kind }) => kind),
    };
  });
}

function leafScenario(architecture: Architecture, options: object = {}) {
  return defineScenario(`leaf on ${architecture}`, async () => {
    const lab = await Lab.boot({ architecture, ...options });
    await lab.loadImage(fixture(`${architecture}/hpimport.dll`));
    const demo = await lab.loadImage(fixture(`${architecture}/base/demo.dll`));
    await lab.loadHotPatch(fixture(`${architecture}/patch/demo_hp.dll`));
    lab.call(demo.symbol('leaf_opaque'));
  });
}

describe('the steps of a trampoline, in words and in the picture', () => {
  it.each(['x64', 'x86'] as const)(
    '%s: entry, padding, both slots, the new function',
    async (architecture) => {
      const steps = await firstWay(leafScenario(architecture), 'demo!leaf_opaque');
      expect(steps.slice(0, 4).map(({ title }) => title)).toEqual([
        'Hop 1: the patched entry',
        'Hop 2: the jump in the padding',
        expect.stringMatching(/^Hop 3: HPAT code slot \d$/),
        'Arrived: the new function',
      ]);
      expect(steps.slice(0, 4).map(({ running }) => running)).toEqual([
        ['entry'],
        ['padding'],
        ['codeSlot', 'dataSlot'],
        ['target'],
      ]);
      expect(steps[3]?.trail).toEqual(['padding', 'entry', 'codeSlot', 'dataSlot']);
      expect(steps[0]?.text).toContain('Its first 2 bytes are eb f9 now: a short jump, 5 bytes back');
      expect(steps[0]?.detail).toBe('patched entry → pad jump');
      expect(steps[2]?.text).toContain('demo_hp!leaf_opaque');
    },
  );

  it('arm64: entry, code slot with its two instructions, the new function', async () => {
    const steps = await firstWay(leafScenario('arm64'), 'demo!leaf_opaque');
    expect(steps.slice(0, 4).map(({ running }) => running)).toEqual([
      ['entry'],
      ['codeSlot', 'dataSlot'],
      ['codeSlot', 'dataSlot'],
      ['target'],
    ]);
    expect(steps[0]?.text).toContain('a branch to code slot');
    expect(steps[3]?.title).toBe('Arrived: the new function');
  });

  it('retpoline: the code slot calls the retpoline page', async () => {
    const steps = await firstWay(leafScenario('x64', { retpoline: true }), 'demo!leaf_opaque');
    expect(steps[2]?.text).toContain("calls the image's retpoline page");
    expect(steps[2]?.running).toEqual(['codeSlot']);
  });
});

describe('what is told of events', () => {
  it('each kind of store has its own words, and the original bytes coming back are not called a jump', async () => {
    const scenario = defineScenario('patched and reverted', async () => {
      const lab = await Lab.boot({ architecture: 'x64' });
      await lab.loadImage(fixture('x64/hpimport.dll'));
      await lab.loadImage(fixture('x64/base/demo.dll'));
      lab.unloadHotPatch(await lab.loadHotPatch(fixture('x64/patch/demo_hp.dll')));
    });
    const { recording } = await recordScenario(scenario);
    const replay = new Replay(recording);
    const names = new Names(recording.head);
    const code = new CodeBook(recording.head);
    const story = new Story(replay, names, code, new Trampolines(replay, names, code));
    const titles = recording.head.events.map(({ entry }) => {
      replay.goTo(entry + 1);
      return story.tell().title;
    });
    const first = titles.indexOf('Store: HPAT data slot');
    expect(titles.slice(first, first + 2)).toEqual(['Store: HPAT data slot', 'Store: HPAT code slot']);
    for (const title of [
      'The HPAT gets memory',
      'Store: a pointer of the patch image',
      'The undo table remembers',
      'Store: jump in the padding',
      'Store: the entry. The patch goes live',
      'Store: the entry gets its bytes back',
      'Store: padding restored',
      'The undo table forgets',
    ])
      expect(titles).toContain(title);
    expect(titles.indexOf('Store: the entry gets its bytes back')).toBeGreaterThan(
      titles.lastIndexOf('Store: the entry. The patch goes live'),
    );
  });

  it('a call of the model is told with the name of what it did', async () => {
    const { recording } = await recordScenario(demoScenario('x64'));
    expect(recording.head.strings).toContainEqual(
      expect.stringMatching(/^thread \d+ \(thread\) starts on processor \d at demo!hp_entry$/),
    );
  });
});

/** What is told of every step of a scenario. */
async function tellings(scenario: ReturnType<typeof defineScenario>): Promise<Telling[]> {
  const { recording } = await recordScenario(scenario);
  const replay = new Replay(recording);
  const names = new Names(recording.head);
  const code = new CodeBook(recording.head);
  const story = new Story(replay, names, code, new Trampolines(replay, names, code));
  return Array.from({ length: recording.head.entries }, (_, entry) => {
    replay.goTo(entry + 1);
    return story.tell();
  });
}

describe('what is told of instructions', () => {
  /** `sub ecx,ecx; jne +1; je +1; int3; mov byte [rdx],42h; ret`, by the processor manual: ZF and PF are set, CF, SF and OF are not. */
  const CODE = [0x29, 0xc9, 0x75, 0x01, 0x74, 0x01, 0xcc, 0xc6, 0x02, 0x42, 0xc3];

  it('flags by their names, branches with whether they are taken, stores with address and value', async () => {
    const scenario = defineScenario('flags', async () => {
      const lab = await Lab.boot({ architecture: 'x64' });
      lab.call(lab.allocateCode(Uint8Array.from(CODE)), [1, lab.allocate(new Uint8Array(16))]);
    });
    const texts = (await tellings(scenario)).map(({ text }) => text);
    const first = texts.findIndex((text) => text.includes('Rcx becomes 0'));
    expect(texts[first]).toMatch(/^Rcx becomes 0.*ZF becomes 1/);
    expect(texts[first + 1]).toBe('The condition does not hold: the next instruction follows.');
    expect(texts[first + 2]).toMatch(/^The condition holds: it goes on at /);
    expect(texts[first + 3]).toMatch(/^The byte at .* becomes 42\.$/);
  });

  it('entries of the patch image that lead back are not called the patch that goes live', async () => {
    const told = await tellings(leafScenario('x64'));
    const live = told.filter(({ title }) => title === 'Store: the entry. The patch goes live');
    const back = told.filter(({ title }) => title === 'Store: the copy in the patch image leads back');
    // demo_hp.dll: six functions of the base are patched; what it copies of the base and does not change leads back.
    expect(
      live
        .map(({ text }) => /of (demo\w*!\w+) were/.exec(text)?.[1])
        .every((name) => name?.startsWith('demo!')),
    ).toBe(true);
    expect(live).toHaveLength(6);
    expect(back.length).toBeGreaterThan(0);
    expect(back.every(({ text }) => text.includes('does not change demo_hp!'))).toBe(true);
  });

  it('images of a system of 2003 have no HPAT behind them', async () => {
    const { default: scenario } = await import('../../scenarios/2003-code-in-use.js');
    const loaded = (await tellings(scenario)).filter(({ title }) => title === 'An image is loaded');
    expect(loaded.length).toBeGreaterThan(0);
    expect(loaded.some(({ text }) => text.includes('HPAT'))).toBe(false);
  });
});
