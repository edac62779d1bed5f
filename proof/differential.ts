import type { BuildSource } from '../builder/index.js';
import { Program } from '../builder/index.js';
import type { EngineName } from '../engine/index.js';
import { hasHotp1Section, type PeImage } from '../image/index.js';
import { Lab } from '../lab/index.js';
import { GuestCrash, type LoadedImage } from '../loader/index.js';

/** Bytes that the function gets a pointer to; each call has its own. */
export interface DifferentialBuffer {
  readonly bytes: Uint8Array;
  /** What it holds after the call belongs to what the call returns. */
  readonly isCompared: boolean;
}

export type DifferentialArgument = bigint | DifferentialBuffer;

/** `name argument…` */
export interface DifferentialCall {
  readonly function: string;
  readonly arguments: readonly DifferentialArgument[];
  /** How reports write it. Default: its name and its numbers. */
  readonly text?: string;
}

export interface DifferentialInput {
  readonly base: BuildSource;
  readonly fixed: BuildSource;
  readonly patch: PeImage;
  /** Functions of the base that the patch redirects, by RVA. */
  readonly patched: readonly number[];
  /** Made one after the other in each world; state goes on. */
  readonly calls: readonly DifferentialCall[];
  /** Images that the others import from. */
  readonly with?: readonly BuildSource[];
  /** How many places at most the patch lands at in each call. Default 400. */
  readonly places?: number;
  /** Bytes of physical memory of each machine; small ones are made faster. Default: that of a machine. */
  readonly memorySize?: number;
}

/** A result as text: `7`, `7 00ff` with what a buffer holds, `crashed: STATUS_…`. */
export interface Disagreement {
  readonly kind: 'fresh' | 'inFlight' | 'later' | 'rolledBack';
  readonly call: string;
  /** The instruction at which the patch landed: `f+0x9`. */
  readonly at?: string;
  readonly observed: string;
  readonly right: string;
}

export interface DifferentialReport {
  readonly calls: number;
  /** How often the patch landed in the middle of a call. */
  readonly places: number;
  readonly disagreements: readonly Disagreement[];
  /** Calls in flight that gave neither the base's nor the fix's result, as several activations of one call may. */
  readonly mixtures: readonly Disagreement[];
}

/**
 * Makes the same calls on the base, on the fixed build alone and on the patched base: with the patch there before the first
 * one, landing before each instruction of the changed functions, and taken back. A call that began before returns what the
 * base or the fix would, or a mixture of both when it enters changed functions several times; every later one what the fix
 * returns.
 */
export async function compareBehaviour(input: DifferentialInput): Promise<DifferentialReport> {
  const disagreements: Disagreement[] = [];
  const mixtures: Disagreement[] = [];
  const { calls, base, fixed } = input;
  const ofBase = await results(input, base);
  const ofFixed = await results(input, fixed);
  {
    using world = await World.boot(input, base);
    world.apply();
    for (const [i, call] of calls.entries()) {
      const observed = world.call(call);
      const right = ofFixed[i] ?? '';
      if (observed !== right) disagreements.push({ kind: 'fresh', call: textOf(call), observed, right });
    }
  }
  {
    using world = await World.boot(input, base);
    world.rollBack(world.apply());
    for (const [i, call] of calls.entries()) {
      const observed = world.call(call);
      const right = ofBase[i] ?? '';
      if (observed !== right) disagreements.push({ kind: 'rolledBack', call: textOf(call), observed, right });
    }
  }
  let places = 0;
  const program = new Program(base);
  for (const [i, call] of calls.entries())
    for (const rva of placesOf(program, input.patched, input.places ?? 400)) {
      using world = await World.boot(input, base);
      for (const earlier of calls.slice(0, i)) world.call(earlier);
      const observed = world.callWithPatch(call, rva);
      if (observed === undefined) continue;
      places++;
      const at = program.describe(rva);
      const [old, now] = [ofBase[i] ?? '', ofFixed[i] ?? ''];
      if (observed !== old && observed !== now) {
        const found: Disagreement = {
          kind: 'inFlight',
          call: textOf(call),
          at,
          observed,
          right: `${old} (base) or ${now} (fixed)`,
        };
        (observed.startsWith('crashed') ? disagreements : mixtures).push(found);
      }
      // Where the call before does not change what the next one returns, the next one must be the fix's.
      const next = calls[i + 1];
      if (next === undefined || observed !== now) continue;
      const later = world.call(next);
      const right = ofFixed[i + 1] ?? '';
      if (later !== right && old === now && ofBase[i + 1] !== later)
        disagreements.push({ kind: 'later', call: textOf(next), at, observed: later, right });
    }
  return { calls: calls.length, places, disagreements, mixtures };
}

function textOf({ function: name, arguments: parameters, text }: DifferentialCall): string {
  return (
    text ??
    [name, ...parameters.map((one) => (typeof one === 'bigint' ? one : `buf:${one.bytes.length}`))].join(' ')
  );
}

function placesOf(program: Program, patched: readonly number[], most: number): number[] {
  const all = patched.flatMap((rva) => {
    const code = program.functionAt(rva);
    return code === undefined ? [] : program.stream(code).instructions.map(({ offset }) => code.rva + offset);
  });
  const step = Math.max(1, Math.ceil(all.length / most));
  return all.filter((_, index) => index % step === 0);
}

async function results(input: DifferentialInput, of: BuildSource): Promise<string[]> {
  using world = await World.boot(input, of);
  return input.calls.map((call) => world.call(call));
}

/** Most instructions of one call. */
const LIMIT = 5_000_000;

interface StartedCall {
  readonly thread: ReturnType<Lab['startThread']>;
  readonly compared: readonly { readonly address: bigint; readonly length: number }[];
}

/** A machine with one image, a DLL in a process or a driver in the kernel. */
class World implements Disposable {
  private constructor(
    private readonly lab: Lab,
    private readonly image: LoadedImage,
    private readonly input: DifferentialInput,
  ) {}

  static async boot(input: DifferentialInput, of: BuildSource): Promise<World> {
    const { image, symbols } = of;
    const { memorySize } = input;
    const NATIVE = 1;
    const engine: EngineName = hasHotp1Section(input.patch) ? 'server-2003' : 'modern';
    const lab: Lab = await Lab.boot({
      architecture: image.architecture,
      processors: 2,
      seed: 1,
      engine,
      ...(memorySize === undefined ? {} : { memorySize }),
    });
    const isDriver = image.optionalHeader.subsystem === NATIVE;
    const domain = isDriver ? lab.kernel : lab.createProcess('verify.exe');
    for (const other of input.with ?? [])
      domain.loadImage(other.image, { name: fileName(other.image), symbols: other.symbols });
    return new World(lab, domain.loadImage(image, { name: fileName(input.base.image), symbols }), input);
  }

  apply() {
    const { patch, fixed } = this.input;
    return this.lab.engine.load(patch, { name: `hotpatch of ${fileName(patch)}`, symbols: fixed.symbols });
  }

  rollBack(patch: ReturnType<World['apply']>): void {
    this.lab.unloadHotPatch(patch);
  }

  call(call: DifferentialCall): string {
    return this.#result(() => {
      const started = this.#start(call);
      this.lab.run({ until: started.thread.returns(), instructions: LIMIT });
      return this.#outcome(started);
    });
  }

  /** Undefined when the call does not come by this place. */
  callWithPatch(call: DifferentialCall, rva: number): string | undefined {
    let isThere = false;
    const place = this.image.dllBase + BigInt(rva);
    const result = this.#result(() => {
      const started = this.#start(call);
      const { thread } = started;
      this.lab.run({ until: [thread.reaches(place), thread.returns()], instructions: LIMIT });
      isThere = thread.pc === place && thread.result === undefined;
      if (!isThere) return '';
      this.apply();
      this.lab.run({ until: thread.returns(), instructions: LIMIT });
      return this.#outcome(started);
    });
    return isThere ? result : undefined;
  }

  #start({ function: name, arguments: parameters }: DifferentialCall): StartedCall {
    const { domain } = this.image;
    const compared: StartedCall['compared'][number][] = [];
    const values = parameters.map((one) => {
      if (typeof one === 'bigint') return one;
      const { length } = one.bytes;
      const address = domain.allocateMemory('pool', Math.max(1, length));
      domain.addressSpace.write(address, one.bytes);
      if (one.isCompared) compared.push({ address, length });
      return address;
    });
    return { thread: this.lab.startThread(this.image.symbol(name), values), compared };
  }

  #outcome({ thread, compared }: StartedCall): string {
    const { result } = thread;
    if (result === undefined) return 'did not return';
    const { addressSpace } = this.image.domain;
    const contents = compared.map(({ address, length }) =>
      Buffer.from(addressSpace.read(address, length)).toString('hex'),
    );
    return [String(result), ...contents].join(' ');
  }

  #result(run: () => string): string {
    try {
      return run();
    } catch (error) {
      if (error instanceof GuestCrash) return `crashed: ${error.status.name}`;
      throw error;
    }
  }

  [Symbol.dispose](): void {
    this.lab[Symbol.dispose]();
  }
}

function fileName({ file }: PeImage): string {
  return file?.replace(/^.*[\\/]/, '') ?? 'image';
}
