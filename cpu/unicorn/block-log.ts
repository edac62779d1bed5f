import { CpuError } from '../error.js';
import { type BlockHooks, blockHooks } from './block-hook.js';
import { koffi } from './koffi.js';
import type { HostPointer } from './library.js';

/** A translated block of guest code, as the engine executes it. */
export interface Block {
  readonly address: bigint;
  readonly bytes: Uint8Array;
  readonly instructions: number;
  /** Of the mode in which it was translated. */
  readonly bits: number;
}

/** Why the hook stopped the engine in front of a block. */
export type Pause = 'limit' | 'unknown' | 'full';

/** 64-bit words of the slot that the hook and this class share; scripts/host-code/blocks-x64.s describes them. */
const SLOT = {
  left: 0,
  reason: 1,
  table: 2,
  mask: 3,
  log: 4,
  logEnd: 5,
  last: 6,
  address: 7,
  size: 8,
  stop: 9,
} as const;
const WORDS = 10;
const REASONS: readonly (Pause | undefined)[] = [undefined, 'limit', 'unknown', 'full'];
const NO_BLOCK = 0xffff_ffff;

/** Of an entry of the table: address, size in bytes, instructions, identity. */
const ENTRY = 16;
const FIRST_ENTRIES = 1024;
/** Of the hash (2^32 divided by the golden ratio). */
const MULTIPLIER = 0x9e37_79b1;
/** Bytes of no block. */
const REMOVED = 0xffff;
/** Identities after which all are forgotten, with the next run. */
const MOST_BLOCKS = 200_000;
const LOG_ENTRIES = 65_536;
const IDENTITY_SIZE = 4;

/** What was found in a virtual page. */
interface KnownPage {
  /** Where it lies now. */
  frame: number;
  readonly byFrame: Map<number, number[]>;
}

/**
 * Counts the instructions of an engine by the blocks that it enters, in machine code of the host, and notes which they
 * were. What a block holds is learned when Unicorn has translated it; one that is not known stops the engine.
 */
export class BlockLog {
  readonly #hooks: BlockHooks;
  readonly #words = new BigUint64Array(new ArrayBuffer(WORDS * 8));
  readonly #halves = new Uint32Array(this.#words.buffer);
  #table = new BigUint64Array(0);
  #fields = new Uint16Array(0);
  #identities = new Uint32Array(0);
  #entries = 0;
  #log = new Uint32Array(0);
  #logStart = 0n;
  #limit = 0;
  /** The identity of the block entered last, when the table has been made anew since. */
  #lastIdentity = NO_BLOCK;
  #blocks: Block[] = [];
  /** By virtual page. */
  readonly #pages = new Map<number, KnownPage>();
  #isAmbiguous = false;

  /** `stop`: the address of uc_emu_stop. */
  constructor(stop: HostPointer) {
    const hooks = blockHooks();
    if (hooks === undefined)
      throw new CpuError('noHostCode', 'this process cannot have machine code of its own', {
        status: 'STATUS_INVALID_DEVICE_STATE',
      });
    this.#hooks = hooks;
    this.#words[SLOT.stop] = stop;
    this.#makeTable(FIRST_ENTRIES);
  }

  /** Whether this process can have the hook. */
  static get isPossible(): boolean {
    return blockHooks() !== undefined;
  }

  /** The callback that does what {@link isLogging} says. */
  get hook(): HostPointer {
    return this.isLogging ? this.#hooks.log : this.#hooks.count;
  }

  /** The user data of the hook; stays where it is. */
  get slot(): BigUint64Array {
    return this.#words;
  }

  /** Before the engine starts: it may execute so many instructions. */
  begin(limit: number): void {
    if (this.#blocks.length > MOST_BLOCKS && this.#log.length === 0) this.#forgetEverything();
    this.#limit = limit;
    this.#halves[2 * SLOT.left] = limit >>> 0;
    this.#halves[2 * SLOT.left + 1] = Math.floor(limit / 2 ** 32);
    this.#halves[2 * SLOT.reason] = 0;
    this.#words[SLOT.last] = 0n;
    this.#lastIdentity = NO_BLOCK;
  }

  /** Instructions of the blocks entered since {@link begin}, as if the last one had been executed to its end. */
  get entered(): number {
    const left = (this.#halves[2 * SLOT.left] ?? 0) + (this.#halves[2 * SLOT.left + 1] ?? 0) * 2 ** 32;
    return this.#limit - left;
  }

  /** The block entered last since {@link begin}. */
  get last(): Block | undefined {
    this.#noteLast();
    return this.#blocks[this.#lastIdentity];
  }

  #noteLast(): void {
    const last = this.#words[SLOT.last] ?? 0n;
    if (last === 0n) return;
    const at = Number(last - (this.#words[SLOT.table] ?? 0n)) / ENTRY;
    this.#lastIdentity = this.#identities[at * 4 + 3] ?? NO_BLOCK;
  }

  get pause(): Pause | undefined {
    return REASONS[this.#halves[2 * SLOT.reason] ?? 0];
  }

  /** The block in front of which the engine stopped, because it is not known. */
  get unknown(): { readonly address: bigint; readonly size: number } {
    return { address: this.#words[SLOT.address] ?? 0n, size: this.#halves[2 * SLOT.size] ?? 0 };
  }

  /** Whether blocks of two modes lie at one place, so that an address does not tell what is executed. */
  get isAmbiguous(): boolean {
    return this.#isAmbiguous;
  }

  /** What lies at a place from now on; its pages must have been told to {@link fetches}. */
  learn(block: Block): void {
    const { address, bytes } = block;
    const at = this.#find(address, bytes.byteLength);
    if (at !== undefined) {
      const known = this.#blocks[this.#identities[at * 4 + 3] ?? NO_BLOCK];
      if (known !== undefined && known.bits !== block.bits) this.#isAmbiguous = true;
      if (known !== undefined && Buffer.compare(known.bytes, bytes) === 0) return;
    }
    const identity = this.#blocks.push(block) - 1;
    if (at === undefined) this.#insert(block, identity);
    else this.#set(at, block, identity);
    const first = pageOf(address);
    const last = pageOf(address + BigInt(bytes.byteLength - 1));
    for (let page = first; page <= last; page++) {
      const known = this.#pages.get(page);
      known?.byFrame.get(known.frame)?.push(identity);
    }
  }

  /** The engine is about to fetch from a frame: what another frame held at the virtual page does not count any more. */
  fetches(page: number, frame: number): void {
    const known = this.#pages.get(page);
    if (known === undefined) {
      this.#pages.set(page, { frame, byFrame: new Map([[frame, []]]) });
      return;
    }
    if (known.frame === frame) return;
    for (const identity of known.byFrame.get(known.frame) ?? []) this.#remove(identity);
    known.frame = frame;
    const before = known.byFrame.get(frame);
    if (before === undefined) known.byFrame.set(frame, []);
    for (const identity of before ?? []) this.#restore(identity);
  }

  /** Whether the blocks entered are noted, for {@link takeLog}; {@link hook} is another one then. */
  get isLogging(): boolean {
    return this.#log.length > 0;
  }

  set isLogging(isLogging: boolean) {
    if (isLogging === this.isLogging) return;
    this.#log = new Uint32Array(new ArrayBuffer(isLogging ? LOG_ENTRIES * IDENTITY_SIZE : 0));
    this.#logStart = isLogging ? BigInt(koffi().address(this.#log)) : 0n;
    this.#words[SLOT.log] = this.#logStart;
    this.#words[SLOT.logEnd] = this.#logStart + BigInt(this.#log.byteLength);
  }

  /** The blocks entered since the last call, by their places in {@link blocks}. */
  takeLog(): Uint32Array {
    const entries = Number((this.#words[SLOT.log] ?? 0n) - this.#logStart) / IDENTITY_SIZE;
    this.#words[SLOT.log] = this.#logStart;
    return this.#log.slice(0, entries);
  }

  /** By identity; not changed any more, only added to. */
  get blocks(): readonly Block[] {
    return this.#blocks;
  }

  /** Forgets what was learned, for the next machine. */
  clear(): void {
    this.#isAmbiguous = false;
    this.#pages.clear();
    this.#blocks = [];
    this.#makeTable(FIRST_ENTRIES);
  }

  #forgetEverything(): void {
    this.#blocks = [];
    for (const known of this.#pages.values()) {
      known.byFrame.clear();
      known.byFrame.set(known.frame, []);
    }
    this.#makeTable(FIRST_ENTRIES);
  }

  #makeTable(entries: number): void {
    this.#noteLast();
    this.#words[SLOT.last] = 0n;
    this.#table = new BigUint64Array(new ArrayBuffer(entries * ENTRY));
    this.#fields = new Uint16Array(this.#table.buffer);
    this.#identities = new Uint32Array(this.#table.buffer);
    this.#entries = 0;
    this.#words[SLOT.table] = BigInt(koffi().address(this.#table));
    this.#words[SLOT.mask] = BigInt((entries - 1) * ENTRY);
  }

  #size(at: number): number {
    return this.#fields[at * 8 + 4] ?? 0;
  }

  #find(address: bigint, size: number): number | undefined {
    for (let at = this.#home(address); ; at = (at + 1) & this.#mask) {
      const found = this.#size(at);
      if (found === 0) return undefined;
      if (found === size && this.#table[at * 2] === address) return at;
    }
  }

  get #mask(): number {
    return this.#table.length / 2 - 1;
  }

  #home(address: bigint): number {
    const low = Number(address & 0xffff_ffffn);
    return ((Math.imul(low, MULTIPLIER) >>> 8) / ENTRY) & this.#mask;
  }

  #insert(block: Block, identity: number): void {
    if ((this.#entries + 1) * 2 > this.#mask) this.#grow();
    let at = this.#home(block.address);
    while (this.#size(at) !== 0) at = (at + 1) & this.#mask;
    this.#entries += 1;
    this.#set(at, block, identity);
  }

  #set(at: number, { address, bytes, instructions }: Block, identity: number): void {
    this.#table[at * 2] = address;
    this.#fields[at * 8 + 4] = bytes.byteLength;
    this.#fields[at * 8 + 5] = instructions;
    this.#identities[at * 4 + 3] = identity;
  }

  #grow(): void {
    const fields = this.#fields;
    const identities = this.#identities;
    const kept: number[] = [];
    for (let at = 0; at <= this.#mask; at++) {
      const size = fields[at * 8 + 4] ?? 0;
      if (size !== 0 && size !== REMOVED) kept.push(identities[at * 4 + 3] ?? NO_BLOCK);
    }
    let entries = FIRST_ENTRIES;
    while (entries < kept.length * 4) entries *= 2;
    this.#makeTable(entries);
    for (const identity of kept) this.#insertKnown(identity);
  }

  #insertKnown(identity: number): void {
    const block = this.#blocks[identity];
    if (block !== undefined) this.#insert(block, identity);
  }

  /** Of a block in two pages nobody knows whether the other one is what it was. */
  #restore(identity: number): void {
    const block = this.#blocks[identity];
    if (block === undefined) return;
    const { address, bytes } = block;
    if (pageOf(address) !== pageOf(address + BigInt(bytes.byteLength - 1))) return;
    const at = this.#find(address, bytes.byteLength);
    if (at === undefined) this.#insert(block, identity);
    else this.#set(at, block, identity);
  }

  #remove(identity: number): void {
    const block = this.#blocks[identity];
    const at = block && this.#find(block.address, block.bytes.byteLength);
    if (at === undefined || this.#identities[at * 4 + 3] !== identity) return;
    this.#fields[at * 8 + 4] = REMOVED;
  }
}

const pageOf = (address: bigint): number => Number(address >> 12n);
