import { type RecordedArchitecture, UNKNOWN_LENGTH } from './architecture.js';
import type { CodeFacts, RecordingHead } from './format.js';
import type { Replay } from './replay.js';

export interface CodeRange {
  readonly index: number;
  readonly facts: CodeFacts;
  readonly start: bigint;
  readonly entry: bigint;
  readonly end: bigint;
  readonly space: number;
  readonly architecture: RecordedArchitecture;
}

export interface CodeLine {
  readonly address: bigint;
  readonly bytes: Uint8Array;
  readonly text: string;
  /** Of each byte: is it another one than before anything changed the code? */
  readonly differs: readonly boolean[];
  /** Of each byte: did the last entry change it? */
  readonly changed: readonly boolean[];
}

interface KnownLine {
  readonly bytes: Uint8Array;
  readonly text: string;
}

/** The code of a recording: which function is where, and what its bytes mean at a moment. */
export class CodeBook {
  readonly ranges: readonly CodeRange[];
  readonly #lines = new Map<CodeRange, ReadonlyMap<number, readonly KnownLine[]>>();

  constructor(private readonly head: RecordingHead) {
    this.ranges = head.code.map((facts, index) => ({
      index,
      facts,
      start: BigInt(facts.start),
      entry: BigInt(facts.entry),
      end: BigInt(facts.end),
      space: head.domains[facts.domain]?.space ?? 0,
      architecture: head.domains[facts.domain]?.architecture ?? 'x64',
    }));
  }

  /** The function, or other code, that code of a domain sees at an address. */
  at(domain: number, address: bigint): CodeRange | undefined {
    const visible = this.head.domains[domain]?.visible ?? [];
    return this.ranges.find(
      ({ facts, start, end }) => address >= start && address < end && visible.includes(facts.domain),
    );
  }

  /** Its instructions as memory holds them at the replay's moment; empty when there is no memory. */
  lines(range: CodeRange, replay: Replay): CodeLine[] {
    const length = Number(range.end - range.start);
    const bytes = replay.read(range.space, range.start, length);
    const original = bytesOf(range.facts.original);
    const changed = replay.changed(range.space, range.start, length);
    const lines: CodeLine[] = [];
    for (let offset = 0; offset < bytes.length; ) {
      const known = this.#lineAt(range, offset, bytes) ?? unknownLine(range, bytes.subarray(offset));
      const end = offset + known.bytes.length;
      lines.push({
        address: range.start + BigInt(offset),
        bytes: known.bytes,
        text: known.text,
        differs: [...known.bytes].map((byte, index) => byte !== original[offset + index]),
        changed: changed.slice(offset, end),
      });
      offset = end;
    }
    return lines;
  }

  /** The instruction at an address. */
  line(range: CodeRange, address: bigint, replay: Replay): CodeLine | undefined {
    return this.lines(range, replay).find((line) => line.address === address);
  }

  /** The longest known instruction that these bytes begin with. */
  #lineAt(range: CodeRange, offset: number, bytes: Uint8Array): KnownLine | undefined {
    const lines = this.#lines.get(range) ?? knownLines(range.facts);
    this.#lines.set(range, lines);
    return lines
      .get(offset)
      ?.find((line) => line.bytes.every((byte, index) => bytes[offset + index] === byte));
  }
}

function knownLines({ lines }: CodeFacts): ReadonlyMap<number, readonly KnownLine[]> {
  const known = new Map<number, KnownLine[]>();
  for (const [offset, bytes, text] of lines) {
    const here = known.get(offset) ?? [];
    here.push({ bytes: bytesOf(bytes), text });
    known.set(offset, here);
  }
  for (const here of known.values()) here.sort((a, b) => b.bytes.length - a.bytes.length);
  return known;
}

function unknownLine({ architecture }: CodeRange, rest: Uint8Array): KnownLine {
  const bytes = rest.slice(0, UNKNOWN_LENGTH[architecture]);
  return { bytes, text: `db      ${hexBytes(bytes)}` };
}

/** Of hexadecimal digits. */
export function bytesOf(digits: string): Uint8Array {
  return Uint8Array.from({ length: digits.length / 2 }, (_, index) =>
    Number.parseInt(digits.slice(2 * index, 2 * index + 2), 16),
  );
}

/** `eb f9` */
export function hexBytes(bytes: Iterable<number>): string {
  return [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join(' ');
}

/** An instruction's text in one column, without the addresses that stand behind names. */
export function plainText(text: string): string {
  return text.replace(/ \((?:[0-9a-f]{8}`)?[0-9a-f]{8}\)/g, '').replace(/\s+/g, ' ');
}
