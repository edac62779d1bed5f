import type { Exit, MemoryAccess, ModelAccess, RunOptions } from '../../cpu/index.js';
import type { ImageDomain } from '../../loader/index.js';
import type { ExecutedInstruction } from '../explore/executor.js';
import { BoundReached } from '../explore/state-set.js';
import type { ByteMap } from './byte-map.js';
import { type CallOptions, CHANGED, READ } from './run.js';
import type { Touch } from './touches.js';
import type { ChangedByte } from './visible.js';

/** Steps of one run, at most. */
export const MOST_STEPS = 30_000_000;
export const SLICE = 1 << 16;
/** A loop of so few steps is seen when it has gone round once. */
const SHORT_LOOP = 1 << 10;

export const LONGEST_INSTRUCTION = 15;

/** Ends a run before the instruction that an observer is told of. */
export class Stop extends Error {
  override readonly name = 'Stop';
}

/** The call that is looked at. */
export interface WatchedCall {
  readonly options: CallOptions;
  readonly data: ByteMap;
  readonly place: ImageDomain;
  describe(address: bigint): string;
  isOwn(address: bigint): boolean;
  isInTeb(address: bigint): boolean;
  isOwnPointer(value: bigint): boolean;
}

/** Looks on while a call runs, and ends the run before what others can notice. */
export class Watch {
  steps = 0;
  isOver = false;
  isEndless = false;
  knowsItself = false;
  /** What the first step waits for. */
  waitsFor: string | undefined;
  failure: string | undefined;
  interrupted = false;
  readonly read = new Map<bigint, ChangedByte>();
  firstTouch: number[] = [];
  readonly touches: Touch[] = [];
  /** Run again, and stop after so many steps: the one behind them can be noticed, which its accesses have shown. */
  stopAt: number | undefined;
  usesShared = false;
  /** Cells outside of its own memory that it has stored pointers into it in, and where it did. */
  readonly handedOver = new Map<bigint, bigint>();
  /** Not yet looked at for pointers. */
  readonly #written: { readonly address: bigint; readonly size: number }[] = [];
  /** Steps at the beginning of this piece of a run. */
  #base = 0;
  #serving = false;
  #last: { readonly first: number; readonly second: number } = { first: -1, second: -1 };
  #loop: { pc: bigint; until: number; key: string; tries: number } | undefined;
  #nextLoop = SLICE;

  constructor(
    private readonly runner: WatchedCall,
    private readonly limit: number,
    readonly first: ExecutedInstruction = { address: 0n, bytes: new Uint8Array() },
  ) {
    this.#noteFetch(first.address, first.bytes.length || LONGEST_INSTRUCTION);
  }

  segment(instructions: number): void {
    this.#base += instructions;
    this.steps = this.#base;
  }

  get left(): number {
    return this.limit - this.steps;
  }

  runSlice(options: RunOptions, run: (options: RunOptions) => Exit): Exit {
    const before = this.steps;
    this.#base = before;
    let exit: Exit;
    try {
      exit = run(options);
    } catch (error) {
      if (!(error instanceof Stop)) throw error;
      this.isOver = true;
      return this.#limitReached(before);
    }
    if (this.steps >= this.limit) {
      this.isOver = true;
      if (this.limit === MOST_STEPS) throw new BoundReached(`${MOST_STEPS} instructions without a stop`);
      if (exit.reason === 'instructionLimit') return exit;
      if (exit.reason !== 'exception' && exit.reason !== 'systemCall') return this.#limitReached(before);
    }
    return this.#decide(exit, before);
  }

  #decide(exit: Exit, before: number): Exit {
    const { options } = this.runner;
    switch (exit.reason) {
      case 'instructionLimit':
        return exit;
      case 'returned':
        if (options.thread.callouts.length > 0) return exit;
        this.isOver = true;
        return this.#limitReached(before);
      case 'serviceCall':
        if (this.#mustStop(exit.address, 1)) {
          this.isOver = true;
          return this.#limitReached(before);
        }
        this.#begin(exit.address, 1);
        this.#base += 1;
        this.#serving = true;
        this.knowsItself = true;
        return exit;
      case 'systemCall':
        this.#serving = true;
        this.knowsItself = true;
        return exit;
      case 'exception': {
        const { processor } = options;
        const at = exit.name === 'breakpoint' ? this.first.address : undefined;
        const resumption = at === undefined || this.steps > 1 ? undefined : options.handleBreakpoint?.(at);
        if (resumption !== undefined) {
          processor.pc = resumption.resumeAt;
          this.steps = 1;
          this.interrupted = true;
          this.isOver = true;
          return this.#limitReached(before);
        }
        break;
      }
      default:
    }
    if (exit.reason === 'fault') {
      const { instruction, access, address, cause } = exit.fault;
      this.#failInside(
        `fault at ${this.runner.describe(instruction)}: ${access} of ${this.runner.describe(address)} (${cause})`,
      );
    } else if (exit.reason === 'exception' && options.processor.pc === this.#current)
      this.#failInside(`${exit.name} at ${this.runner.describe(this.#current)}`);
    else
      this.fail(
        `${exit.reason === 'exception' ? exit.name : exit.reason} at ${this.runner.describe(this.#current)}`,
      );
    return this.#limitReached(before);
  }

  #limitReached(before: number): Exit {
    return { reason: 'instructionLimit', instructions: Math.max(0, this.steps - before) };
  }

  /** A simulated export has been served. */
  served(): void {
    if (!this.#serving) return;
    this.#serving = false;
    this.#lookAtWritten();
    if (this.stopAt !== undefined) this.isOver = true;
  }

  /** The last step waits, and nothing but what lies in memory ends that: it is done again as a first step. */
  waits(reason: string): void {
    if (this.steps > 1) this.stopAt ??= this.steps - 1;
    else this.waitsFor = reason;
    this.isOver = true;
  }

  /** The last step breaks the call. */
  fail(text: string): void {
    this.failure ??= text;
    this.isOver = true;
  }

  /** One that has not been completed does. */
  #failInside(text: string): void {
    this.fail(text);
    this.steps += 1;
  }

  #current = 0n;

  instruction(address: bigint, size: number): void {
    if (this.stopAt !== undefined || this.#mustStop(address, size)) throw new Stop();
    this.#begin(address, size);
  }

  /** Before the step at this address. */
  #mustStop(address: bigint, size: number): boolean {
    if (this.steps === 0) return false;
    if (this.steps >= this.limit) return true;
    const { visible } = this.runner.options;
    if (visible.isWatched(address)) {
      // Who comes to stand here does so by a step of its own.
      if (this.steps > 1) this.stopAt ??= this.steps - 1;
      return true;
    }
    if (visible.changed.any(address, size) !== 0) return true;
    return this.#goesRound(address);
  }

  #goesRound(address: bigint): boolean {
    const loop = this.#loop;
    if (loop === undefined || this.steps > loop.until) {
      if (this.steps < this.#nextLoop) return false;
      this.#nextLoop *= 2;
      this.#loop = { pc: address, until: this.steps + SHORT_LOOP, key: this.#registers(), tries: 0 };
      return false;
    }
    if (address !== loop.pc || loop.tries++ > 64 || this.#registers() !== loop.key) return false;
    this.isEndless = true;
    return true;
  }

  #registers(): string {
    return [...this.runner.options.processor.generalRegisters()].join();
  }

  #handOver(cell: bigint): void {
    if (!this.handedOver.has(cell)) this.handedOver.set(cell, this.#current);
  }

  /** Is there now a pointer to memory that only this call has in what it has written for others to see? */
  #lookAtWritten(): void {
    if (this.#written.length === 0) return;
    const { processor, place } = this.runner.options;
    const { pointerSize } = place.architecture;
    for (const { address, size } of this.#written.splice(0)) {
      const bytes = Buffer.from(processor.addressSpace.read(address, size));
      for (let at = 0; at + pointerSize <= size; at += pointerSize) {
        const value = pointerSize === 8 ? bytes.readBigUInt64LE(at) : BigInt(bytes.readUInt32LE(at));
        if (this.runner.isOwnPointer(value)) this.#handOver(address + BigInt(at));
      }
    }
  }

  #begin(address: bigint, size: number): void {
    this.#lookAtWritten();
    this.#current = address;
    this.#touch(address, size);
    this.steps += 1;
  }

  #touch(address: bigint, size: number): void {
    const { codePages } = this.runner.options.visible;
    if (codePages.size === 0) return;
    const first = codePages.get(Number(address >> 12n)) ?? -1;
    // The page of this instruction is fetched from when the one before it ends.
    if (this.steps > 0) this.#note(this.#last, first);
    const second = size < 2 ? first : (codePages.get(Number((address + BigInt(size - 1)) >> 12n)) ?? -1);
    this.#last = { first, second };
  }

  /** The step before the present one has touched these pages and this one. */
  #note({ first, second }: { readonly first: number; readonly second: number }, next: number): void {
    const pages = distinct([first, second, next]);
    if (this.steps === 1) {
      this.firstTouch = pages;
      return;
    }
    if (pages.length === 0) return;
    const last = this.touches.at(-1);
    if (last !== undefined && same(last.pages, pages)) this.touches.pop();
    this.touches.push({ step: this.steps, pages });
  }

  /** What the last step has touched. */
  finish(nextAddress: bigint | undefined): void {
    this.#lookAtWritten();
    const { codePages } = this.runner.options.visible;
    const next = nextAddress === undefined ? -1 : (codePages.get(Number(nextAddress >> 12n)) ?? -1);
    this.#note(this.#last, next);
  }

  #noteFetch(address: bigint, size: number): void {
    const { visible } = this.runner.options;
    if (visible.changed.any(address, size) === 0) return;
    for (let at = address; at < address + BigInt(size); at++) {
      const byte = visible.byteAt(at);
      if (byte !== undefined) this.read.set(at, byte);
    }
  }

  accessed(access: ModelAccess): void {
    if (this.#serving) this.data(access);
  }

  /** Is what is written there already? Bytes that nobody gives another value have no order. */
  #isSame(address: bigint, size: number, value: bigint | undefined): boolean {
    if (value === undefined || size > 8) return false;
    const bytes = this.runner.options.processor.addressSpace.read(address, size);
    return bytes.every((byte, index) => byte === Number((value >> BigInt(8 * index)) & 0xffn));
  }

  data({ access, address, size, value }: ModelAccess & Partial<Pick<MemoryAccess, 'value'>>): void {
    const { visible, notesData } = this.runner.options;
    const { runner } = this;
    const isChanged = visible.changed.any(address, size) !== 0;
    if (notesData && runner.isInTeb(address)) this.knowsItself = true;
    if (notesData && !runner.isOwn(address)) {
      runner.data.add(
        address,
        size,
        access === 'write' && !this.#isSame(address, size, value) ? CHANGED : READ,
      );
      const { pointerSize } = runner.place.architecture;
      if (access === 'write' && value !== undefined && size === pointerSize) {
        if (runner.isOwnPointer(value)) this.#handOver(address);
      } else if (access === 'write' && size >= pointerSize) this.#written.push({ address, size });
    }
    const isShared = visible.conflicts.any(address, size) !== 0;
    if (!isChanged && !isShared) return;
    if (this.steps > 1) {
      this.stopAt ??= this.steps - 1;
      return;
    }
    if (isChanged) this.#noteFetch(address, size);
    if (isShared) this.usesShared = true;
  }
}

function distinct(pages: readonly number[]): number[] {
  return [...new Set(pages.filter((page) => page >= 0))].sort((a, b) => a - b);
}

function same(a: readonly number[], b: readonly number[]): boolean {
  return a.length === b.length && a.every((page, index) => page === b[index]);
}
