import type { ProcessorContext } from '../../cpu/index.js';
import { PAGE_SIZE, setTime } from '../../cpu/index.js';
import { standsIn } from '../../engine/index.js';
import {
  type Crash,
  type ImageDomain,
  Process,
  rerunThread,
  STATUS_TIMEOUT,
  type Thread,
  wakeThread,
} from '../../loader/index.js';
import type { EngineNode } from '../explore/engine-graph.js';
import type { ExecutedInstruction, FetchView } from '../explore/executor.js';
import { BoundReached } from '../explore/state-set.js';
import type { PlacedRange } from '../recording.js';
import { placeNamed } from '../subject.js';
import type { ByteMap } from './byte-map.js';
import { type GuestPoint, GuestPoints } from './guest-points.js';
import type { CallOptions, NotedRun, RunEnd, RunThrough } from './run.js';
import { MOST_STEPS, SLICE, Watch } from './watch.js';

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
  /** It has asked the system for something, or looked into its TEB: it may know which thread it is. */
  knowsItself = false;
  /** Steps executed on the emulated processor. */
  executed = 0;
  readonly #runs: RunThrough[] = [];
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
    thread.stack.grow(thread.stack.base + BigInt(STACK_FLOOR));
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
    return this.#made(point, view, node, shared);
  }

  /** One that was made, by number. */
  runNumber(id: number): RunThrough {
    const run = this.#runs[id];
    if (run === undefined) throw new RangeError(`there is no run ${id}`);
    return run;
  }

  /** Makes a run that another search has noted. */
  again({ point, contents, shared }: NotedRun, node: EngineNode): void {
    this.#made(
      this.points.point(point),
      contents.map(() => 0),
      { ...node, memory: contents },
      shared,
    );
  }

  #made(point: GuestPoint, view: FetchView, node: EngineNode, shared: number): RunThrough {
    const contents = node.memory.map((content, page) => view[page] || content);
    const made = this.#execute(point, view, node, shared);
    this.options.noted.push({ role: point.role, point: point.id, contents, shared });
    point.runs.push(made);
    this.#runs.push(made);
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
    this.knowsItself ||= watch.knowsItself;
    const { steps, firstTouch, touches, first, interrupted, usesShared } = watch;
    for (const address of watch.read.keys()) this.#used.add(address);
    const read = [...watch.read.values()].map((byte) => ({
      byte,
      value: this.options.visible.contents(byte, view[byte.page] || (node.memory[byte.page] ?? 0)),
    }));
    const sharedAfter = usesShared ? this.options.shared.current() : shared;
    return {
      id: this.#runs.length,
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
    rerunThread(thread, processor, point.irql);
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
      if (thread.finished || thread.processor !== processor) this.#endWait(watch);
    }
    this.#watch = undefined;
    setTime(subject.lab.kernel.machine, time + watch.steps);
  }

  /** A wait whose time may be up is over; another one that memory decides is a step that cannot be done yet. */
  #endWait(watch: Watch): void {
    const { subject, thread } = this.options;
    const { scheduler } = subject.lab.kernel;
    const { wait } = thread;
    if (thread.process.terminated || thread.finished || wait?.inMemory !== true)
      throw new BoundReached(
        thread.process.terminated
          ? `the end of the process, which the call asks for at ${this.describe(thread.pc)}`
          : `a wait, which the explorer cannot end: ${this.describe(thread.pc)}${wait === undefined ? '' : ` (${wait.reason})`}`,
      );
    scheduler.remove(thread);
    wakeThread(thread, wait.timeoutResult ?? STATUS_TIMEOUT);
    scheduler.place(thread);
    if (wait.deadline === undefined) watch.waits(wait.reason);
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
    if (watch.waitsFor !== undefined) return { kind: 'waiting', reason: watch.waitsFor };
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

  isInTeb(address: bigint): boolean {
    const { teb } = this.options.thread;
    return teb !== undefined && address >= teb && address < teb + TEB_SIZE;
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
