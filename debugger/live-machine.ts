import { readFileSync } from 'node:fs';
import { basename } from 'node:path';
import { findSymbols, IMAGE_SUBSYSTEM, type PeImage, readImage } from '../image/index.js';
import { defineScenario, Lab, type Scenario } from '../lab/index.js';
import { GuestCrash, type ImageDomain, type LoadedImage, type Thread } from '../loader/index.js';
import { DebugError } from './error.js';
import type { DebugSession } from './session.js';

/** One call that a live machine is asked for. */
export interface LiveCall {
  /** As it was written: `Total 3 4`. */
  readonly text: string;
  /** Export or symbol of the image. */
  readonly function: string;
  /** Numbers, and bytes that the function gets a pointer to. */
  readonly arguments: readonly (bigint | Uint8Array)[];
}

/** A call and what has become of it. */
export interface LiveResult {
  readonly call: string;
  readonly thread: number;
  readonly state: 'running' | 'returned' | 'crashed';
  /** The result as text, or why the thread has crashed. */
  readonly text?: string;
}

export interface LiveMachineOptions {
  /** A DLL, which gets a process, or a driver. */
  readonly image: string;
  readonly processors: number;
  /** The first call: `Total 3 4`. */
  readonly call: string;
  /** Reads a call. */
  readonly read: (text: string) => LiveCall;
  /** What a function has returned, as text. */
  readonly show: (result: bigint, float: number) => string;
}

type LiveStep =
  | { readonly kind: 'call'; readonly call: LiveCall }
  | { readonly kind: 'apply'; readonly path: string }
  | { readonly kind: 'revert'; readonly name: string };

interface Started {
  readonly call: LiveCall;
  readonly thread: Thread;
}

interface Booted {
  readonly lab: Lab<'modern'>;
  readonly domain: ImageDomain;
  readonly base: LoadedImage;
}

/**
 * A machine with one image whose functions are called one after the other, as they are asked for. What was asked for is
 * kept: a session that goes back in time runs it again from the beginning.
 */
export class LiveMachine {
  readonly #steps: LiveStep[];
  /** How many of them this run has begun. */
  #begun = 0;
  #started: Started[] = [];
  #booted: Booted | undefined;
  #session: DebugSession | undefined;

  constructor(private readonly options: LiveMachineOptions) {
    this.#steps = [{ kind: 'call', call: options.read(options.call) }];
  }

  /** What a debug session runs. */
  get scenario(): Scenario {
    return defineScenario(basename(this.options.image), () => this.#run());
  }

  /** Who says what comes next. */
  attach(session: DebugSession): void {
    this.#session = session;
  }

  get results(): readonly LiveResult[] {
    return this.#started.map(({ call, thread }): LiveResult => {
      const { id, crash, returnValue, floatReturnValue = 0 } = thread;
      const common = { call: call.text, thread: id };
      if (crash !== undefined) return { ...common, state: 'crashed', text: crash.text };
      if (!thread.finished) return { ...common, state: 'running' };
      const bits = thread.architecture.pointerSize * 8;
      const result = BigInt.asUintN(bits, returnValue ?? 0n);
      return { ...common, state: 'returned', text: this.options.show(result, floatReturnValue) };
    });
  }

  /**
   * Reads a call of a function of the image.
   * @throws KernelError when there is no such function
   */
  read(text: string): LiveCall {
    const call = this.options.read(text);
    this.#machine.base.symbol(call.function);
    return call;
  }

  /** Starts another thread beside those that are in calls. */
  start(call: LiveCall): void {
    const { lab, domain, base } = this.#machine;
    const parameters = call.arguments.map((argument) =>
      typeof argument === 'bigint' ? argument : lab.allocate(argument, { domain }),
    );
    const address = base.symbol(call.function);
    const thread = lab.kernel.createThread(address, parameters, { domain, name: call.function });
    this.#started.push({ call, thread });
  }

  /** Applies a hotpatch image between two calls. */
  apply(path: string): void {
    this.#do({ kind: 'apply', path });
  }

  /** Takes a patch back between two calls; '': the newest one in force. */
  revert(name: string): void {
    this.#do({ kind: 'revert', name });
  }

  get #machine(): Booted {
    if (this.#booted === undefined) throw new DebugError('the machine has not booted');
    return this.#booted;
  }

  #run(): void {
    this.#begun = 0;
    this.#started = [];
    this.#booted = boot(this.options);
    for (;;) {
      const known = this.#steps[this.#begun];
      if (known === undefined) {
        const call = this.#session?.nextCall(this);
        if (call === undefined) return;
        this.#steps.push({ kind: 'call', call });
        continue;
      }
      this.#begun++;
      if (known.kind === 'call') this.#call(known.call);
      else this.#again(known);
    }
  }

  /** Runs until every thread has returned; others may be started meanwhile. */
  #call(call: LiveCall): void {
    this.#session?.beginCall();
    this.start(call);
    const { lab } = this.#machine;
    for (;;) {
      const running = this.#started.find(({ thread }) => !thread.finished);
      if (running === undefined) return;
      try {
        lab.run({ until: running.thread.returns() });
      } catch (error) {
        // What became of the thread is its result.
        if (!(error instanceof GuestCrash)) throw error;
      }
    }
  }

  #do(step: LiveStep): void {
    this.#perform(step);
    this.#steps.push(step);
    this.#begun++;
  }

  #again(step: LiveStep): void {
    try {
      this.#perform(step);
    } catch {
      // Something was done before it that was not there the first time; !hotpatch shows what is in force.
    }
  }

  #perform(step: LiveStep): void {
    const { lab } = this.#machine;
    if (step.kind === 'apply') lab.loadHotPatch(step.path);
    if (step.kind !== 'revert') return;
    const patch = lab.engine.patches.findLast(({ name, state }) =>
      step.name === '' ? state === 'applied' : name === step.name,
    );
    if (patch === undefined) throw new DebugError('there is no patch in force');
    lab.unloadHotPatch(patch);
  }
}

function boot({ image: path, processors }: LiveMachineOptions): Booted {
  const image = readImage(readFileSync(path), { file: path });
  const { architecture } = image;
  if (architecture === undefined) throw new DebugError(`${path}: ${image.machine} images cannot be run`);
  const lab = Lab.boot({ architecture, processors });
  const domain = domainFor(lab, image);
  const symbols = findSymbols({ image, path }).table;
  const base = lab.kernel.loadImage(image, { domain, name: basename(path), symbols });
  return { lab, domain, base };
}

/** Drivers go into kernel space, everything else into a process. */
function domainFor(lab: Lab, image: PeImage): ImageDomain {
  if (image.optionalHeader.subsystem === IMAGE_SUBSYSTEM.NATIVE || lab.kernel.boot.runsWow64)
    return lab.kernel.domain;
  return lab.createProcess('live.exe').domain;
}
