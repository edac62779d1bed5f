import { type ArchitectureName, type Disassembler, instructionLength } from '../../cpu/index.js';
import type { CodeFacts, TrampolineFacts } from '../recording/format.js';
import { hex } from './catalogue.js';
import { digits } from './engine-tracker.js';

export interface RangePlace {
  readonly name: string;
  readonly domain: number;
  readonly image?: number;
  readonly start: bigint;
  readonly entry: bigint;
  readonly end: bigint;
  /** Moment from which it is there. */
  readonly from: number;
  /** Of a function that is patched at some time. */
  readonly trampoline?: TrampolineFacts;
}

export interface Disassembly {
  readonly architecture: ArchitectureName;
  readonly disassembler: Disassembler;
  readonly symbol: (address: bigint) => string | undefined;
}

/** A function, or other code, with every instruction that was ever in it. */
export class CodeRange {
  readonly #lines = new Map<string, readonly [number, string, string]>();
  #original: Uint8Array | undefined;
  #seen = '';

  constructor(readonly place: RangePlace) {}

  /** Undefined when there was never any memory. */
  get facts(): CodeFacts | undefined {
    const { name, domain, image, start, entry, end } = this.place;
    if (this.#original === undefined) return undefined;
    return {
      name,
      domain,
      ...(image === undefined ? {} : { image }),
      start: hex(start),
      entry: hex(entry),
      end: hex(end),
      original: digits(this.#original),
      lines: [...this.#lines.values()].sort(([a], [b]) => a - b),
    };
  }

  /** Its bytes as they are now; too few when there is no memory. */
  see(bytes: Uint8Array, disassembly: Disassembly): void {
    const { start, end, entry, trampoline } = this.place;
    const text = digits(bytes);
    if (text === this.#seen || bytes.length < Number(end - start)) return;
    this.#seen = text;
    this.#original ??= bytes.slice();
    const before = Number(entry - start);
    this.#seePadding(bytes.subarray(0, before), disassembly);
    const patched = trampoline === undefined ? 0 : patchedBytes(bytes.subarray(before), trampoline);
    const leftover =
      patched === 0 ? 0 : Math.max(0, this.#firstLength(disassembly.architecture, before) - patched);
    this.#disassemble(bytes, before, patched === 0 ? bytes.length : before + patched, disassembly);
    if (patched === 0) return;
    const rest = before + patched + leftover;
    if (leftover > 0)
      this.#add(
        before + patched,
        bytes.subarray(before + patched, rest),
        'rest of the first instruction, never executed',
      );
    this.#disassemble(bytes, rest, bytes.length, disassembly);
  }

  /** Filler that nothing executes, or the jump of a trampoline in it. */
  #seePadding(padding: Uint8Array, disassembly: Disassembly): void {
    if (padding.length === 0) return;
    const used = this.place.trampoline?.paddingSize ?? 0;
    const jump = padding.length - used;
    const [first] = padding;
    if (padding.every((byte) => byte === first))
      this.#add(0, padding, `padding of ${padding.length} bytes, never executed`);
    else {
      if (jump > 0) this.#add(0, padding.subarray(0, jump), 'padding');
      this.#disassemble(padding, jump, padding.length, disassembly);
    }
  }

  /** Length of the instruction that the entry began with. */
  #firstLength(architecture: ArchitectureName, before: number): number {
    const original = this.#original?.subarray(before) ?? new Uint8Array();
    const bytes = original.slice();
    const { trampoline } = this.place;
    if (trampoline !== undefined) bytes.set(Buffer.from(trampoline.originalEntry, 'hex'));
    return instructionLength(architecture, bytes, this.place.entry);
  }

  #disassemble(bytes: Uint8Array, from: number, to: number, disassembly: Disassembly): void {
    const { architecture, disassembler, symbol } = disassembly;
    const address = this.place.start + BigInt(from);
    for (const line of disassembler(architecture, bytes.subarray(from, to), address, { symbol }))
      this.#add(Number(line.address - this.place.start), line.bytes, line.text);
  }

  #add(offset: number, bytes: Uint8Array, text: string): void {
    const key = `${offset} ${digits(bytes)}`;
    if (!this.#lines.has(key)) this.#lines.set(key, [offset, digits(bytes), text]);
  }
}

/** How many bytes of its entry are a jump of the trampoline; 0 when it is as it was. */
function patchedBytes(bytes: Uint8Array, { entrySize, originalEntry }: TrampolineFacts): number {
  return digits(bytes.subarray(0, entrySize)) === originalEntry ? 0 : entrySize;
}
