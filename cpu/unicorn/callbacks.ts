import {
  UC_HOOK_BLOCK,
  UC_HOOK_CODE,
  UC_HOOK_EDGE_GENERATED,
  UC_HOOK_INSN,
  UC_HOOK_INTR,
  UC_HOOK_MEM_READ,
  UC_HOOK_TLB_FILL,
  UC_MEM_WRITE,
} from './constants.js';
import { koffi } from './koffi.js';
import { enterCallback, type HostPointer, leaveCallback, unicorn } from './library.js';

/** Where a translation leads: bits 3 and up are the physical page, bits 0–2 are UC_PROT_*. Negative: refused. */
export type Translation = number;
export const REFUSED: Translation = -1;

/** What Unicorn reports while an engine runs. Addresses are virtual unless said otherwise. */
export interface EngineEvents {
  /** Asks for the translation of a virtual page (address / 4096) for UC_MEM_READ, UC_MEM_WRITE or UC_MEM_FETCH. */
  translate(page: number, access: number): Translation;
  /** The access was refused only until `resolve` has been called, with the engine standing still. */
  retry(access: number, resolve: () => void): void;
  interrupt(vector: number): void;
  /** `instruction` is UC_X86_INS_*. */
  systemCall(instruction: number): void;
  code(address: bigint, size: number, tag: number): void;
  block(address: bigint, size: number): void;
  /** The engine has translated a block, `size` in bytes, and is about to execute it. */
  translated(address: bigint, size: number, instructions: number): void;
  /** `physical` because Unicorn hands out physical addresses in this mode. */
  memory(write: boolean, physical: number, size: number, value: bigint): void;
}

/** The engine inside uc_emu_start (or a cache operation) now. Unicorn calls back only from there. */
export interface RunningEngine {
  readonly handle: HostPointer;
  readonly events: EngineEvents;
  failure: { readonly error: unknown } | undefined;
}

let running: RunningEngine | undefined;

/** Directs the callbacks to `engine` and returns where they went before; to be put back in any case. */
export function enter(engine: RunningEngine | undefined): RunningEngine | undefined {
  const outer = running;
  running = engine;
  return outer;
}

export const isAnyEngineRunning = (): boolean => running !== undefined;

const unsigned = (value: bigint | number): bigint => BigInt.asUintN(64, BigInt(value));

// `void *` parameters arrive as unsigned bigint, or null for 0; uint64_t ones as signed.
type Address = bigint | null;

/** The engine that is to hear of an event: none once one of its callbacks has failed. */
function listening(): RunningEngine | undefined {
  return running?.failure === undefined ? running : undefined;
}

// An exception that leaves a callback does not stop Unicorn: it would run on without any further callback.
function fail(engine: RunningEngine, error: unknown): void {
  engine.failure = { error };
  unicorn().stop(engine.handle);
}

function fill(_engine: number, address: Address, access: number, result: HostPointer): boolean {
  const engine = listening();
  if (engine === undefined) return false;
  const before = enterCallback();
  try {
    const translation = engine.events.translate(address === null ? 0 : Number(address >> 12n), access);
    if (translation < 0) return false;
    const { encode, types } = koffi();
    encode(result, types.uint64, Math.floor(translation / 8) * 4096);
    encode(result, 8, types.uint32, translation & 7);
    return true;
  } catch (error) {
    fail(engine, error);
    return false;
  } finally {
    leaveCallback(before);
  }
}

function interrupt(_engine: number, vector: number): void {
  const engine = listening();
  if (engine === undefined) return;
  const before = enterCallback();
  try {
    unicorn().stop(engine.handle);
    engine.events.interrupt(vector);
  } catch (error) {
    fail(engine, error);
  } finally {
    leaveCallback(before);
  }
}

function instruction(_engine: number, tag: number): void {
  const engine = listening();
  if (engine === undefined) return;
  const before = enterCallback();
  try {
    unicorn().stop(engine.handle);
    engine.events.systemCall(tag);
  } catch (error) {
    fail(engine, error);
  } finally {
    leaveCallback(before);
  }
}

function code(_engine: number, address: Address, size: number, tag: number): void {
  const engine = listening();
  if (engine === undefined) return;
  const before = enterCallback();
  try {
    engine.events.code(address ?? 0n, size, tag);
  } catch (error) {
    fail(engine, error);
  } finally {
    leaveCallback(before);
  }
}

function block(_engine: number, address: Address, size: number): void {
  const engine = listening();
  if (engine === undefined) return;
  const before = enterCallback();
  try {
    engine.events.block(address ?? 0n, size);
  } catch (error) {
    fail(engine, error);
  } finally {
    leaveCallback(before);
  }
}

/** `uc_tb`: address, number of instructions, size. */
const COUNT_OFFSET = 8;
const SIZE_OFFSET = 10;

function edge(_engine: number, current: HostPointer): void {
  const engine = listening();
  if (engine === undefined) return;
  const before = enterCallback();
  try {
    const { decode, types } = koffi();
    const address = unsigned(decode(current, types.uint64));
    const size = decode(current, SIZE_OFFSET, types.uint16);
    engine.events.translated(address, size, decode(current, COUNT_OFFSET, types.uint16));
  } catch (error) {
    fail(engine, error);
  } finally {
    leaveCallback(before);
  }
}

function memory(_engine: number, type: number, physical: number, size: number, value: number | bigint): void {
  const engine = listening();
  if (engine === undefined) return;
  const before = enterCallback();
  try {
    engine.events.memory(type === UC_MEM_WRITE, physical, size, unsigned(value));
  } catch (error) {
    fail(engine, error);
  } finally {
    leaveCallback(before);
  }
}

const ADDRESS = 'void *';
/** Pointers that nobody looks at and tags, which are small: their lower halves arrive as plain numbers, cheaper than bigint. */
const LOW = 'uint32_t';
const DEFINITIONS: ReadonlyMap<number, readonly [(...values: never[]) => unknown, string, string[]]> =
  new Map([
    [UC_HOOK_TLB_FILL, [fill, 'bool', [LOW, ADDRESS, 'int', ADDRESS]]],
    [UC_HOOK_INTR, [interrupt, 'void', [LOW, 'uint32_t']]],
    [UC_HOOK_INSN, [instruction, 'void', [LOW, LOW]]],
    [UC_HOOK_CODE, [code, 'void', [LOW, ADDRESS, 'uint32_t', LOW]]],
    [UC_HOOK_BLOCK, [block, 'void', [LOW, ADDRESS, 'uint32_t']]],
    [UC_HOOK_EDGE_GENERATED, [edge, 'void', [LOW, ADDRESS, LOW]]],
    [UC_HOOK_MEM_READ, [memory, 'void', [LOW, 'int', 'uint64_t', 'int', 'int64_t']]],
  ]);

const registered = new Map<number, HostPointer>();

/**
 * The native callback of a hook kind. There is one per kind and process, never unregistered: koffi allows 8192 per
 * process, and Unicorn may not outlive one.
 */
export function callbackFor(kind: number): HostPointer {
  const known = registered.get(kind);
  if (known !== undefined) return known;
  const definition = DEFINITIONS.get(kind);
  if (definition === undefined) throw new TypeError(`no callback for hook kind ${kind}`);
  const [body, result, parameters] = definition;
  const { pointer, proto, register } = koffi();
  const callback = register(body, pointer(proto(result, parameters)));
  registered.set(kind, callback);
  return callback;
}
