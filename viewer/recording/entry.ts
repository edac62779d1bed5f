import type { ByteReader, ByteWriter } from './bytes.js';

/**
 * One thing that happened: an instruction that a processor executed; an event of the transcript; or something that the
 * kernel model did in between, such as putting a thread on a processor.
 */
export type EntryKind = 'instruction' | 'event' | 'model';

/**
 * What an entry changed, as the exclusive or of old and new. Applied once it leads from the state before to the state
 * after; applied again it leads back.
 */
export interface Entry {
  readonly kind: EntryKind;
  /** Whose registers changed, as an index into the recording's processors; the one that executed the instruction. */
  readonly processor: number;
  /** Text about it, as an index into the recording's strings: the hop of a trampoline, or what the model did. */
  readonly note: number | undefined;
  readonly registers: readonly RegisterChange[];
  readonly memory: readonly MemoryChange[];
  readonly pages: readonly PageChange[];
}

/** 32 bits of a register: `half` is twice the register's index, plus 1 for the upper half. */
export interface RegisterChange {
  readonly half: number;
  readonly difference: number;
}

export interface MemoryChange {
  /** Number of a page's contents, counted over all machines of the recording. */
  readonly frame: number;
  readonly offset: number;
  readonly difference: Uint8Array;
}

export interface PageChange {
  readonly table: number;
  /** Counted from the table's first page. */
  readonly page: number;
  /** Between two of {@link packPage}. */
  readonly difference: number;
}

const KINDS: readonly EntryKind[] = ['instruction', 'event', 'model'];
const HAS_NOTE = 0x04;
const HAS_MEMORY = 0x08;
const HAS_PAGES = 0x10;
const PROCESSOR_SHIFT = 5;
const MANY_PROCESSORS = 7;

export function writeEntry(writer: ByteWriter, entry: Entry): void {
  const { kind, processor, note, registers, memory, pages } = entry;
  writer.byte(
    KINDS.indexOf(kind) |
      (note === undefined ? 0 : HAS_NOTE) |
      (memory.length === 0 ? 0 : HAS_MEMORY) |
      (pages.length === 0 ? 0 : HAS_PAGES) |
      (Math.min(processor, MANY_PROCESSORS) << PROCESSOR_SHIFT),
  );
  if (processor >= MANY_PROCESSORS) writer.number(processor);
  if (note !== undefined) writer.number(note);
  writer.number(registers.length);
  for (const { half, difference } of registers) {
    writer.number(half);
    writer.number(difference);
  }
  if (memory.length > 0) {
    writer.number(memory.length);
    for (const { frame, offset, difference } of memory) {
      writer.number(frame);
      writer.number(offset);
      writer.number(difference.length);
      writer.append(difference);
    }
  }
  if (pages.length > 0) {
    writer.number(pages.length);
    for (const { table, page, difference } of pages) {
      writer.number(table);
      writer.number(page);
      writer.number(difference);
    }
  }
}

export function readEntry(reader: ByteReader): Entry {
  const head = reader.byte();
  const few = head >> PROCESSOR_SHIFT;
  const processor = few === MANY_PROCESSORS ? reader.number() : few;
  const note = (head & HAS_NOTE) === 0 ? undefined : reader.number();
  const registers = list(reader, () => ({ half: reader.number(), difference: reader.number() }));
  const memory =
    (head & HAS_MEMORY) === 0
      ? []
      : list(reader, () => ({
          frame: reader.number(),
          offset: reader.number(),
          difference: reader.take(reader.number()),
        }));
  const pages =
    (head & HAS_PAGES) === 0
      ? []
      : list(reader, () => ({
          table: reader.number(),
          page: reader.number(),
          difference: reader.number(),
        }));
  return { kind: KINDS[head & 3] ?? 'model', processor, note, registers, memory, pages };
}

/** What is needed of every entry to find one's way in a recording, without making an {@link Entry} of each. */
export function skimEntry(
  reader: ByteReader,
  onRegister: (processor: number, half: number, difference: number) => void,
): Pick<Entry, 'kind' | 'processor' | 'note'> {
  const head = reader.byte();
  const few = head >> PROCESSOR_SHIFT;
  const processor = few === MANY_PROCESSORS ? reader.number() : few;
  const note = (head & HAS_NOTE) === 0 ? undefined : reader.number();
  for (let left = reader.number(); left > 0; left--) onRegister(processor, reader.number(), reader.number());
  if ((head & HAS_MEMORY) !== 0)
    for (let left = reader.number(); left > 0; left--) {
      reader.number();
      reader.number();
      reader.take(reader.number());
    }
  if ((head & HAS_PAGES) !== 0) for (let left = 3 * reader.number(); left > 0; left--) reader.number();
  return { kind: KINDS[head & 3] ?? 'model', processor, note };
}

function list<T>(reader: ByteReader, read: () => T): T[] {
  return Array.from({ length: reader.number() }, read);
}

/** A page of an address space. */
export interface Page {
  readonly state: 'free' | 'reserved' | 'committed';
  /** Index into {@link PROTECTIONS}; of committed pages. */
  readonly protection: number;
  /** Undefined: no memory yet, given at the first access. */
  readonly frame: number | undefined;
  readonly copyOnWrite: boolean;
  readonly guard: boolean;
  /** Simulated exports are here: a fetch leaves the guest. */
  readonly service: boolean;
}

/** Names of winnt.h. */
export const PROTECTIONS = [
  'PAGE_NOACCESS',
  'PAGE_READONLY',
  'PAGE_READWRITE',
  'PAGE_WRITECOPY',
  'PAGE_EXECUTE',
  'PAGE_EXECUTE_READ',
  'PAGE_EXECUTE_READWRITE',
  'PAGE_EXECUTE_WRITECOPY',
] as const;

const COMMITTED = 0x08;
const RESERVED = 0x10;
const COPY_ON_WRITE = 0x20;
const GUARD = 0x40;
const SERVICE = 0x80;
const FRAME_SHIFT = 8;

/** As one number below 2^32; 0 is a free page. */
export function packPage(page: Page): number {
  if (page.state === 'free') return 0;
  if (page.state === 'reserved') return RESERVED;
  return (
    (COMMITTED |
      page.protection |
      (page.copyOnWrite ? COPY_ON_WRITE : 0) |
      (page.guard ? GUARD : 0) |
      (page.service ? SERVICE : 0) |
      ((page.frame === undefined ? 0 : page.frame + 1) << FRAME_SHIFT)) >>>
    0
  );
}

export function unpackPage(packed: number): Page {
  const frame = packed >>> FRAME_SHIFT;
  return {
    state: (packed & COMMITTED) !== 0 ? 'committed' : (packed & RESERVED) !== 0 ? 'reserved' : 'free',
    protection: packed & 7,
    frame: frame === 0 ? undefined : frame - 1,
    copyOnWrite: (packed & COPY_ON_WRITE) !== 0,
    guard: (packed & GUARD) !== 0,
    service: (packed & SERVICE) !== 0,
  };
}
