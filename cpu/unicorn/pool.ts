import { isMainThread } from 'node:worker_threads';
import { CpuError } from '../error.js';
import { BlockLog } from './block-log.js';
import { callbackFor, enter, REFUSED } from './callbacks.js';
import * as uc from './constants.js';
import { ContextBuffer } from './context.js';
import { koffi } from './koffi.js';
import { check, type HostPointer, type UnicornFunctions, unicorn } from './library.js';
import { control, type EngineKind, mapMemory, openEngine, PAGE, unmapMemory } from './open.js';

export interface NativeBlocks {
  readonly log: BlockLog;
  /** Of Unicorn. */
  hook: bigint;
}

/** The native half of an {@link Engine}: open, with the hooks that every engine has, and no memory mapped. */
export interface NativeEngine {
  readonly kind: EngineKind;
  readonly handle: HostPointer;
  readonly context: ContextBuffer;
  /**
   * How it counts instructions: by the blocks that it enters, or (undefined) one by one. An engine that has counted one by
   * one cannot do without any more: Unicorn forgets that only with translations of pages that are gone.
   */
  readonly blocks: NativeBlocks | undefined;
  /** Registers as after {@link openEngine}. */
  readonly initial: Uint8Array;
}

interface Kept {
  readonly counting: NativeEngine[];
  readonly withBlocks: NativeEngine[];
}

const kept: Readonly<Record<EngineKind, Kept>> = {
  'x86-64': { counting: [], withBlocks: [] },
  arm64: { counting: [], withBlocks: [] },
};

const keptLike = (kind: EngineKind, hasBlocks: boolean): NativeEngine[] =>
  hasBlocks ? kept[kind].withBlocks : kept[kind].counting;

/**
 * Engines that nobody uses are kept for the next machine: opening one takes milliseconds, and Unicorn does not give back
 * all of a closed one's memory (half a megabyte of each that has run).
 */
const KEPT_PER_KIND = 32;

/** `hasBlocks`: it is to count by blocks. */
export function takeEngine(functions: UnicornFunctions, kind: EngineKind, hasBlocks = false): NativeEngine {
  return keptLike(kind, hasBlocks).pop() ?? openNative(functions, kind, hasBlocks);
}

/** `engine`: with all memory unmapped, all hooks but its own removed, and nothing translated. False: it is to be closed. */
export function keepEngine(engine: NativeEngine): boolean {
  const engines = keptLike(engine.kind, engine.blocks !== undefined);
  if (engines.length >= KEPT_PER_KIND) return false;
  engine.blocks?.log.clear();
  engines.push(engine);
  return true;
}

export function closeEngine(functions: UnicornFunctions, { handle, context }: NativeEngine): void {
  openInWorker()?.delete(handle);
  functions.contextFree(context.pointer);
  check(functions.close(handle), 'uc_close');
}

/** Handles of engines and the pointers of their contexts. */
type OpenEngines = Map<HostPointer, HostPointer>;

const OPEN = Symbol.for('hotpatch-lab: open engines of this worker');

/**
 * What a worker has open when it ends: its memory goes with it and no finalizer runs, but what Unicorn has allocated stays
 * with the process. One list for all contexts of the worker (vitest's vm pools load this module in each), of numbers, so
 * that it keeps no context. Undefined in the main thread.
 */
function openInWorker(): OpenEngines | undefined {
  if (isMainThread) return undefined;
  const holder = process as { [OPEN]?: OpenEngines };
  if (holder[OPEN] === undefined) {
    const engines: OpenEngines = new Map();
    holder[OPEN] = engines;
    process.once('exit', () => {
      for (const [handle, context] of engines) {
        unicorn().contextFree(context);
        unicorn().close(handle);
      }
    });
  }
  return holder[OPEN];
}

function openNative(functions: UnicornFunctions, kind: EngineKind, hasBlocks: boolean): NativeEngine {
  const handle = openEngine(functions, kind);
  try {
    const out = new BigUint64Array(new ArrayBuffer(8));
    const hook = (hookKind: number, tag = 0, ...rest: (string | number)[]) => {
      const callback = callbackFor(hookKind);
      const code = functions.hookAdd(handle, out, hookKind, callback, BigInt(tag), 1n, 0n, ...rest);
      check(code, `uc_hook_add of kind ${hookKind}`);
    };
    hook(uc.UC_HOOK_TLB_FILL);
    hook(uc.UC_HOOK_INTR);
    hook(uc.UC_HOOK_EDGE_GENERATED);
    for (const instruction of HOOKED_INSTRUCTIONS[kind])
      hook(uc.UC_HOOK_INSN, instruction, 'int', instruction);
    const context = new ContextBuffer(functions, handle);
    const initial = context.save(handle);
    executeFirstBlocks(functions, kind, handle);
    const blocks = hasBlocks ? openBlocks(functions, handle) : undefined;
    openInWorker()?.set(handle, context.pointer);
    return { kind, handle, context, blocks, initial };
  } catch (error) {
    functions.close(handle);
    throw error;
  }
}

function openBlocks(functions: UnicornFunctions, handle: HostPointer): NativeBlocks {
  const log = new BlockLog(functions.stopAddress);
  return { log, hook: hookBlocks(functions, handle, log) };
}

/** Adds the hook of a log; returns its handle. */
export function hookBlocks(functions: UnicornFunctions, handle: HostPointer, log: BlockLog): bigint {
  const out = new BigUint64Array(new ArrayBuffer(8));
  const slot = koffi().address(log.slot);
  const code = functions.hookAdd(handle, out, uc.UC_HOOK_BLOCK, log.hook, slot, 1n, 0n);
  check(code, 'uc_hook_add of the block hook');
  return out[0] ?? 0n;
}

const none = (): void => {};
/** jmp +0; jmp +0xffc and b +4; b +0xffc: the last one leads to a page that is refused. */
/** System calls that are no interrupts to Unicorn. */
const HOOKED_INSTRUCTIONS: Readonly<Record<EngineKind, readonly number[]>> = {
  'x86-64': [uc.UC_X86_INS_SYSCALL, uc.UC_X86_INS_SYSENTER],
  arm64: [],
};

const TWO_BLOCKS: Readonly<Record<EngineKind, readonly number[]>> = {
  'x86-64': [0xeb, 0x00, 0xe9, 0xfc, 0x0f, 0x00, 0x00],
  arm64: [0x01, 0x00, 0x00, 0x14, 0xff, 0x03, 0x00, 0x14],
};

/** Of the blocks before the first that it has executed to its end, Unicorn does not tell: here are some for it. */
function executeFirstBlocks(functions: UnicornFunctions, kind: EngineKind, handle: HostPointer): void {
  const memory = new Uint8Array(new ArrayBuffer(PAGE));
  memory.set(TWO_BLOCKS[kind]);
  let told = 0;
  mapMemory(functions, handle, 0, memory);
  const outer = enter({
    handle,
    failure: undefined,
    events: {
      translate: (page) => (page === 0 ? uc.UC_PROT_ALL : REFUSED),
      translated: () => {
        told += 1;
      },
      retry: none,
      interrupt: none,
      systemCall: none,
      code: none,
      block: none,
      memory: none,
    },
  });
  try {
    const code = functions.start(handle, 0n, 0n, 0n, 0);
    if (code !== uc.UC_ERR_EXCEPTION) check(code, 'uc_emu_start');
  } finally {
    enter(outer);
    unmapMemory(functions, handle, 0, PAGE);
  }
  if (told === 0) {
    throw new CpuError('unicornNotUnderstood', 'this build of Unicorn does not tell of blocks', {
      status: 'STATUS_INTERNAL_ERROR',
    });
  }
  control(functions, handle, uc.UC_CTL_TB_FLUSH);
  control(functions, handle, uc.UC_CTL_TLB_FLUSH);
}
