import { CpuError, machineDisposed } from '../error.js';
import type { BlockLog } from './block-log.js';
import { type Calibration, calibration } from './calibration.js';
import {
  callbackFor,
  type EngineEvents,
  enter,
  isAnyEngineRunning,
  REFUSED,
  type Translation,
} from './callbacks.js';
import * as uc from './constants.js';
import type { ContextBuffer } from './context.js';
import { ABORTED } from './guard.js';
import { koffi } from './koffi.js';
import { check, type HostPointer, type UnicornFunctions, unicorn } from './library.js';
import { control, type EngineKind, mapMemory, PAGE, unmapMemory } from './open.js';
import { closeEngine, hookBlocks, keepEngine, type NativeEngine, takeEngine } from './pool.js';
import { type RegisterBatch, type RegisterFile, X86_REGISTERS } from './registers.js';
import { Screen } from './untranslatable.js';

export type { EngineKind } from './open.js';

/** Counts above this do not happen; the count hook stays on so that counts are exact. */
export const NO_LIMIT = 2 ** 40;

const PAGE_SHIFT = 12;

/** Virtual page at which {@link Engine.forgetCode} shows physical page 0. Never a guest page: not canonical. */
const WINDOW_PAGE = 2 ** 50;

/** Above this many pages one full flush is cheaper than invalidating each. */
const FLUSH_ALL_ABOVE = 24;

interface Remains {
  readonly native: NativeEngine;
  /** What the engine maps; may not go before it. */
  readonly buffers: readonly unknown[];
  readonly functions: UnicornFunctions;
}

export interface EngineOptions {
  /** The registers of {@link Engine.readGeneral}, none wider than 64 bits. */
  readonly general?: readonly string[];
  /** Instructions are counted without a call for each; {@link BlockLog.isPossible} must be true then. */
  readonly countsBlocks?: boolean;
  /** Unicorn's, called through these; for who counts calls or lets one fail. */
  readonly functions?: UnicornFunctions | undefined;
}

/** Closes engines that were forgotten instead of disposed of. */
const abandoned = new FinalizationRegistry<Remains>(({ functions, native }) =>
  closeEngine(functions, native),
);

/** What keeps code from the translator that it would abort on; x86's it refuses itself. */
const SCREENS: Readonly<Record<EngineKind, (memory: Uint8Array) => Screen | undefined>> = {
  'x86-64': () => undefined,
  arm64: (memory) => new Screen(memory),
};

export interface Hook extends Disposable {
  readonly kind: number;
}

/** One Unicorn engine in virtual-TLB mode over a shared buffer of physical memory. All traps of Unicorn stay below here. */
export class Engine implements Disposable {
  readonly kind: EngineKind;
  readonly registers: RegisterFile;
  failure: { readonly error: unknown } | undefined;
  readonly #functions: UnicornFunctions;
  readonly #native: NativeEngine;
  readonly #context: ContextBuffer;
  /** Physical addresses and sizes of what is mapped. */
  readonly #mapped = new Map<number, number>();
  readonly #hooks = new Set<bigint>();
  readonly #general: RegisterBatch;
  readonly #state: RegisterBatch;
  readonly #events: EngineEvents;
  readonly #screen: Screen | undefined;
  readonly #out = new BigUint64Array(new ArrayBuffer(8));
  #handle: HostPointer;
  #engineView: DataView | undefined;
  #invalidating = false;

  /** `memory` must be whole pages. */
  constructor(
    kind: EngineKind,
    memory: Uint8Array,
    registers: RegisterFile,
    events: EngineEvents,
    { general = [], countsBlocks = false, functions = unicorn() }: EngineOptions = {},
  ) {
    if (memory.byteLength === 0 || memory.byteLength % PAGE !== 0) {
      throw new CpuError('memorySize', `physical memory of ${memory.byteLength} bytes is not whole pages`, {
        status: 'STATUS_INVALID_PARAMETER',
      });
    }
    this.kind = kind;
    this.#functions = functions;
    this.registers = registers;
    this.#general = registers.batch(general);
    this.#state = registers.batch(registers.stateNames);
    this.#screen = SCREENS[kind](memory);
    this.#events =
      this.#screen === undefined
        ? events
        : { ...events, translate: (page, access) => this.#translateScreened(events, page, access) };
    const native = takeEngine(this.#functions, kind, countsBlocks);
    this.#native = native;
    this.#handle = native.handle;
    this.#context = native.context;
    try {
      this.#map(0, memory);
      this.restoreContext(native.initial);
    } catch (error) {
      closeEngine(this.#functions, native);
      throw error;
    }
    abandoned.register(this, { native, buffers: [memory, this.#screen], functions }, this);
  }

  get handle(): HostPointer {
    if (this.#handle === 0n) throw machineDisposed('use a processor');
    return this.#handle;
  }

  get events(): EngineEvents {
    return this.#invalidating ? WINDOW : this.#events;
  }

  #translateScreened(events: EngineEvents, page: number, access: number): Translation {
    const translation = events.translate(page, access);
    const screen = this.#screen;
    if (translation < 0 || screen === undefined) return translation;
    const physical = Math.floor(translation / 8);
    const answer = screen.translate(physical, translation & 7, access);
    if (answer >= 0) return answer;
    events.retry(access, () => {
      this.#mapScreen(screen);
      this.flushTranslations();
    });
    return REFUSED;
  }

  #map(physical: number, memory: Uint8Array): void {
    mapMemory(this.#functions, this.handle, physical, memory);
    this.#mapped.set(physical, memory.byteLength);
  }

  #mapScreen(screen: Screen): void {
    if (screen.buffer !== undefined) return;
    const { address, buffer } = screen.create();
    this.#map(address, buffer);
  }

  #control(request: number, ...typedValues: (string | number | bigint)[]): void {
    control(this.#functions, this.handle, request, ...typedValues);
  }

  #hook(kind: number, begin: bigint, end: bigint, tag: number, ...rest: (string | number)[]): bigint {
    const callback = callbackFor(kind === uc.UC_HOOK_MEM_WRITE ? uc.UC_HOOK_MEM_READ : kind);
    const code = this.#functions.hookAdd(
      this.handle,
      this.#out,
      kind,
      callback,
      BigInt(tag),
      begin,
      end,
      ...rest,
    );
    check(code, `uc_hook_add of kind ${kind}`);
    return this.#out[0] ?? 0n;
  }

  /** Adds a hook over [first, last], or everywhere. Already translated code sees it only after {@link forgetCode}. */
  addHook(kind: number, tag: number, range?: { readonly first: bigint; readonly last: bigint }): Hook {
    this.#assertIdle('add a hook');
    const hook = this.#hook(kind, range?.first ?? 1n, range?.last ?? 0n, tag);
    this.#hooks.add(hook);
    return {
      kind,
      [Symbol.dispose]: () => {
        if (!this.#hooks.delete(hook)) return;
        check(this.#functions.hookDelete(this.#handle, hook), 'uc_hook_del');
      },
    };
  }

  #assertIdle(doing: string): void {
    if (isAnyEngineRunning()) {
      throw new CpuError(
        'processorRunning',
        `cannot ${doing} from within a callback of a running processor`,
        {
          status: 'STATUS_INVALID_DEVICE_STATE',
        },
      );
    }
  }

  /** Counts instructions by the blocks that the engine enters; undefined: they are counted one by one. */
  get blocks(): BlockLog | undefined {
    return this.#native.blocks?.log;
  }

  /** Whether the blocks entered are noted from now on, for {@link BlockLog.takeLog}. */
  logBlocks(isLogging: boolean): void {
    const { blocks } = this.#native;
    if (blocks === undefined || blocks.log.isLogging === isLogging) return;
    this.#assertIdle('change what is noted');
    check(this.#functions.hookDelete(this.handle, blocks.hook), 'uc_hook_del');
    blocks.log.isLogging = isLogging;
    blocks.hook = hookBlocks(this.#functions, this.handle, blocks.log);
    this.forgetAllCode();
  }

  /** A hook of kind `code` at one address, for as long as the engine lives. */
  hookInstruction(tag: number, address: bigint): Hook {
    return this.addHook(uc.UC_HOOK_CODE, tag, { first: address, last: address });
  }

  /**
   * Translates nothing at and behind `end` from now on; undefined: everything again, and what was translated since is
   * forgotten.
   */
  confineTranslation(end: bigint | undefined): void {
    this.#assertIdle('confine the translation');
    const { address } = koffi();
    const exits = BigUint64Array.of(end ?? 0n);
    const count = end === undefined ? 0 : 1;
    this.#control(uc.UC_CTL_UC_EXITS, 'void *', address(exits), 'size_t', count);
    if (end === undefined) this.forgetAllCode();
  }

  /**
   * Runs from `pc` until `count` instructions are done or something stops it; returns the `uc_err`, or
   * {@link ABORTED} when the block at the program counter could not be translated. Rethrows what a callback threw. With
   * {@link blocks} it stops in front of the block that goes beyond `count`.
   */
  run(pc: bigint, count: number): number {
    this.#assertIdle('run');
    const handle = this.handle;
    if (this.#screen?.isNearlyFull) this.forgetAllCode();
    const outer = enter(this);
    let code: number;
    try {
      const { blocks } = this;
      blocks?.begin(count);
      code = this.#functions.start(handle, pc, 0n, 0n, blocks === undefined ? count : 0);
    } finally {
      enter(outer);
    }
    this.#rethrow();
    if (code === ABORTED) this.#recover();
    return code;
  }

  /** Where this build of Unicorn keeps what it has no function for. */
  get calibration(): Calibration {
    return calibration((memory, events) => new Engine('x86-64', memory, X86_REGISTERS, events));
  }

  /** The jump out of the translator left uc_emu_start under way. */
  #recover(): void {
    const { nestedLevel } = this.calibration;
    this.#engineState().setInt32(nestedLevel, 0, true);
  }

  #rethrow(): void {
    const { failure } = this;
    if (failure === undefined) return;
    this.failure = undefined;
    throw failure.error;
  }

  /** Asks the running emulation to stop; for callbacks. */
  stop(): void {
    check(this.#functions.stop(this.handle), 'uc_emu_stop');
  }

  /**
   * Instructions begun in the last {@link run}, including one that faulted and one that the count stopped; not with
   * {@link blocks}.
   */
  get begun(): number {
    const state = this.#engineState();
    const { counter } = this.calibration;
    return state.getUint32(counter, true) + state.getUint32(counter + 4, true) * 2 ** 32;
  }

  /** Virtual address of the last access that {@link EngineEvents.translate} refused. */
  get refusedAddress(): bigint {
    return this.#engineState().getBigUint64(this.calibration.refusedAddress, true);
  }

  #engineState(): DataView {
    this.#engineView ??= new DataView(koffi().view(this.handle, this.calibration.size));
    return this.#engineView;
  }

  /** Forgets all virtual-to-physical translations. */
  flushTranslations(): void {
    this.#control(uc.UC_CTL_TLB_FLUSH);
  }

  /** Forgets everything translated to host code. */
  forgetAllCode(): void {
    this.#assertIdle('flush');
    this.#control(uc.UC_CTL_TB_FLUSH);
    if (this.#screen === undefined) return;
    this.#screen.clear();
    this.flushTranslations();
  }

  /** Forgets the host code made from these physical pages. Flushes the translations too. */
  forgetCode(pages: ReadonlySet<number>): void {
    this.#assertIdle('forget code');
    if (pages.size > FLUSH_ALL_ABOVE || this.#screen?.hasScreened(pages)) {
      this.forgetAllCode();
    } else {
      this.#invalidating = true;
      const outer = enter(this);
      try {
        for (const page of pages) {
          const start = BigInt(WINDOW_PAGE + page) << BigInt(PAGE_SHIFT);
          this.#control(uc.UC_CTL_TB_REMOVE_CACHE, 'uint64_t', start, 'uint64_t', start + BigInt(PAGE));
        }
      } finally {
        enter(outer);
        this.#invalidating = false;
      }
    }
    this.flushTranslations();
  }

  readRegister(name: string): bigint {
    return this.registers.read(this.#functions, this.handle, name);
  }

  writeRegister(name: string, value: bigint): void {
    this.registers.write(this.#functions, this.handle, name, value);
  }

  readGeneral(): BigUint64Array {
    return this.#general.read(this.#functions, this.handle);
  }

  /** Values of {@link RegisterFile.stateNames} in a context, two 64-bit words each. */
  stateOf(context: Uint8Array): BigUint64Array {
    this.#assertIdle('look into a context');
    const own = this.saveContext();
    this.restoreContext(context);
    const values = this.#state.read(this.#functions, this.handle).slice();
    this.restoreContext(own);
    return values;
  }

  /** A copy of the whole register state; only for {@link restoreContext} of an engine of the same kind. */
  saveContext(): Uint8Array {
    return this.#context.save(this.handle);
  }

  restoreContext(context: Uint8Array): void {
    this.#context.restore(this.handle, context);
  }

  [Symbol.dispose](): void {
    if (this.#handle === 0n) return;
    this.#assertIdle('close a processor');
    abandoned.unregister(this);
    if (!this.#giveBack()) closeEngine(this.#functions, this.#native);
    this.#handle = 0n;
    this.#engineView = undefined;
  }

  /** Leaves the engine to the next machine, as if it were new. False: it cannot be. */
  #giveBack(): boolean {
    try {
      for (const hook of this.#hooks) check(this.#functions.hookDelete(this.#handle, hook), 'uc_hook_del');
      this.#hooks.clear();
      this.logBlocks(false);
      this.confineTranslation(undefined);
      for (const [physical, size] of this.#mapped) {
        unmapMemory(this.#functions, this.#handle, physical, size);
      }
      this.flushTranslations();
      return keepEngine(this.#native);
    } catch {
      return false;
    }
  }
}

const none = (): void => {};

/** While code is being forgotten, Unicorn looks the window up and nothing else. */
const WINDOW: EngineEvents = {
  translate: (page) => (page - WINDOW_PAGE) * 8 + uc.UC_PROT_EXEC,
  retry: none,
  interrupt: none,
  systemCall: none,
  code: none,
  block: none,
  translated: none,
  memory: none,
};
