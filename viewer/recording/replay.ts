import { ByteReader } from './bytes.js';
import { type Entry, type Page, readEntry, skimEntry, unpackPage } from './entry.js';
import type { Recording, RecordingHead, SliceFacts, ThreadFacts } from './format.js';

const PAGE_SIZE = 0x1000;
const PAGE_SHIFT = 12n;
const FREE = unpackPage(0);

/** The machines of a recording at one of its moments. Every change is kept as a difference, so it goes both ways. */
export class Replay {
  readonly head: RecordingHead;
  /** Of the instruction that each entry is; 0 for those that are none. */
  readonly addresses: BigUint64Array;
  /** Of each entry, an index into the recording's strings; -1 for those without a note. */
  readonly notes: Int32Array;
  readonly #reader: ByteReader;
  /** Where each entry begins in the stream. */
  readonly #starts: Uint32Array;
  /** Instructions among the entries before each one. */
  readonly #executed: Uint32Array;
  readonly #registers: readonly Uint32Array[];
  readonly #frames: Uint8Array[] = [];
  readonly #pages: readonly Map<number, number>[];
  #moment = 0;
  #last: Entry | undefined;

  /** @throws Error when the stream does not hold the entries that the head counts */
  constructor({ head, stream }: Recording) {
    this.head = head;
    this.addresses = new BigUint64Array(head.entries);
    this.notes = new Int32Array(head.entries).fill(-1);
    this.#reader = new ByteReader(stream);
    this.#starts = new Uint32Array(head.entries + 1);
    this.#executed = new Uint32Array(head.entries + 1);
    this.#registers = head.processors.map(({ registers }) => new Uint32Array(registers.length * 2));
    this.#pages = head.tables.map(() => new Map());
    this.#index();
  }

  /** Entries that have happened. */
  get moment(): number {
    return this.#moment;
  }

  /** What led to this moment; undefined at the start. */
  get last(): Entry | undefined {
    return this.#last;
  }

  /** Goes to a moment, later or earlier; one outside the run becomes the nearest one in it. */
  goTo(moment: number): void {
    const wanted = Math.max(0, Math.min(Math.trunc(moment), this.head.entries));
    while (this.#moment < wanted) this.#apply(this.entry(this.#moment++));
    while (this.#moment > wanted) this.#apply(this.entry(--this.#moment));
    this.#last = wanted === 0 ? undefined : this.entry(wanted - 1);
  }

  entry(index: number): Entry {
    this.#reader.position = this.#starts[index] ?? 0;
    return readEntry(this.#reader);
  }

  /** By name, `pc` or `sp`; 0 when the processor has no such register. */
  register(processor: number, name: string): bigint {
    const facts = this.head.processors[processor];
    const wanted = name === 'pc' ? facts?.programCounter : name === 'sp' ? facts?.stackPointer : name;
    return this.registerAt(processor, facts?.registers.indexOf(wanted ?? '') ?? -1);
  }

  registerAt(processor: number, index: number): bigint {
    const halves = this.#registers[processor];
    return (BigInt(halves?.[2 * index + 1] ?? 0) << 32n) | BigInt(halves?.[2 * index] ?? 0);
  }

  /** Did the last entry change it? */
  registerChanged(processor: number, index: number): boolean {
    const last = this.#last;
    return last?.processor === processor && last.registers.some(({ half }) => half >> 1 === index);
  }

  /** The last slice that began at this moment or before. */
  slice(moment = this.#moment): SliceFacts | undefined {
    return lastUntil(this.head.slices, moment - 1);
  }

  /** Which thread a processor runs, or ran last; undefined before its first one. */
  threadOn(processor: number): ThreadFacts | undefined {
    const slice = this.head.slices.findLast(
      (candidate) => candidate.processor === processor && candidate.from < this.#moment,
    );
    return slice === undefined ? undefined : this.head.threads[slice.thread];
  }

  /** As `hotpatch step` writes it, `1F:A`; undefined before the first instruction. */
  get position(): string | undefined {
    const slice = this.slice();
    if (slice === undefined) return undefined;
    const steps = (this.#executed[this.#moment] ?? 0) - (this.#executed[slice.from] ?? 0);
    return `${slice.sequence.toString(16).toUpperCase()}:${steps.toString(16).toUpperCase()}`;
  }

  /** Instructions executed before a moment. */
  instructions(moment = this.#moment): number {
    return this.#executed[moment] ?? 0;
  }

  page(space: number, address: bigint): Page {
    const number = Number(BigInt.asUintN(64, address) >> PAGE_SHIFT);
    for (const table of this.tablesOf(space)) {
      const facts = this.head.tables[table];
      if (facts === undefined || number < facts.firstPage || number > facts.lastPage) continue;
      const packed = this.#pages[table]?.get(number - facts.firstPage);
      return packed === undefined ? FREE : unpackPage(packed);
    }
    return FREE;
  }

  tablesOf(space: number): readonly number[] {
    return lastUntil(this.head.spaces[space]?.tables ?? [], this.#moment)?.tables ?? [];
  }

  /** Pages of a table that are not free, with their numbers (address / 4096), in order. */
  pages(table: number): (readonly [number: number, page: Page])[] {
    const first = this.head.tables[table]?.firstPage ?? 0;
    return [...(this.#pages[table] ?? [])]
      .sort(([a], [b]) => a - b)
      .map(([number, packed]) => [first + number, unpackPage(packed)] as const);
  }

  /** As many of `length` bytes as there are; memory that was given and not touched yet reads as zeros. */
  read(space: number, address: bigint, length: number): Uint8Array {
    const bytes = new Uint8Array(length);
    for (let done = 0; done < length; ) {
      const at = address + BigInt(done);
      const { state, frame } = this.page(space, at);
      if (state !== 'committed') return bytes.subarray(0, done);
      const offset = Number(at & 0xfffn);
      const count = Math.min(PAGE_SIZE - offset, length - done);
      const contents = frame === undefined ? undefined : this.#frames[frame];
      if (contents !== undefined) bytes.set(contents.subarray(offset, offset + count), done);
      done += count;
    }
    return bytes;
  }

  /** Which of these bytes the last entry changed. */
  changed(space: number, address: bigint, length: number): readonly boolean[] {
    const changes = this.#last?.memory ?? [];
    if (changes.length === 0) return Array.from({ length }, () => false);
    return Array.from({ length }, (_, index) => {
      const at = address + BigInt(index);
      const offset = Number(at & 0xfffn);
      const { frame } = this.page(space, at);
      return changes.some(
        (change) => change.frame === frame && (change.difference[offset - change.offset] ?? 0) !== 0,
      );
    });
  }

  #apply({ processor, registers, memory, pages }: Entry): void {
    const halves = this.#registers[processor];
    if (halves !== undefined)
      for (const { half, difference } of registers) halves[half] = (halves[half] ?? 0) ^ difference;
    for (const { frame, offset, difference } of memory) {
      const contents = this.#frame(frame);
      for (let index = 0; index < difference.length; index++)
        contents[offset + index] = (contents[offset + index] ?? 0) ^ (difference[index] ?? 0);
    }
    for (const { table, page, difference } of pages) {
      const entries = this.#pages[table];
      const packed = ((entries?.get(page) ?? 0) ^ difference) >>> 0;
      if (packed === 0) entries?.delete(page);
      else entries?.set(page, packed);
    }
  }

  #frame(frame: number): Uint8Array {
    const contents = this.#frames[frame] ?? new Uint8Array(PAGE_SIZE);
    this.#frames[frame] = contents;
    return contents;
  }

  /** Reads every entry once: where each begins, and which instruction it is. */
  #index(): void {
    const { head } = this;
    const reader = this.#reader;
    const lower = head.processors.map(
      ({ registers, programCounter }) => 2 * registers.indexOf(programCounter),
    );
    const counters = new Uint32Array(head.processors.length * 2);
    const wide = new BigUint64Array(counters.buffer);
    const move = (processor: number, half: number, difference: number) => {
      const part = half - (lower[processor] ?? 0);
      const at = 2 * processor + part;
      if (part === 0 || part === 1) counters[at] = (counters[at] ?? 0) ^ difference;
    };
    // The counter before the entry is where its instruction was; those of the entry itself come while it is read.
    const before = wide.slice();
    reader.position = 0;
    for (let index = 0; index < head.entries; index++) {
      if (reader.atEnd) throw new Error(`the recording ends after ${index} of ${head.entries} entries`);
      this.#starts[index] = reader.position;
      const { kind, processor, note } = skimEntry(reader, move);
      const isInstruction = kind === 'instruction';
      if (isInstruction) this.addresses[index] = before[processor] ?? 0n;
      if (note !== undefined) this.notes[index] = note;
      this.#executed[index + 1] = (this.#executed[index] ?? 0) + (isInstruction ? 1 : 0);
      before[processor] = wide[processor] ?? 0n;
    }
  }
}

/** Of a list in the order of its moments, the last one that had begun at `moment`. */
export function lastUntil<T extends { readonly from: number }>(
  list: readonly T[],
  moment: number,
): T | undefined {
  let low = 0;
  let high = list.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((list[middle]?.from ?? 0) <= moment) low = middle + 1;
    else high = middle;
  }
  return list[low - 1];
}
