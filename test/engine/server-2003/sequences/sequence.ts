import {
  type EngineStep,
  encodeNames,
  FLG_HOTPATCH,
  HotPatchError,
  type Patch2003,
} from '../../../../engine/index.js';
import { type BuiltImage, ntStatus, type PeImage } from '../../../../image/index.js';
import { Lab } from '../../../../lab/index.js';
import { SeededRandom } from '../../../../loader/common/index.js';
import type { LoadedImage, Process, Thread } from '../../../../loader/index.js';
import { setSystemInformation } from '../support.js';
import {
  buildHotpatch,
  buildModule,
  FUNCTIONS,
  type FunctionName,
  type Hotpatch,
  originalResult,
  type PaddingFill,
  type Processor,
  THROUGH,
} from './module.js';
import { brokenWays, follow, isOriginal } from './ways.js';

const HOTPATCHES = 40;
const MOST_PROCESSES = 3;
const MOST_THREADS = 5;
const LONGEST_CALL = 200;

interface Member {
  readonly process: Process;
  readonly module: LoadedImage;
}

interface Call {
  readonly member: Member;
  readonly thread: Thread;
  readonly name: FunctionName | typeof THROUGH;
}

/** Refusals that are a result: the machine is as it was. */
const REFUSALS = /^(chain\.|patch\.state|padding\.occupied)/;
const REFUSED = ['STATUS_CONFLICTING_ADDRESSES', 'STATUS_REQUEST_OUT_OF_SEQUENCE', 'STATUS_RETRY'] as const;

/** A machine that sequences run on, one after the other, each with processes and hotpatches of its own. */
export class SequenceMachine implements Disposable {
  readonly hotpatches: readonly Hotpatch[];
  readonly byImage: ReadonlyMap<PeImage, Hotpatch>;

  private constructor(
    readonly processor: Processor,
    readonly fill: PaddingFill,
    readonly lab: Lab<'server-2003'>,
    readonly built: BuiltImage,
  ) {
    const random = new SeededRandom(2003);
    this.hotpatches = Array.from({ length: HOTPATCHES }, (_, index) =>
      buildHotpatch(built, processor, index + 1, random),
    );
    this.byImage = new Map(this.hotpatches.map((hotpatch) => [hotpatch.image, hotpatch]));
  }

  /** @param system whose processes they are: 32-bit ones run on a 64-bit system too */
  static async boot(
    processor: Processor,
    fill: PaddingFill = 'int3',
    system: Processor = processor,
  ): Promise<SequenceMachine> {
    const lab = await Lab.boot({
      architecture: system,
      memorySize: 16 << 20,
      processors: 2,
      engine: 'server-2003',
    });
    return new SequenceMachine(processor, fill, lab, buildModule(processor, fill));
  }

  [Symbol.dispose](): void {
    this.lab[Symbol.dispose]();
  }
}

/** One random sequence of loads, disables, processes, and threads that are stopped anywhere. */
export class Sequence {
  readonly log: string[] = [];
  readonly broken: string[] = [];
  /** How often each kind of step did something, for the report. */
  readonly done: Record<string, number> = {};
  readonly #random: SeededRandom;
  readonly #members: Member[] = [];
  readonly #calls: Call[] = [];
  readonly #patches: Patch2003[] = [];

  constructor(
    private readonly machine: SequenceMachine,
    private readonly seed: number,
  ) {
    this.#random = new SeededRandom(seed);
  }

  run(steps = 14): void {
    this.#start();
    for (let step = 0; step < steps && this.broken.length === 0; step++) {
      this.#step();
      this.#check();
    }
    this.#end();
  }

  #pick(most: number): number {
    return this.#random.between(0, most - 1);
  }

  #one<T>(list: readonly T[]): T | undefined {
    return list.length === 0 ? undefined : list[this.#pick(list.length)];
  }

  #step(): void {
    const kind = this.#pick(18);
    if (kind >= 16) this.#request();
    else if (kind < 3) this.#load();
    else if (kind < 6) this.#swap();
    else if (kind < 9) this.#call();
    else if (kind < 13) this.#goOn(1 + this.#pick(7));
    else if (kind < 14) this.#partly();
    else if (kind < 15) this.machine.lab.engine.restoreLeftHooks();
    else if (this.#pick(2) === 0) this.#start();
    else this.#finish();
  }

  #count(kind: string): void {
    this.done[kind] = (this.done[kind] ?? 0) + 1;
  }

  #start(): void {
    if (this.#members.length >= MOST_PROCESSES) return;
    const { lab, built, processor } = this.machine;
    const process = lab.createProcess({ name: 'p.exe', wow64: processor === 'x86' });
    const module = process.loadImage(built.image, { symbols: built.symbols, initialize: false });
    this.#members.push({ process, module });
    this.log.push('start');
    this.#count('process');
  }

  #finish(): void {
    const member = this.#one(this.#members);
    if (member === undefined || this.#members.length === 1) return;
    this.log.push(`end ${this.#members.indexOf(member)}`);
    this.#members.splice(this.#members.indexOf(member), 1);
    for (const call of this.#calls.filter((one) => one.member === member))
      this.#calls.splice(this.#calls.indexOf(call), 1);
    member.process.terminate();
  }

  #load(): void {
    const hotpatch = this.#one(this.machine.hotpatches);
    if (hotpatch === undefined || this.#patches.some(({ image }) => image === hotpatch.image)) return;
    this.#try(`load ${hotpatch.text}`, () => {
      this.#patches.push(this.machine.lab.engine.load(hotpatch.image, { path: this.#pathOf(hotpatch) }));
    });
  }

  #swap(): void {
    const patch = this.#one(this.#patches);
    if (patch === undefined) return;
    const { engine } = this.machine.lab;
    // In force in some processes, and not in one that has come since: it may go, or be enabled there too.
    const isEverywhere = this.#members.every(({ module }) =>
      engine.patchList(module).some((one) => one.patch === patch && one.active),
    );
    if (patch.state === 'applied' && (isEverywhere || this.#pick(2) === 0))
      this.#try(`unload ${patch.name}`, () => engine.unload(patch));
    else this.#try(`enable ${patch.name}`, () => engine.enable(patch));
  }

  /** No hotpatch of an earlier sequence has it. */
  #pathOf({ image }: Hotpatch): string {
    return `C:\\${this.seed}\\${this.seed}-${image.file}`;
  }

  /** A process asks: for itself, or for others, by the system call. What is answered is so. */
  #request(): void {
    const { engine, kernel } = this.machine.lab;
    const [asking, asked] = [this.#one(this.#members), this.#one(this.#members)];
    const hotpatch = this.#one(this.machine.hotpatches);
    if (asking === undefined || asked === undefined || hotpatch === undefined) return;
    const { process } = asking;
    const path = this.#pathOf(hotpatch);
    kernel.files.add(path.replace(/^.*\\/, ''), hotpatch.image);
    process.enablePrivileges('SeDebugPrivilege');
    const { NAME_INFO, INJECT_THREAD, ACTIVE } = FLG_HOTPATCH;
    const active = this.#pick(4) > 0;
    const whom = this.#pick(3);
    const targets = whom === 0 ? [asking] : whom === 1 ? [asked] : this.#members;
    const { pointerSize } = process.domain.architecture;
    const buffer = encodeNames(
      (whom === 0 ? NAME_INFO : INJECT_THREAD) + ACTIVE * Number(active),
      { name: path },
      { pointerSize, targetProcess: whom === 1 ? BigInt(process.handles.open(asked.process)) : 0n },
    );
    const text = `${active ? 'ACTIVE' : 'not ACTIVE'} ${hotpatch.text} for ${targets.map((one) => this.#members.indexOf(one))}`;
    this.#try(text, () => {
      const { status } = setSystemInformation(process, buffer);
      const refused = REFUSED.find((name) => ntStatus(name).value === status);
      if (refused !== undefined)
        throw new HotPatchError({ rule: 'patch.state', status: refused, message: text });
      if (status !== 0) this.broken.push(`${text}: ${status.toString(16)}`);
      const isSo = ({ module }: Member) =>
        engine.patchList(module).find(({ patch }) => patch.path === path)?.active === active;
      if (!targets.every(isSo)) this.broken.push(`${text} is not so`);
    });
    for (const patch of engine.patches)
      if (patch.path === path && !this.#patches.includes(patch)) this.#patches.push(patch);
  }

  #call(): void {
    const member = this.#one(this.#members);
    if (member === undefined || this.#calls.length >= MOST_THREADS) return;
    const names = [...FUNCTIONS, ...(this.machine.fill === 'nop' ? ([THROUGH, THROUGH] as const) : [])];
    const name = this.#one(names) ?? 'f0';
    const entry = member.module.address(this.machine.built.rva(name));
    const thread = member.process.createThread(entry, []);
    this.#calls.push({ member, thread, name });
    this.log.push(`call ${name} in ${this.#members.indexOf(member)}`);
    this.#count('call');
  }

  /** One thread goes on by some instructions. */
  #goOn(instructions: number): void {
    const call = this.#one(this.#calls);
    if (call === undefined || call.thread.finished) return;
    this.#execute(call.thread, instructions);
    this.log.push(`${call.name} goes on by ${instructions}`);
    this.#reap();
  }

  #execute(thread: Thread, instructions: number): void {
    const { scheduler } = this.machine.lab.kernel;
    for (let count = 0; count < instructions && !thread.finished; count++) {
      scheduler.place(thread);
      scheduler.runThread(thread, 1);
    }
  }

  /** What returned is the function's own, of some version. */
  #reap(): void {
    for (const call of this.#calls.filter(({ thread }) => thread.finished)) {
      this.#calls.splice(this.#calls.indexOf(call), 1);
      const result = Number(call.thread.result);
      const name = call.name === THROUGH ? 'f3' : call.name;
      const isOwn =
        result === originalResult(name) ||
        this.#patches.some(({ image }) => this.machine.byImage.get(image)?.results.get(name) === result);
      if (!isOwn) this.broken.push(`${call.name} returned ${result}`);
    }
  }

  /**
   * An operation with threads that run between its steps; it goes on to its end, or is left where it is: then it is as if
   * it had never begun, or done, once the processors were let go.
   */
  #partly(): void {
    const { engine } = this.machine.lab;
    const isLoad = this.#pick(3) === 0;
    const hotpatch = this.#one(this.machine.hotpatches);
    const patch = this.#one(this.#patches);
    const leaveAfter = this.#pick(2) === 0 ? this.#pick(16) : undefined;
    const how = leaveAfter === undefined ? ' in steps' : ' in steps, left';
    if (isLoad) {
      if (hotpatch === undefined || this.#patches.some(({ image }) => image === hotpatch.image)) return;
      const known = engine.patches.length;
      this.#try(`load ${hotpatch.text}${how}`, () => {
        const isDone = this.#stepThrough(
          engine.loadSteps(hotpatch.image, { path: this.#pathOf(hotpatch) }),
          leaveAfter,
        );
        const loaded = engine.patches.slice(known);
        this.#patches.push(...loaded);
        if (loaded.map(({ state }) => state).join() !== (isDone ? 'applied' : ''))
          this.broken.push(`${hotpatch.text} is in the list, or not, after it was left`);
      });
    } else if (patch !== undefined) {
      const before = patch.state;
      const kind = before === 'applied' ? 'unload' : 'enable';
      this.#try(`${kind} ${patch.name}${how}`, () => {
        const steps = before === 'applied' ? engine.unloadSteps(patch) : engine.enableSteps(patch);
        if (this.#stepThrough(steps, leaveAfter) !== (patch.state !== before))
          this.broken.push(`${patch.name} is ${patch.state} after it was left`);
      });
    }
  }

  /** @returns whether it must have been done: it came to its end, or was left once the processors had been let go */
  #stepThrough(steps: Generator<EngineStep, unknown>, leaveAfter: number | undefined): boolean {
    let isHeld = false;
    let wasLetGo = false;
    for (let count = 0; ; count++) {
      const { done, value } = steps.next();
      if (done === true) return true;
      if (value.kind === 'rendezvous') isHeld = value.phase === 'begin';
      wasLetGo ||= value.kind === 'rendezvous' && value.phase === 'end';
      if (!isHeld) for (let times = this.#pick(4); times > 0; times--) this.#goOn(1);
      if (leaveAfter !== undefined && (count >= leaveAfter || (wasLetGo && leaveAfter > 10))) {
        steps.return(undefined);
        this.#count(wasLetGo ? 'left when done' : 'left before');
        return wasLetGo;
      }
    }
  }

  #try(text: string, action: () => void): void {
    const before = this.#members.map(({ module }) => Buffer.from(module.codeBytes()).toString('hex'));
    this.#count(text.split(' ', 1)[0] ?? '');
    try {
      action();
      this.log.push(text);
    } catch (error) {
      if (!(error instanceof HotPatchError) || !REFUSALS.test(error.rule)) throw error;
      this.log.push(`(${text}: ${error.rule})`);
      this.#count(error.rule);
      const after = this.#members.map(({ module }) => Buffer.from(module.codeBytes()).toString('hex'));
      if (after.join() !== before.join()) this.broken.push(`refused (${error.rule}), and code was changed`);
    }
  }

  #check(): void {
    const { built, byImage, lab } = this.machine;
    for (const [index, { module }] of this.#members.entries())
      for (const text of brokenWays(lab.engine, module, built, byImage))
        this.broken.push(`process ${index}: ${text}`);
    for (const { thread, member, name } of this.#calls) {
      // Whoever runs through padding is judged by what comes of it.
      if (thread.finished || !member.module.contains(thread.pc) || name === THROUGH) continue;
      const [at, entry] = [thread.pc, member.module.address(built.rva(name))];
      if (at >= entry && at < entry + 16n) continue;
      const end = follow(member.module, at);
      const isRoutine = lab.engine
        .patchList(member.module)
        .some(
          ({ patch, loaded }) => loaded.address(byImage.get(patch.image)?.routines.get(name) ?? 0) === end,
        );
      if (!isRoutine)
        this.broken.push(`a call of ${name} that stands at ${member.module.describe(at)} is led astray`);
    }
  }

  /** Every call returns, every hotpatch is taken back, and the modules are as their file is. */
  #end(): void {
    const { engine } = this.machine.lab;
    if (this.broken.length === 0) {
      for (const { thread } of this.#calls) this.#execute(thread, LONGEST_CALL);
      this.#reap();
      if (this.#calls.length > 0) this.broken.push(`${this.#calls.length} call(s) did not return`);
      for (let round = 0; round < this.#patches.length; round++)
        for (const patch of [...this.#patches].reverse())
          if (patch.state === 'applied') this.#try(`unload ${patch.name}`, () => engine.unload(patch));
      engine.restoreLeftHooks();
      for (const [index, { module }] of this.#members.entries())
        if (!isOriginal(module)) this.broken.push(`process ${index} is not as its file is`);
      for (const patch of this.#patches)
        if (patch.state === 'applied') this.broken.push(`${patch.name} could not be taken back`);
      this.#check();
    }
    for (const { process } of this.#members) process.terminate();
  }
}
