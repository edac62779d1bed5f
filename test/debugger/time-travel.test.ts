import { runScenario } from 'hotpatch-lab';
import { describe, expect, it } from 'vitest';
import {
  comparePositions,
  DebugSession,
  type FrontEnd,
  formatPosition,
  type Goal,
  type Position,
  parsePosition,
  type Stop,
} from '../../debugger/index.js';
import { type Architecture, demoScenario, transcriptFrom, transcriptOf } from './debug.js';

const architectures: readonly Architecture[] = ['x64', 'arm64', 'x86'];

/** Asks `next` at each stop; collects the transcript. */
class Plan implements FrontEnd {
  readonly events: string[] = [];
  readonly warnings: string[] = [];

  constructor(private readonly next: (stop: Stop, session: DebugSession) => Goal | undefined) {}

  stopped(stop: Stop, session: DebugSession): Goal {
    return this.next(stop, session) ?? { kind: 'quit' };
  }

  ended(): Goal {
    return { kind: 'quit' };
  }

  event({ text }: { readonly text: string }): void {
    this.events.push(text);
  }

  warn(text: string): void {
    this.warnings.push(text);
  }

  interrupted(): boolean {
    return false;
  }
}

/** A moment with everything that can be noticed at it. */
function stateOf({ position, thread }: Stop, session: DebugSession): string {
  const { machine, events } = session.current.labOf(thread).kernel;
  return `${formatPosition(position)} thread ${thread.id} ${thread.describe(thread.pc)} ${events.all.length} events ${machine.hash()}`;
}

const stepOf = ({ thread }: Stop, session: DebugSession): Goal => ({
  kind: 'step',
  thread,
  executed: session.current.executed(thread) + 1,
});

describe.each(architectures)('time travel on %s', (architecture) => {
  it('changes nothing in the run: every instruction stepped gives the transcript of a run without debugger', async () => {
    const plain = await runScenario(demoScenario(architecture));
    let left = 3000;
    const plan = new Plan((stop, session) => (left-- > 0 ? stepOf(stop, session) : { kind: 'go' }));
    const { error, transcript } = await new DebugSession(demoScenario(architecture), plan).run();
    expect(error).toBe(plain.error);
    expect(left).toBeLessThan(2600);
    expect(plan.events).toEqual(plain.transcript.map(({ text }) => text));
    expect(transcript.length).toBe(plain.transcript.length);
  });

  it('comes back to the very same state, by checkpoint and by running again', async () => {
    const forward: { position: Position; state: string }[] = [];
    const backward: string[] = [];
    let wanted: typeof forward = [];
    const plan = new Plan((stop, session) => {
      if (forward.length < 400 && wanted.length === 0) {
        forward.push({ position: stop.position, state: stateOf(stop, session) });
        if (forward.length < 400) return stepOf(stop, session);
        // Within the slice, in the slices before, far back, and forward again.
        wanted = [399, 398, 390, 200, 201, 3, 0, 350].flatMap((index) => forward[index] ?? []);
      } else backward.push(stateOf(stop, session));
      const next = wanted[backward.length];
      return next === undefined ? undefined : { kind: 'travel', to: next.position };
    });
    await new DebugSession(demoScenario(architecture), plan).run();
    expect(backward).toEqual(wanted.map(({ state }) => state));
    expect(new Set(backward).size).toBe(8);
    expect(plan.warnings).toEqual([]);
  });
});

describe('going back', () => {
  it('finds the last write of a variable, and what the engine stored', async () => {
    const text = await transcriptFrom(
      '> ba w4',
      demoScenario('x64'),
      'bp demo_hp!dispatch',
      'g',
      'ba w4 demo!g_counter',
      'ba w1 demo!dispatch',
      'bd 0',
      'g-',
      'g-',
      'g-',
      'g-',
      'q',
    );
    await expect(text).toMatchFileSnapshot('transcripts/last writes.txt');
  });

  it('steps back over a call', async () => {
    const text = await transcriptFrom(
      '> gu',
      demoScenario('x64', { patch: false }),
      'bp demo!copy_name',
      'g',
      'gu',
      'p-',
      'p',
      't-',
      'q',
    );
    await expect(text).toMatchFileSnapshot('transcripts/back over a call.txt');
  });

  it('does again what was done at the prompt, and forgets it when the past is changed', async () => {
    const counter = 'dd demo!g_counter L1';
    const setup = ['bp demo!dispatch', 'g', 'eb demo!g_counter 99 0 0 0', 't', 't'];
    const again = await transcriptFrom(
      '> t-',
      demoScenario('x64', { patch: false }),
      ...setup,
      't-',
      counter,
      '!tt 0:0',
      'g',
      counter,
      'q',
    );
    expect(again.match(/^\S+ {2}[0-9a-f]{8}$/gm)?.map((line) => line.slice(-8))).toEqual([
      '00000099',
      '00000099',
    ]);
    const changed = await transcriptFrom(
      '> !tt 0:0',
      demoScenario('x64', { patch: false }),
      ...setup,
      '!tt 0:0',
      'eb hpimport!imp_counter 5',
      'g',
      counter,
      'q',
    );
    expect(changed).toMatch(/000000(?!99)[0-9a-f]{2}\n.*> q/);
  });

  it('is possible after the end', async () => {
    const text = await transcriptOf(demoScenario('x64'), 'g', 't-', '!tt', 'k', 'q');
    expect(text.slice(text.indexOf('ended> t-'))).toMatch(
      /^ended> t-\nTime Travel Position: .*\ndemo_hp!hp_entry\+0x[0-9a-f]+:\n.* ret\n/,
    );
  });
});

describe('positions', () => {
  it.each([
    ['1:0', { sequence: 1, steps: 0 }],
    ['1F:a', { sequence: 0x1f, steps: 10 }],
    ['1F', undefined],
    ['x:1', undefined],
  ])('%s', (text, position) => expect(parsePosition(text)).toEqual(position));

  it('are in the order of time', () => {
    const order = ['1:0', '1:5', '2:0', 'A:1', '10:0'].map(
      (text) => parsePosition(text) ?? { sequence: 0, steps: 0 },
    );
    expect([...order].reverse().sort(comparePositions)).toEqual(order);
    expect(order.map(formatPosition)).toEqual(['1:0', '1:5', '2:0', 'A:1', '10:0']);
  });
});
