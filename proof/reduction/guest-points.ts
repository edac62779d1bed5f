import { createHash } from 'node:crypto';
import {
  type Machine,
  type MachineSnapshot,
  PAGE_SIZE,
  type PageTable,
  type Processor,
} from '../../cpu/index.js';
import type { Thread } from '../../loader/index.js';
import type { CodeMemory } from '../explore/code-memory.js';
import type { RunThrough } from './run.js';

/** The state of a call at a place where others can notice what it does next. */
export interface GuestPoint {
  readonly role: number;
  /** Different for each state of the role. */
  readonly id: number;
  readonly pc: bigint;
  readonly snapshot: MachineSnapshot;
  /** KIRQL of the thread. */
  readonly irql: number;
  /** What of the changed pages is in the snapshot's memory. */
  readonly contents: readonly number[];
  /** What was executed from here. */
  readonly runs: RunThrough[];
}

type Mask = readonly { readonly start: number; readonly end: number }[];

export interface GuestPointsOptions {
  readonly machine: Machine;
  readonly processor: Processor;
  readonly thread: Thread;
  readonly role: number;
  readonly memory: CodeMemory;
  /** Addresses whose contents belong to the engine, or to all processors together. */
  readonly foreign: Iterable<bigint>;
}

/**
 * Every state of one call that was met, by number: registers and all memory, less what belongs to the engine or to all
 * processors, and what lies below the stack pointer.
 */
export class GuestPoints {
  readonly #points: GuestPoint[] = [];
  readonly #ids = new Map<string, number>();
  readonly #base: MachineSnapshot;
  /** By frame: bytes that are not the call's. */
  readonly #foreign = new Map<number, Mask>();
  readonly #hashes = new WeakMap<Uint8Array, string>();
  readonly #tables = new WeakMap<object, string>();

  constructor(private readonly options: GuestPointsOptions) {
    const { machine, processor, foreign } = options;
    this.#base = machine.snapshot();
    const offsets = new Map<number, number[]>();
    for (const address of foreign) {
      const { frame } = processor.addressSpace.query(address);
      if (frame === undefined) continue;
      const list = offsets.get(frame) ?? [];
      list.push(Number(address & 0xfffn));
      offsets.set(frame, list);
    }
    for (const [frame, list] of offsets)
      this.#foreign.set(
        frame,
        list.map((start) => ({ start, end: start + 1 })),
      );
  }

  get count(): number {
    return this.#points.length;
  }

  point(id: number): GuestPoint {
    const point = this.#points[id];
    if (point === undefined) throw new RangeError(`there is no point ${id}`);
    return point;
  }

  /** The state that the machine is in now. */
  current(): GuestPoint {
    const { machine, processor, thread, role, memory } = this.options;
    const snapshot = machine.snapshot();
    const key = this.#keyOf(snapshot);
    const known = this.#ids.get(key);
    const point = known === undefined ? undefined : this.#points[known];
    if (point !== undefined) return point;
    const made: GuestPoint = {
      role,
      id: this.#points.length,
      pc: processor.pc,
      snapshot,
      irql: thread.irql,
      contents: memory.contents,
      runs: [],
    };
    this.#points.push(made);
    this.#ids.set(key, made.id);
    return made;
  }

  /** Hash of everything that decides what the call does next. */
  key(): string {
    return this.#keyOf(this.options.machine.snapshot());
  }

  #keyOf(snapshot: MachineSnapshot): string {
    const { processor, thread } = this.options;
    const hash = createHash('sha1');
    const state = snapshot.processors[processor.index];
    const registers = state === undefined ? [] : processor.registersOf(state.context);
    hash.update(
      registers instanceof BigUint64Array
        ? new Uint8Array(registers.buffer, registers.byteOffset, registers.byteLength)
        : '',
    );
    hash.update(`${thread.irql}`);
    const below = this.#belowStack();
    const frames = Math.max(snapshot.pages.length, this.#base.pages.length);
    for (let frame = 0; frame < frames; frame++) {
      const [now, before] = [snapshot.pages[frame], this.#base.pages[frame]];
      if (now === before || snapshot.allocator.references[frame] === 0) continue;
      const mask = [...(this.#foreign.get(frame) ?? []), ...(below.get(frame) ?? [])];
      const [a, b] = [this.#hash(now, mask), this.#hash(before, mask)];
      if (a !== b) hash.update(`${frame} ${a}`);
    }
    for (const [table, contents] of snapshot.tables)
      if (contents !== this.#base.tables.get(table)) hash.update(this.#tableKey(table, contents));
    for (const [part, saved] of snapshot.parts) {
      const [now, before] = [part.describe(saved), part.describe(this.#base.parts.get(part) ?? saved)];
      if (now !== before) hash.update(`${part.name}: ${now}`);
    }
    return hash.digest('base64');
  }

  #hash(page: Uint8Array | undefined, mask: Mask): string {
    if (page === undefined) return this.#hash(ZEROES, mask);
    const known = mask.length === 0 ? this.#hashes.get(page) : undefined;
    if (known !== undefined) return known;
    let bytes = page;
    if (mask.length > 0) {
      bytes = page.slice();
      for (const { start, end } of mask) bytes.fill(0, start, end);
    }
    const digest = createHash('sha1').update(bytes).digest('base64');
    if (mask.length === 0) this.#hashes.set(page, digest);
    return digest;
  }

  #tableKey({ name }: PageTable, contents: { readonly entries: ReadonlyMap<number, object> }): string {
    const known = this.#tables.get(contents);
    if (known !== undefined) return known;
    const hash = createHash('sha1');
    for (const [page, entry] of [...contents.entries].sort(([a], [b]) => a - b))
      hash.update(`${page} ${Object.values(entry).join()};`);
    const key = `${name} ${hash.digest('base64')}`;
    this.#tables.set(contents, key);
    return key;
  }

  /** What lies below the stack pointer means nothing: interrupts overwrite it. */
  #belowStack(): Map<number, Mask> {
    const { processor, thread } = this.options;
    const { sp, addressSpace } = processor;
    const found = new Map<number, Mask>();
    if (!thread.stack.contains(sp)) return found;
    for (let at = thread.stack.base; at < sp; at += BigInt(PAGE_SIZE)) {
      const { frame } = addressSpace.query(at);
      const end = Number(sp - at > BigInt(PAGE_SIZE) ? PAGE_SIZE : sp - at);
      if (frame !== undefined) found.set(frame, [{ start: 0, end }]);
    }
    return found;
  }
}

const ZEROES = new Uint8Array(PAGE_SIZE);
