import { type ArchitectureName, CpuError } from '../../cpu/index.js';
import { HotPatchError, type Patch } from '../../engine/index.js';
import type { PeImage, SymbolTable } from '../../image/index.js';
import { Lab } from '../../lab/index.js';
import { GuestCrash, type LoadedImage, type Process, type Thread } from '../../loader/index.js';
import type { HookRequest, HookStores, InlineHook } from './shapes.js';

/** Images to try hooks on: a base in a process, its hotpatch and the next, cumulative one. */
export interface HookedProgram {
  readonly architecture: ArchitectureName;
  readonly images: readonly {
    readonly name: string;
    readonly image: PeImage;
    readonly symbols?: SymbolTable | undefined;
  }[];
  readonly patches: readonly [HookedPatch, HookedPatch];
  /** The base is the last one of `images`. */
  readonly function: string;
  readonly arguments: readonly number[];
}

export interface HookedPatch {
  readonly name: string;
  readonly image: PeImage;
  readonly symbols?: SymbolTable | undefined;
}

/** What became of one call of the function. */
export interface CallOutcome {
  readonly result: number | undefined;
  /** Did it pass the handler of the hook? */
  readonly hooked: boolean;
  /** The last image whose version of the function it came to: the base, or a patch image by its sequence number. */
  readonly code: 'base' | 1 | 2 | undefined;
  readonly crashed: boolean;
}

const ISLAND_DISTANCE = 0x4_0000n;
const ISLAND_PAGES = 1;
const MOST_STEPS = 100;
const MOST_INSTRUCTIONS = 3000;
/** Of a function's entry on: its jumps and padding do not count as its code. */
const BODY = { start: 0n, end: 0x18n } as const;

/** A machine with the program in a process; hooks and hotpatches come and go between calls. */
export class HookMachine implements Disposable {
  readonly lab: Lab<'modern'>;
  readonly process: Process;
  readonly base: LoadedImage;
  readonly #handler: bigint;
  #hooks: { readonly address: bigint; readonly before: Uint8Array }[] = [];
  readonly #patches: Patch[] = [];

  constructor(private readonly program: HookedProgram) {
    const { architecture, images } = program;
    this.lab = Lab.boot({ architecture });
    this.process = this.lab.createProcess('hooked.exe');
    const loaded = images.map(({ name, image, symbols }) => this.process.loadImage(image, { name, symbols }));
    const base = loaded.at(-1);
    if (base === undefined) throw new RangeError('there is no image');
    this.base = base;
    this.#handler = base.dllBase - ISLAND_DISTANCE;
    this.process.domain.table.commit(this.#handler, ISLAND_PAGES, 'PAGE_EXECUTE_READ');
  }

  get function(): bigint {
    return this.base.symbol(this.program.function);
  }

  /** The new function in the image of the newest patch. */
  get patchFunction(): bigint {
    const loaded = this.#patches.at(-1)?.loaded;
    if (loaded === undefined) throw new RangeError('no patch is applied');
    return loaded.symbol(this.program.function);
  }

  request(at: bigint): HookRequest {
    const { addressSpace } = this.process;
    return {
      architecture: this.program.architecture,
      function: at,
      read: (address, length) => addressSpace.read(address, length),
      handler: this.#handler,
      trampoline: this.#handler + 0x80n,
    };
  }

  /** Hooks the function at an address; false when the library refuses. */
  hook(hook: InlineHook, at: bigint): boolean {
    const stores = hook.stores(this.request(at));
    if (stores === undefined) return false;
    this.store(stores);
    return true;
  }

  store({ memory, jumps }: HookStores): void {
    for (const { address, bytes } of memory) this.#write(address, bytes);
    for (const { address, bytes } of jumps) {
      this.#hooks.push({ address, before: this.process.addressSpace.read(address, bytes.length).slice() });
      this.#write(address, bytes);
    }
  }

  /** Puts the bytes back that the hook has replaced, as hook libraries do: those that it saw. */
  unhook(): void {
    for (const { address, before } of this.#hooks.reverse()) this.#write(address, before);
    this.#hooks = [];
  }

  /** Applies a hotpatch; the status when it is refused. */
  patch(number: 1 | 2): string | undefined {
    const { name, image, symbols } = this.program.patches[number - 1] ?? this.program.patches[0];
    return statusOf(() => {
      this.#patches.push(
        this.lab.engine.load(image, { name, ...(symbols === undefined ? {} : { symbols }) }),
      );
    });
  }

  revert(): string | undefined {
    const newest = this.#patches.at(-1);
    return newest === undefined ? undefined : statusOf(() => this.lab.engine.unload(newest));
  }

  /** A thread of nobody's: no DllMain hears of it, and its first instruction is the function's. */
  #thread(): Thread {
    const { domain } = this.process;
    return this.lab.kernel.createThread(this.function, this.program.arguments, { domain });
  }

  /** A thread that has executed so many instructions of the function; `go` lets it finish. */
  inside(instructions: number) {
    const thread = this.#thread();
    for (let count = 0; count < instructions; count++)
      this.lab.run({ until: thread.returns(), instructions: 1 });
    const at = thread.pc;
    return {
      at,
      go: (): 'returns' | 'crash' => {
        try {
          this.lab.run({ until: thread.returns(), instructions: MOST_INSTRUCTIONS });
          return thread.finished ? 'returns' : 'crash';
        } catch (error) {
          if (!(error instanceof GuestCrash || error instanceof CpuError)) throw error;
          return 'crash';
        }
      },
    };
  }

  /** Calls the function, and says where it came by. */
  call(): CallOutcome {
    const thread = this.#thread();
    const places = this.#versions();
    let hooked = false;
    let code: CallOutcome['code'];
    try {
      // Step by step until it has come to some version of the function; the rest decides about result and crash.
      for (let count = 0; count < MOST_STEPS && code === undefined && !thread.finished; count++) {
        const { pc } = thread;
        if (pc === this.#handler) hooked = true;
        code = places.find(({ start, end }) => pc >= start && pc < end)?.code;
        this.lab.run({ until: thread.returns(), instructions: 1 });
      }
      this.lab.run({ until: thread.returns(), instructions: MOST_INSTRUCTIONS });
    } catch (error) {
      if (!(error instanceof GuestCrash || error instanceof CpuError)) throw error;
      return { result: undefined, hooked, code, crashed: true };
    }
    return { result: thread.result, hooked, code, crashed: !thread.finished };
  }

  /** Behind the jumps of entries, where each version's own code is: instructions that only it has. */
  #versions() {
    const { program } = this;
    const at = (entry: bigint, code: 'base' | 1 | 2) => ({
      start: entry + BODY.end,
      end: entry + BODY.end + 0x40n,
      code,
    });
    const patches = this.#patches.flatMap(({ loaded, sequenceNumber }) =>
      loaded === undefined ? [] : [at(loaded.symbol(program.function), sequenceNumber === 1 ? 1 : 2)],
    );
    return [at(this.function, 'base'), ...patches];
  }

  #write(address: bigint, bytes: Uint8Array): void {
    const { machine, addressSpace } = this.process.domain;
    machine.writeCode(addressSpace, address, bytes);
  }

  [Symbol.dispose](): void {
    this.lab[Symbol.dispose]();
  }
}

function statusOf(action: () => void): string | undefined {
  try {
    action();
    return undefined;
  } catch (error) {
    if (error instanceof HotPatchError) return error.status.name;
    throw error;
  }
}
