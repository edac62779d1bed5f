import { deflateRawSync } from 'node:zlib';
import { defineScenario, Lab, runScenario } from 'hotpatch-lab';
import { describe, expect, it } from 'vitest';
import { loadDisassembler } from '../../cpu/index.js';
import { DebugSession, describeHop, type Goal, View } from '../../debugger/index.js';
import { packRecording, type Recording, Replay, recordScenario } from '../../viewer/index.js';
import { type Architecture, demoScenario } from '../debugger/debug.js';
import { fixture } from '../support.js';

const architectures: readonly Architecture[] = ['x64', 'arm64', 'x86'];

/** What the debugger sees before each instruction that it steps over. */
interface Seen {
  readonly sequence: number;
  readonly steps: number;
  readonly processor: number;
  readonly registers: readonly bigint[];
  readonly stack: string;
  readonly code: string;
  readonly hop: string | undefined;
}

async function seenByDebugger(architecture: Architecture): Promise<Seen[]> {
  const disassembler = await loadDisassembler();
  const seen: Seen[] = [];
  const session = new DebugSession(demoScenario(architecture), {
    stopped(stop, debug): Goal {
      const view = new View(debug, stop, stop.thread, disassembler);
      const { processor } = stop.thread;
      if (processor !== undefined)
        seen.push({
          ...stop.position,
          processor: processor.index,
          registers: processor.architecture.registers.map((name) => processor.get(name)),
          stack: hex(view.readUpTo(stop.thread.sp, 64)),
          code: hex(view.readUpTo(view.pc, 4)),
          hop: describeHop(view, view.pc),
        });
      return { kind: 'step', thread: stop.thread, executed: debug.current.executed(stop.thread) + 1 };
    },
    ended: () => ({ kind: 'quit' }),
    event: () => undefined,
    warn: (text) => expect.fail(text),
    interrupted: () => false,
  });
  await session.run();
  return seen;
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex');
}

/** The entry that is instruction `steps` of a slice. */
function entryOf(replay: Replay, sequence: number, steps: number): number | undefined {
  const index = replay.head.slices.findIndex((slice) => slice.sequence === sequence);
  const end = replay.head.slices[index + 1]?.from ?? replay.head.entries;
  const from = replay.head.slices[index]?.from ?? end;
  const executed = Array.from({ length: end - from }, (_, at) => from + at).filter(
    (entry) => replay.entry(entry).kind === 'instruction',
  );
  return executed[steps];
}

/** Everything of a replay that a page can show, at its moment. */
function stateOf(replay: Replay): string {
  const registers = replay.head.processors.map(({ registers: names }, processor) =>
    names.map((_, index) => replay.registerAt(processor, index)),
  );
  const memory = replay.head.images.map(({ base, size, domain }) =>
    hex(replay.read(replay.head.domains[domain]?.space ?? 0, BigInt(base), size)),
  );
  const pages = replay.head.tables.map((_, table) => replay.pages(table));
  return JSON.stringify({ registers, memory, pages }, (_key, value: unknown) =>
    typeof value === 'bigint' ? value.toString(16) : value,
  );
}

describe.each(architectures)('a recording on %s', (architecture) => {
  it('is of the same run as without it', async () => {
    const plain = await runScenario(demoScenario(architecture));
    const { recording, result } = await recordScenario(demoScenario(architecture));
    expect(result).toEqual(plain);
    expect(recording.head.events.map(({ text }) => text)).toEqual(plain.transcript.map(({ text }) => text));
  });

  it('has the registers, stack, code and hops that the debugger shows, before every instruction', async () => {
    const [seen, { recording }] = [
      await seenByDebugger(architecture),
      await recordScenario(demoScenario(architecture)),
    ];
    const replay = new Replay(recording);
    let compared = 0;
    let hops = 0;
    for (const { sequence, steps, processor, registers, stack, code, hop } of seen) {
      const entry = entryOf(replay, sequence, steps);
      if (entry === undefined) continue;
      replay.goTo(entry);
      compared++;
      expect(registers.map((_, index) => replay.registerAt(processor, index))).toEqual(registers);
      const space = replay.head.threads[replay.slice(entry + 1)?.thread ?? 0]?.space ?? 0;
      expect(hex(replay.read(space, replay.register(processor, 'sp'), 64))).toBe(stack);
      expect(hex(replay.read(space, replay.register(processor, 'pc'), 4))).toBe(code);
      const { note } = replay.entry(entry);
      expect(note === undefined ? undefined : replay.head.strings[note]).toBe(hop);
      if (hop !== undefined) hops++;
    }
    expect(compared).toBeGreaterThan(150);
    expect(hops).toBeGreaterThan(2);
  });

  it('is in the same state however a moment is reached', async () => {
    const { recording } = await recordScenario(demoScenario(architecture));
    const { entries } = recording.head;
    const straight = new Replay(recording);
    const wandering = new Replay(recording);
    const start = stateOf(wandering);
    for (const part of [0.9, 0.1, 0.5, 1, 0.3, 0.7]) {
      const moment = Math.floor(entries * part);
      wandering.goTo(moment);
      const fresh = new Replay(recording);
      fresh.goTo(moment);
      expect(stateOf(wandering)).toBe(stateOf(fresh));
    }
    straight.goTo(entries + 1000);
    expect(straight.moment).toBe(entries);
    expect(stateOf(straight)).not.toBe(start);
    straight.goTo(-3);
    expect(stateOf(straight)).toBe(start);
  });
});

describe('what is recorded', () => {
  const scenario = defineScenario('patched and reverted', async ({ expect: holds }) => {
    const lab = await Lab.boot({ architecture: 'x64' });
    await lab.loadImage(fixture('x64/hpimport.dll'));
    const demo = await lab.loadImage(fixture('x64/base/demo.dll'));
    const patch = await lab.loadHotPatch(fixture('x64/patch/demo_hp.dll'));
    holds(lab.call(demo.symbol('leaf_opaque'))).toBe(43);
    lab.unloadHotPatch(patch);
    holds(lab.call(demo.symbol('leaf_opaque'))).toBe(42);
  });

  async function recorded(): Promise<{ recording: Recording; replay: Replay }> {
    const { recording } = await recordScenario(scenario);
    return { recording, replay: new Replay(recording) };
  }

  it('every store of the engine changes, at its own step, just the bytes that it names', async () => {
    const { recording, replay } = await recorded();
    const stores = recording.head.events.filter(({ store }) => store !== undefined);
    expect(stores.length).toBeGreaterThan(20);
    for (const { entry, store } of stores) {
      if (store === undefined) continue;
      const length = store.bytes.length / 2;
      replay.goTo(entry);
      expect(hex(replay.read(0, BigInt(store.address), length))).toBe(store.before);
      replay.goTo(entry + 1);
      expect(hex(replay.read(0, BigInt(store.address), length))).toBe(store.bytes);
      const changed = replay.changed(0, BigInt(store.address) - 8n, length + 16);
      const differs = Array.from({ length: length + 16 }, (_, index) => {
        const at = 2 * (index - 8);
        return store.before.slice(at, at + 2) !== store.bytes.slice(at, at + 2) && at >= 0 && at < 2 * length;
      });
      expect(changed).toEqual(differs);
    }
  });

  it('the HPAT is reserved without memory, then committed; the undo table fills and empties', async () => {
    const { recording, replay } = await recorded();
    const { images, undo, events, trampolines } = recording.head;
    const demo = images.findIndex(({ name }) => name === 'demo.dll');
    const base = BigInt(images[demo]?.hpat?.base ?? 0);
    const committed = events.find(({ text }) => text.includes('HPAT of demo.dll gets memory'));
    replay.goTo(committed?.entry ?? 0);
    expect(replay.page(0, base).state).toBe('reserved');
    replay.goTo((committed?.entry ?? 0) + 1);
    expect(replay.page(0, base)).toMatchObject({ state: 'committed', protection: 5 });
    expect(replay.page(0, base + 0x1000n)).toMatchObject({ state: 'committed', protection: 1 });

    const saved = undo.filter(({ rva }) => rva !== undefined);
    const cleared = undo.filter(({ rva }) => rva === undefined);
    expect(saved.length).toBe(trampolines.filter(({ image }) => image === demo).length);
    expect(cleared.map(({ slot }) => slot).sort()).toEqual(saved.map(({ slot }) => slot).sort());
  });

  it('every form that a patched function had: its own code, the jumps, and what they left over', async () => {
    const { recording } = await recorded();
    const leaf = recording.head.code.find(({ name }) => name === 'demo!leaf_opaque');
    const texts = leaf?.lines.map(([, bytes, text]) => `${bytes} ${text}`) ?? [];
    expect(texts).toContain('b82a000000 mov     eax,2Ah');
    expect(texts).toContain('cccccccccccc padding of 6 bytes, never executed');
    expect(texts.some((text) => /^ebf9 jmp {5}demo!leaf_opaque-0x5 /.test(text))).toBe(true);
    expect(texts.some((text) => /^e9\w{8} jmp {5}demo!HPAT\[\d\]\.code /.test(text))).toBe(true);
    expect(texts).toContain('000000 rest of the first instruction, never executed');
  });

  it('no more instructions than asked for; the run goes on to its end', async () => {
    const { recording, result } = await recordScenario(demoScenario('x64'), { limit: 50 });
    expect(result.error).toBeUndefined();
    expect(result.expectations).toBe(1);
    expect(recording.head).toMatchObject({ instructions: 50, limit: 50 });
    const replay = new Replay(recording);
    replay.goTo(recording.head.entries);
    expect(replay.last?.kind).toBe('instruction');
  });

  it('no more than a few bytes for each instruction', async () => {
    const long = defineScenario('long', async () => {
      const lab = await Lab.boot({ architecture: 'x64' });
      await lab.loadImage(fixture('x64/hpimport.dll'));
      const demo = await lab.loadImage(fixture('x64/base/demo.dll'));
      lab.call(demo.symbol('fib'), [14]);
    });
    const { recording } = await recordScenario(long);
    const { instructions } = recording.head;
    expect(instructions).toBeGreaterThan(10_000);
    expect(recording.stream.length / instructions).toBeLessThan(16);
    expect(deflateRawSync(packRecording(recording)).length / instructions).toBeLessThan(8);
  });

  it('only what happened up to an error, which is told', async () => {
    const failing = defineScenario('fails', async ({ expect: holds }) => {
      const lab = await Lab.boot({ architecture: 'x64' });
      const demo = await lab.loadImage(fixture('x64/hpimport.dll'));
      holds(demo.sizeOfImage).toBe(1);
    });
    const { recording, result } = await recordScenario(failing);
    expect(result.error).toBeDefined();
    expect(recording.head.error).toMatch(/^expected .* to be 1$/);
    expect(recording.head.images.map(({ name }) => name)).toEqual(['hpimport.dll']);
  });
});
