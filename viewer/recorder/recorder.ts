import type { Exit, MemoryAccess, Processor, RunOptions } from '../../cpu/index.js';
import { describeHop, ThreadView } from '../../debugger/index.js';
import type { Lab } from '../../lab/index.js';
import type { ImageDomain, LabEvent, SliceRunner, Thread } from '../../loader/index.js';
import { ByteWriter } from '../recording/bytes.js';
import { type EntryKind, type MemoryChange, type RegisterChange, writeEntry } from '../recording/entry.js';
import type { EventFacts, SliceFacts } from '../recording/format.js';
import { Catalogue, hex, type RecordedLab } from './catalogue.js';
import { digits, EngineTracker, isStore } from './engine-tracker.js';

const LONGEST_INSTRUCTION = 15;

interface Write {
  readonly address: bigint;
  readonly size: number;
}

interface RecordedSlice {
  readonly lab: RecordedLab;
  readonly thread: Thread;
  readonly processor: Processor;
  readonly run: (options: RunOptions) => Exit;
}

/** Records what the labs of a scenario do: instruction by instruction, and event by event. */
export class Recorder implements SliceRunner {
  readonly catalogue = new Catalogue();
  readonly engines = new EngineTracker(this.catalogue);
  readonly stream = new ByteWriter();
  readonly events: EventFacts[] = [];
  readonly slices: SliceFacts[] = [];
  readonly strings: string[] = [];
  /** Entries so far: the present moment. */
  entries = 0;
  instructions = 0;
  /** Has the limit been reached? Nothing more is recorded then. */
  isFull = false;
  readonly #strings = new Map<string, number>();
  readonly #registers: Uint32Array[] = [];
  readonly #observed = new Set<Processor>();
  readonly #lastExits = new Map<Thread, string>();
  readonly #hops = new Map<ImageDomain, Map<bigint, string | undefined>>();
  #writes: Write[] = [];
  #sequence = 0;
  #processor = 0;

  /** @param limit instructions that are recorded at most */
  constructor(readonly limit: number) {}

  attach(lab: Lab): void {
    this.catalogue.addLab(lab);
    for (const { registers } of this.catalogue.processors.slice(this.#registers.length))
      this.#registers.push(new Uint32Array(registers.length * 2));
    lab.kernel.scheduler.use(this);
    if (this.isFull) return;
    this.#look('model', 'the machine is ready: memory holds what the kernel put there as it booted');
  }

  /** A line of the transcript: what it tells has just happened. */
  event(event: LabEvent): void {
    if (this.isFull) return;
    const { kind, text } = event;
    this.events.push({
      entry: this.entries,
      kind,
      text,
      ...(isStore(event)
        ? {
            store: {
              target: event.target,
              writer: event.writer,
              address: hex(event.address),
              before: digits(event.before),
              bytes: digits(event.bytes),
              symbol: event.symbol,
            },
          }
        : {}),
    });
    this.#look('event', undefined);
    this.engines.note(event, this.entries);
  }

  runSlice(
    thread: Thread,
    processor: Processor,
    options: RunOptions,
    run: (options: RunOptions) => Exit,
  ): Exit {
    this.#sequence++;
    if (this.isFull) return run(options);
    const lab = this.catalogue.labOf(thread);
    this.#beginSlice(lab, thread, processor);
    const exit = this.#runSlice({ lab, thread, processor, run }, options);
    this.#noteExit(thread, exit);
    return exit;
  }

  /** Changes since the last event or instruction that nobody told of: of a patch that was taken back at the very end. */
  finish(): void {
    if (!this.isFull && this.#hasChanges()) this.#look('model', 'the run ends');
  }

  #runSlice({ lab, thread, processor, run }: RecordedSlice, options: RunOptions): Exit {
    const limit = options.instructions ?? Number.POSITIVE_INFINITY;
    const ends = new Set(options.breakpoints);
    for (let instructions = 0; instructions < limit; ) {
      if (this.instructions >= this.limit) {
        this.isFull = true;
        const rest = run({ ...options, instructions: limit - instructions });
        return { ...rest, instructions: instructions + rest.instructions };
      }
      this.#writes = [];
      const note = this.#noteOn(lab, thread, processor);
      const exit = run({ instructions: 1 });
      instructions += exit.instructions;
      if (exit.instructions > 0) this.#instruction(lab, processor, note);
      if (exit.reason !== 'instructionLimit') return { ...exit, instructions };
      if (ends.has(processor.pc)) return { reason: 'breakpoint', address: processor.pc, instructions };
    }
    return { reason: 'instructionLimit', instructions: limit };
  }

  #instruction(lab: RecordedLab, processor: Processor, note: number | undefined): void {
    const fresh = new Set<number>();
    const pages = lab.memory.pageChanges(fresh);
    const memory: MemoryChange[] = [];
    for (const { address, size } of this.#writes)
      lab.memory.changesAt(processor.addressSpace, address, size, memory);
    memory.push(...lab.memory.changesIn(fresh));
    const registers = this.#registerChanges(lab, processor);
    this.instructions++;
    this.#write('instruction', note, registers, memory, pages);
  }

  /** An entry for everything that has changed in memory, of all labs. */
  #look(kind: EntryKind, note: string | undefined, registers: readonly RegisterChange[] = []): void {
    const moment = this.entries + 1;
    const pages = this.catalogue.labs.flatMap(({ memory }) => memory.pageChanges(new Set()));
    const memory = this.catalogue.labs.flatMap((lab) => lab.memory.allChanges());
    for (const lab of this.catalogue.labs) lab.memory.noteSpaces(moment);
    this.catalogue.noteImages(moment);
    this.#hops.clear();
    this.#write(kind, note === undefined ? undefined : this.#string(note), registers, memory, pages);
  }

  #hasChanges(): boolean {
    return this.catalogue.labs.some(({ memory }) => memory.differs());
  }

  #write(
    kind: EntryKind,
    note: number | undefined,
    registers: readonly RegisterChange[],
    memory: readonly MemoryChange[],
    pages: Parameters<typeof writeEntry>[1]['pages'],
  ): void {
    writeEntry(this.stream, { kind, processor: this.#processor, note, registers, memory, pages });
    this.entries++;
  }

  /** A thread goes on: what the kernel model did meanwhile, to its registers too, is an entry of its own. */
  #beginSlice(lab: RecordedLab, thread: Thread, processor: Processor): void {
    this.#observe(processor);
    const index = this.catalogue.processor(lab, processor);
    const last = this.slices.at(-1);
    const slice = {
      from: this.entries,
      processor: index,
      thread: this.catalogue.thread(thread, this.entries),
      sequence: this.#sequence,
    };
    this.#processor = index;
    this.slices.push(slice);
    const registers = this.#registerChanges(lab, processor);
    const isSame = last?.processor === index && last.thread === slice.thread;
    if (isSame && registers.length === 0 && !this.#hasChanges()) return;
    this.#look('model', this.#howItGoesOn(thread, processor, isSame), registers);
    this.engines.note(undefined, this.entries);
  }

  #howItGoesOn(thread: Thread, processor: Processor, isSame: boolean): string {
    const exit = this.#lastExits.get(thread);
    this.#lastExits.delete(thread);
    const place = thread.describe(processor.pc);
    if (exit !== undefined) return `${exit}; goes on at ${place}`;
    if (isSame) return `thread ${thread.id} goes on at ${place}`;
    const verb = thread.instructions === 0 ? 'starts' : 'goes on';
    return `thread ${thread.id} (${thread.name}) ${verb} on processor ${processor.index} at ${place}`;
  }

  #noteExit(thread: Thread, exit: Exit): void {
    if (this.isFull) return;
    const text = this.#exitText(thread, exit);
    if (text !== undefined) this.#lastExits.set(thread, text);
  }

  #exitText(thread: Thread, exit: Exit): string | undefined {
    switch (exit.reason) {
      case 'serviceCall': {
        const name = this.catalogue.noteService(thread, exit.address, this.entries);
        return `the kernel model has done ${name ?? 'a simulated export'}`;
      }
      case 'systemCall':
        return `the kernel model has done system service 0x${exit.number.toString(16)}`;
      case 'fault':
        return `the kernel model has handled a fault at ${thread.describe(exit.fault.address)}`;
      default:
        return undefined;
    }
  }

  #observe(processor: Processor): void {
    if (this.#observed.has(processor)) return;
    this.#observed.add(processor);
    processor.observe({
      memory: ({ access, address, size }: MemoryAccess) => {
        if (access === 'write') this.#writes.push({ address, size });
      },
    });
  }

  #registerChanges(lab: RecordedLab, processor: Processor): RegisterChange[] {
    const known = this.#registers[this.catalogue.processor(lab, processor)] ?? new Uint32Array();
    const values = processor.generalRegisters();
    const halves = new Uint32Array(values.buffer, values.byteOffset, known.length);
    const changes: RegisterChange[] = [];
    for (let half = 0; half < known.length; half++) {
      const now = halves[half] ?? 0;
      const difference = (now ^ (known[half] ?? 0)) >>> 0;
      if (difference !== 0) changes.push({ half, difference });
      known[half] = now;
    }
    return changes;
  }

  /** What the debugger says of the place that the thread is at: a hop of a trampoline, or code that is out of date. */
  #noteOn(lab: RecordedLab, thread: Thread, processor: Processor): number | undefined {
    const { pc } = processor;
    const known = this.#hops.get(thread.domain) ?? new Map<bigint, string | undefined>();
    this.#hops.set(thread.domain, known);
    if (!known.has(pc)) known.set(pc, describeHop(new ThreadView(lab.lab, thread), pc));
    const text = [known.get(pc), this.#staleness(thread, processor)]
      .filter((part) => part !== undefined)
      .join('; ');
    return text === '' ? undefined : this.#string(text);
  }

  /** With weak instruction fetch, a processor may execute bytes that memory no longer holds. */
  #staleness(thread: Thread, processor: Processor): string | undefined {
    const { fetchUnit, pc, addressSpace } = processor;
    if (fetchUnit.views.size === 0 || addressSpace.query(pc).state !== 'committed') return undefined;
    const inPage = 0x1000 - Number(pc & 0xfffn);
    const fetched = processor.fetchBytes(pc, Math.min(LONGEST_INSTRUCTION, inPage));
    const length = Math.min(thread.architecture.instructionLength(fetched, pc), fetched.length);
    const inMemory = addressSpace.read(pc, length);
    if (Buffer.compare(inMemory, fetched.subarray(0, length)) === 0) return undefined;
    return `stale: executes ${digits(fetched.subarray(0, length))}, but memory holds ${digits(inMemory)}`;
  }

  #string(text: string): number {
    const known = this.#strings.get(text);
    if (known !== undefined) return known;
    this.#strings.set(text, this.strings.length);
    return this.strings.push(text) - 1;
  }
}
