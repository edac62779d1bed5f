import type {
  Exit,
  MemoryAccess,
  ModelAccess,
  Processor,
  ProcessorContext,
  RunOptions,
} from '../../cpu/index.js';
import { PAGE_SIZE } from '../../cpu/index.js';
import { standsIn } from '../../engine/index.js';
import { type Crash, type ImageDomain, Process, type Thread } from '../../loader/index.js';
import type { CodeMemory } from '../explore/code-memory.js';
import type { EngineNode } from '../explore/engine-graph.js';
import type { ExecutedInstruction, FetchView } from '../explore/executor.js';
import type { Limits } from '../explore/limits.js';
import { BoundReached } from '../explore/state-set.js';
import type { BreakpointHandler } from '../protocols/write-protocol.js';
import type { PlacedRange } from '../recording.js';
import { placeNamed, type Subject, type SubjectCall } from '../subject.js';
import type { ByteMap } from './byte-map.js';
import { type GuestPoint, GuestPoints } from './guest-points.js';
import type { SharedBytes } from './shared-bytes.js';
import type { Touch } from './touches.js';
import type { ChangedByte, Visible } from './visible.js';

export const READ = 1;
/** Given another value than it has. */
export const CHANGED = 2;

/** How a run through what nobody else can notice has ended. */
export type RunEnd =
  /** Before an instruction that others can notice. */
  | { readonly kind: 'stopped'; readonly point: GuestPoint }
  /** The call came back. `point`: where the next one begins. */
  | {
      readonly kind: 'returned';
      readonly result: number;
      readonly point: GuestPoint;
      readonly unbalanced?: string;
    }
  | { readonly kind: 'fault'; readonly text: string }
  /** It goes round for ever, whatever anybody else does. */
  | { readonly kind: 'endless' };

/** One step that others can notice, and everything behind it that nobody can. */
export interface RunThrough {
  readonly id: number;
  readonly from: GuestPoint;
  readonly first: ExecutedInstruction;
  /** The changed bytes that the first step read, which decide what it did. */
  readonly read: readonly { readonly byte: ChangedByte; readonly value: number }[];
  /** The data that processors share, before and after the first step. */
  readonly shared: number;
  readonly sharedAfter: number;
  /** The first step read or wrote some of it. */
  readonly usesShared: boolean;
  /** Changed pages of code that the first step touched. */
  readonly firstTouch: readonly number[];
  /** Those of the further steps. */
  readonly touches: readonly Touch[];
  /** Instructions and calls of simulated exports, the first one included. */
  readonly steps: number;
  /** The first step was a breakpoint that was handled; the return from it serialised the processor. */
  readonly interrupted: boolean;
  readonly end: RunEnd;
}

export interface CallOptions {
  readonly subject: Subject;
  readonly call: SubjectCall;
  readonly role: number;
  readonly thread: Thread;
  readonly processor: Processor;
  readonly place: ImageDomain;
  readonly memory: CodeMemory;
  readonly visible: Visible;
  readonly shared: SharedBytes;
  readonly handleBreakpoint: BreakpointHandler | undefined;
  /** Note what it reads and writes that other processors may use. */
  readonly notesData: boolean;
  /** Memory that other processors may use, too: what the call does there, in this round and those before. */
  readonly data: ByteMap;
  readonly limits: Limits;
}

/** Steps of one run, at most. */
const MOST_STEPS = 30_000_000;
const SLICE = 1 << 16;
/** A loop of so few steps is seen when it has gone round once. */
const SHORT_LOOP = 1 << 10;

const LONGEST_INSTRUCTION = 15;

/** Ends a run before the instruction that an observer is told of. */
class Stop extends Error {
  override readonly name = 'Stop';
}

/** Ends a run where nobody has handled an exception, before the process or the system ends of it. */
class Crashed extends Error {
  override readonly name = 'Crashed';
}

/** One call on one emulated processor, which runs through everything that nobody else can notice. */
export class CallRunner {
  readonly points: GuestPoints;
  readonly initial: GuestPoint;
  /** Cells that it stores pointers to memory in that only it has, where others may look; and where it does so. */
  readonly handedOver = new Map<bigint, string>();
  /** Steps executed on the emulated processor. */
  executed = 0;
  #runs = 0;
  /** Changed bytes that it has used. */
  readonly #used = new Set<bigint>();
  #watch: Watch | undefined;
  readonly #observation: Disposable;
  readonly #initialContext: ProcessorContext;
  readonly #stack: Uint8Array;
  readonly #initialRegisters: ReadonlyMap<string, bigint>;
  readonly #stackPointerAfterReturn: bigint;
  readonly #own: readonly { readonly start: bigint; readonly end: bigint }[];

  constructor(readonly options: CallOptions) {
    const { subject, role, thread, processor, memory, visible } = options;
    const { machine } = subject.lab.kernel;
    this.#own = ownMemory(thread);
    this.#observation = processor.observe({
      instruction: (address, size) => this.#watch?.instruction(address, size),
      memory: (access) => this.#watch?.data(access),
      segment: (instructions) => this.#watch?.segment(instructions),
    });
    thread.growStack(thread.stack.base + BigInt(STACK_FLOOR));
    const foreign = [...visible.changed, ...visible.conflicts].map(([address]) => address);
    this.points = new GuestPoints({ machine, processor, thread, role, memory, foreign });
    this.#initialContext = processor.saveContext();
    this.#stack = this.#readStack();
    this.initial = this.points.current();
    const { architecture } = thread;
    this.#initialRegisters = new Map(
      NONVOLATILE[architecture.name].map((name) => [name, processor.get(name)]),
    );
    this.#stackPointerAfterReturn = processor.sp + BigInt(architecture.returnAddressSize);
  }

  [Symbol.dispose](): void {
    this.#observation[Symbol.dispose]();
  }

  get data(): ByteMap {
    return this.options.data;
  }

  get place(): ImageDomain {
    return this.options.place;
  }

  /** `base!f+0x2`, `ucrtbase.dll!getenv` */
  describe(address: bigint): string {
    const service = this.place.services.at(address);
    if (service !== undefined) return `${service.module}!${service.entry.name}`;
    return this.place.imageAt(address)?.describe(address) ?? this.options.subject.lab.describe(address);
  }

  /** Is `address`, as this call sees it, in the range? */
  isIn({ place, start, end }: PlacedRange, address: bigint): boolean {
    if (address < start || address >= end) return false;
    const domain = placeNamed(this.options.subject.lab, place);
    return standsIn(this.place, address, { domain, start, end });
  }

  /** Has the call fetched, read or written one of these changed bytes? */
  uses(addresses: Iterable<bigint>): boolean {
    for (const address of addresses) if (this.#used.has(address)) return true;
    return false;
  }

  /** What the first step from a point does when the engine and the data are so. */
  run(point: GuestPoint, view: FetchView, node: EngineNode, shared: number): RunThrough {
    const { visible } = this.options;
    const known = point.runs.find(
      (run) =>
        (!run.usesShared || run.shared === shared) &&
        run.read.every(
          ({ byte, value }) =>
            visible.contents(byte, view[byte.page] || (node.memory[byte.page] ?? 0)) === value,
        ),
    );
    if (known !== undefined) return known;
    const made = this.#execute(point, view, node, shared);
    point.runs.push(made);
    return made;
  }

  /** The instructions of a run, one after the other, each with the number of steps before it. */
  instructions(run: RunThrough, view: FetchView, node: EngineNode): ExecutedInstruction[] {
    const found: ExecutedInstruction[] = [];
    this.#load(run.from, view, node, run.shared);
    const { processor } = this.options;
    for (let step = 0; step < run.steps; step++) {
      const address = processor.pc;
      found.push(this.#fetch(address));
      if (step + 1 < run.steps) this.#perform(new Watch(this, 1, undefined));
    }
    return found;
  }

  #execute(point: GuestPoint, view: FetchView, node: EngineNode, shared: number): RunThrough {
    this.options.limits.check();
    let watch = this.#attempt(point, view, node, shared, undefined);
    const { stopAt } = watch;
    if (stopAt !== undefined) watch = this.#attempt(point, view, node, shared, stopAt);
    const { processor, thread } = this.options;
    const isBack = processor.pc === thread.architecture.returnAddress;
    watch.finish(isBack ? undefined : processor.pc);
    for (const [cell, at] of watch.handedOver)
      if (!this.handedOver.has(cell)) this.handedOver.set(cell, this.describe(at));
    const { steps, firstTouch, touches, first, interrupted, usesShared } = watch;
    for (const address of watch.read.keys()) this.#used.add(address);
    const read = [...watch.read.values()].map((byte) => ({
      byte,
      value: this.options.visible.contents(byte, view[byte.page] || (node.memory[byte.page] ?? 0)),
    }));
    const sharedAfter = usesShared ? this.options.shared.current() : shared;
    return {
      id: this.#runs++,
      from: point,
      first,
      read,
      shared,
      sharedAfter,
      usesShared,
      firstTouch,
      touches,
      steps,
      interrupted,
      end: this.#end(watch),
    };
  }

  #attempt(
    point: GuestPoint,
    view: FetchView,
    node: EngineNode,
    shared: number,
    limit: number | undefined,
  ): Watch {
    this.#load(point, view, node, shared);
    const watch = new Watch(this, limit ?? MOST_STEPS, this.#fetch(point.pc));
    this.#perform(watch);
    this.executed += watch.steps;
    if (limit !== undefined && watch.steps !== limit)
      throw new Error(`${limit} steps from ${this.describe(point.pc)} were ${watch.steps} the second time`);
    return watch;
  }

  #load(point: GuestPoint, view: FetchView, node: EngineNode, shared: number): void {
    const { subject, thread, processor, memory, visible } = this.options;
    thread.state = 'running';
    thread.crash = undefined;
    thread.callouts.splice(0);
    thread.attach(processor);
    subject.lab.kernel.machine.restore(point.snapshot);
    memory.restored(point.contents);
    this.options.shared.load(shared);
    memory.load(view, node, visible.seen);
  }

  #fetch(address: bigint): ExecutedInstruction {
    const { addressSpace } = this.options.processor;
    const { architecture } = this.place;
    const longest = architecture.maximumInstructionLength;
    try {
      const left = 0x1000 - Number(address & 0xfffn);
      const next = addressSpace.query(address + BigInt(left)).state === 'committed';
      const bytes = addressSpace.read(address, next ? longest : Math.min(longest, left));
      return { address, bytes: bytes.subarray(0, architecture.instructionLength(bytes, address)) };
    } catch {
      return { address, bytes: new Uint8Array() };
    }
  }

  #perform(watch: Watch): void {
    const { subject, thread, processor } = this.options;
    const { scheduler } = subject.lab.kernel;
    const time = subject.lab.kernel.machine.time;
    this.#watch = watch;
    using _model = processor.addressSpace.observe((access) => watch.accessed(access));
    using _runner = scheduler.use({
      runSlice: (_thread, _processor, options, run) => watch.runSlice(options, run),
    });
    using _crashes = subject.lab.kernel.events.on(({ kind }) => {
      if (kind === 'threadCrashed') throw new Crashed();
    });
    while (!watch.isOver) {
      if (processor.pc === thread.architecture.returnAddress && thread.callouts.length === 0) break;
      const crash = this.#runSlice(watch);
      watch.served();
      if (crash !== undefined) {
        watch.fail(crash.text);
        break;
      }
      if (thread.finished || thread.processor !== processor)
        throw new BoundReached(
          thread.process.terminated
            ? `the end of the process, which the call asks for at ${this.describe(thread.pc)}`
            : `a wait, which the explorer cannot end: ${this.describe(thread.pc)}`,
        );
    }
    this.#watch = undefined;
    subject.lab.kernel.machine.time = time + watch.steps;
  }

  /** @returns what nobody has handled */
  #runSlice(watch: Watch): Crash | undefined {
    const { subject, thread } = this.options;
    try {
      subject.lab.kernel.scheduler.runThread(thread, Math.min(SLICE, watch.left));
      return undefined;
    } catch (error) {
      if (!(error instanceof Crashed) || thread.crash === undefined) throw error;
      return thread.crash;
    }
  }

  #end(watch: Watch): RunEnd {
    const { processor, thread } = this.options;
    if (watch.failure !== undefined) return { kind: 'fault', text: watch.failure };
    if (watch.isEndless) return { kind: 'endless' };
    if (thread.callouts.length > 0)
      throw new BoundReached(
        `a function that a simulated export calls back: ${this.describe(processor.pc)} meets what the operation changes`,
      );
    if (processor.pc !== thread.architecture.returnAddress)
      return { kind: 'stopped', point: this.points.current() };
    const result = Number(thread.architecture.result(processor) & 0xffff_ffffn);
    const unbalanced = this.#unbalanced();
    processor.loadContext(this.#initialContext);
    this.#writeStack();
    const point = this.points.current();
    return { kind: 'returned', result, point, ...(unbalanced === undefined ? {} : { unbalanced }) };
  }

  #readStack(): Uint8Array {
    const { stack } = this.options.thread;
    const bytes = new Uint8Array(stack.size);
    for (let at = 0; at < stack.size; at += PAGE_SIZE) {
      const address = stack.base + BigInt(at);
      if (this.#hasMemory(address))
        bytes.set(this.options.processor.addressSpace.read(address, PAGE_SIZE), at);
    }
    return bytes;
  }

  #writeStack(): void {
    const { stack } = this.options.thread;
    const { addressSpace } = this.options.processor;
    for (let at = 0; at < stack.size; at += PAGE_SIZE) {
      const address = stack.base + BigInt(at);
      if (!this.#hasMemory(address)) continue;
      const wanted = this.#stack.subarray(at, at + PAGE_SIZE);
      if (!Buffer.from(addressSpace.read(address, PAGE_SIZE)).equals(wanted))
        addressSpace.write(address, wanted);
    }
  }

  #hasMemory(address: bigint): boolean {
    const { state, guard } = this.options.processor.addressSpace.query(address);
    return state === 'committed' && !guard;
  }

  #unbalanced(): string | undefined {
    const { processor } = this.options;
    const off = processor.sp - this.#stackPointerAfterReturn;
    if (off !== 0n) return `the stack pointer is off by ${off}`;
    for (const [name, value] of this.#initialRegisters)
      if (processor.get(name) !== value) return `${name} was not kept`;
    return undefined;
  }

  /** Could another processor use this memory, too? Not the thread's stack, TEB and heap, and not what it has allocated. */
  isOwn(address: bigint): boolean {
    for (const { start, end } of this.#own) if (address >= start && address < end) return true;
    const page = Number(address >> 12n);
    const table = this.options.processor.addressSpace.tableOfPage(page);
    if (table === undefined) return false;
    return this.initial.snapshot.tables.get(table)?.entries.has(page) !== true;
  }

  /** Does a value lead to memory that only this call has? */
  isOwnPointer(value: bigint): boolean {
    const { addressSpace } = this.options.processor;
    return addressSpace.query(value).state === 'committed' && this.isOwn(value);
  }
}

/** Pages of a user stack that stay without memory. */
const STACK_FLOOR = 5 * PAGE_SIZE;

/** Registers that a function keeps for its caller. */
const NONVOLATILE = {
  x64: ['rbx', 'rbp', 'rdi', 'rsi', 'r12', 'r13', 'r14', 'r15'],
  x86: ['ebx', 'ebp', 'esi', 'edi'],
  arm64: Array.from({ length: 11 }, (_, index) => `x${19 + index}`),
} as const;

const TEB_SIZE = 0x2000n;

/** The part of its process's heaps that a thread allocates from. */
export function heapArenaOf({
  heapArena,
  domain,
  process,
}: Thread): { readonly start: bigint; readonly end: bigint } | undefined {
  if (domain.kind !== 'user' || !(process instanceof Process)) return undefined;
  const { programHeap } = process;
  return { start: programHeap.handleOf(heapArena), end: programHeap.handleOf(heapArena + 1) };
}

function ownMemory(thread: Thread) {
  const { stack, teb } = thread;
  const own = [{ start: stack.base, end: stack.end }];
  if (teb !== undefined) own.push({ start: teb, end: teb + TEB_SIZE });
  const arena = heapArenaOf(thread);
  return arena === undefined ? own : [...own, arena];
}

/** Looks on while a call runs, and ends the run before what others can notice. */
class Watch {
  steps = 0;
  isOver = false;
  isEndless = false;
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
    private readonly runner: CallRunner,
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
        return exit;
      case 'systemCall':
        this.#serving = true;
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
