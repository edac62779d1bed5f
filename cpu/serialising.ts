import { CpuError } from './error.js';
import type { InstructionFetch } from './instruction-fetch.js';
import type { Processor } from './processor.js';
import { PAGE_SIZE } from './protection.js';
import type { Engine, EngineKind } from './unicorn/engine.js';
import { HOOK } from './unicorn/names.js';

/**
 * What an Arm instruction does to the processors' views of code: IC IVAU, IC IALLU, IC IALLUIS; `synchronise`: ISB, ERET.
 * The effect of a serialising x86 instruction is always the same: everything is fetched anew behind it.
 */
export type FetchEffect = 'invalidateLine' | 'invalidateAll' | 'invalidateAllShared' | 'synchronise';

const ISB = 0xd5033fdf;
const ISB_OPTION_MASK = 0xfffff0ff;
const ERET = 0xd69f03e0;
const IC_IALLUIS = 0xd508711f;
const IC_IALLU = 0xd508751f;
const IC_IVAU = 0xd50b7520;
const REGISTER_MASK = 0xffffffe0;

/** Effect of an A64 instruction (Arm ARM, C6.2 and "Context synchronization event"). */
export function arm64FetchEffect(word: number): FetchEffect | undefined {
  if ((word & ISB_OPTION_MASK) >>> 0 === (ISB & ISB_OPTION_MASK) >>> 0 || word === ERET) return 'synchronise';
  if (word === IC_IALLUIS) return 'invalidateAllShared';
  if (word === IC_IALLU) return 'invalidateAll';
  return (word & REGISTER_MASK) >>> 0 === IC_IVAU ? 'invalidateLine' : undefined;
}

/** Prefixes that may stand before a serialising opcode: REX, operand and address size, segments, REP. */
const isX86Prefix = (byte: number): boolean =>
  (byte & 0xf0) === 0x40 || [0x66, 0x67, 0x2e, 0x36, 0x3e, 0x26, 0x64, 0x65, 0xf2, 0xf3].includes(byte);

const IRET = 0xcf;
const TWO_BYTE = 0x0f;
/** Second opcode bytes: INVD, WBINVD, MOV CRn, MOV DRn, WRMSR, CPUID, RSM (Intel SDM vol. 3, "Serializing Instructions"). */
const X86_TWO_BYTE: ReadonlySet<number> = new Set([0x08, 0x09, 0x22, 0x23, 0x30, 0xa2, 0xaa]);
const GROUP_6 = 0x00;
const GROUP_7 = 0x01;
const SERIALIZE = 0xe8;

/** Whether the bytes, without prefixes, are a serialising instruction. */
export function isX86Serialising(bytes: Uint8Array, at: number): boolean {
  const opcode = bytes[at];
  if (opcode === IRET) return true;
  if (opcode !== TWO_BYTE) return false;
  const second = bytes[at + 1] ?? 0;
  if (X86_TWO_BYTE.has(second)) return true;
  const modrm = bytes[at + 2] ?? 0;
  const extension = (modrm >> 3) & 7;
  if (second === GROUP_6) return extension === 2 || extension === 3; // LLDT, LTR
  if (second !== GROUP_7) return false;
  return modrm === SERIALIZE || (modrm < 0xc0 && [2, 3, 7].includes(extension)); // LGDT, LIDT, INVLPG
}

/** Whether the instruction is SERIALIZE, which Unicorn's processors lack. */
export const isSerialize = (bytes: Uint8Array, at: number): boolean =>
  bytes[at] === TWO_BYTE && bytes[at + 1] === GROUP_7 && bytes[at + 2] === SERIALIZE;

const FETCH_EFFECTS: Readonly<Record<EngineKind, (page: Uint8Array) => number[]>> = {
  'x86-64': x86FetchEffects,
  arm64: arm64FetchEffects,
};

/** Offsets in a page of code where an instruction with an effect on fetching may begin. */
export const findFetchEffects = (kind: EngineKind, page: Uint8Array): number[] => FETCH_EFFECTS[kind](page);

function arm64FetchEffects(page: Uint8Array): number[] {
  const offsets: number[] = [];
  const view = new DataView(page.buffer, page.byteOffset, page.byteLength);
  for (let at = 0; at + 4 <= page.byteLength; at += 4)
    if (arm64FetchEffect(view.getUint32(at, true)) !== undefined) offsets.push(at);
  return offsets;
}

function x86FetchEffects(page: Uint8Array): number[] {
  const offsets = new Set<number>();
  for (let at = 0; at < page.byteLength; at++) {
    if (!isX86Serialising(page, at)) continue;
    offsets.add(at);
    for (let start = at - 1; isX86Prefix(page[start] ?? 0); start--) offsets.add(start);
  }
  return [...offsets];
}

type HookedEngine = Pick<Engine, 'kind' | 'addHook' | 'forgetAllCode'>;

/**
 * Hooks on the instructions of weak mode that change what a processor fetches. Unicorn has no hook for most of them, so
 * each page is searched when the processor first fetches from it; an address at which no instruction begins never fires,
 * and one at which another instruction lies by now has no effect.
 */
export class FetchEffectHooks {
  static readonly TAG = 3;
  readonly #engine: HookedEngine;
  readonly #fetch: InstructionFetch;
  readonly #hooked = new Set<bigint>();

  constructor(engine: HookedEngine, fetch: InstructionFetch) {
    this.#engine = engine;
    this.#fetch = fetch;
  }

  /** Addresses of instructions in the virtual page, or partly in it, that are not hooked yet. */
  missing(page: number, contents: (page: number) => Uint8Array): readonly bigint[] {
    const before = contents(page - 1).subarray(-REACH);
    const behind = contents(page + 1).subarray(0, REACH);
    const base = BigInt(page) * BigInt(PAGE_SIZE) - BigInt(before.byteLength);
    return findFetchEffects(this.#engine.kind, Buffer.concat([before, contents(page), behind]))
      .map((offset) => base + BigInt(offset))
      .filter((address) => !this.#hooked.has(address));
  }

  /** What is to be done when the instruction at `address` has been executed. */
  effect(address: bigint, processor: Processor): AppliedEffect {
    return EFFECTS[this.#engine.kind](this.#fetch, address, processor);
  }

  add(addresses: readonly bigint[]): void {
    if (this.#hooked.size + addresses.length > LIMIT) {
      throw new CpuError('tooManyFetchEffects', `more than ${LIMIT} possible serialising instructions`, {
        status: 'STATUS_NO_MEMORY',
      });
    }
    for (const address of addresses) {
      this.#engine.addHook(HOOK.instruction, FetchEffectHooks.TAG, { first: address, last: address });
      this.#hooked.add(address);
    }
    this.#engine.forgetAllCode();
  }
}

/** The bytes that the processor fetches at `address`, as far as there are any. */
function fetchInstruction(processor: Processor, address: bigint): Uint8Array {
  const inPage = PAGE_SIZE - Number(address % BigInt(PAGE_SIZE));
  const hasNextPage = processor.addressSpace.query(address + BigInt(inPage)).frame !== undefined;
  return processor.fetchBytes(
    address,
    hasNextPage ? LONGEST_INSTRUCTION : Math.min(LONGEST_INSTRUCTION, inPage),
  );
}

export interface AppliedEffect {
  /** Unicorn's processor does not have the instruction; `apply` does all of it. */
  readonly emulated: boolean;
  readonly apply: () => void;
}

/** Each hook costs about 100 bytes and a comparison per translated instruction. */
const LIMIT = 100_000;

/** In bytes, of x86. */
const LONGEST_INSTRUCTION = 15;
/** Bytes of the neighbouring pages in which an instruction may begin or end; whole A64 instructions. */
const REACH = 16;

type EffectOf = (fetch: InstructionFetch, address: bigint, processor: Processor) => AppliedEffect;

const x86Effect: EffectOf = (fetch, address, processor) => {
  const bytes = fetchInstruction(processor, address);
  const isMissing = isSerialize(bytes, 0);
  const isSerialising = isX86Serialising(
    bytes,
    bytes.findIndex((byte) => !isX86Prefix(byte)),
  );
  return {
    emulated: isMissing,
    apply: () => {
      if (isMissing) processor.pc = address + 3n;
      if (isSerialising) fetch.serialise(processor.fetchUnit);
    },
  };
};

const arm64Effect: EffectOf = (fetch, address, processor) => {
  const { addressSpace, fetchUnit } = processor;
  const word = new DataView(processor.fetchBytes(address, 4).buffer).getUint32(0, true);
  const register = word & 0x1f;
  const line = register === 31 ? 0n : processor.get(`x${register}`);
  const effects: Readonly<Record<FetchEffect, () => void>> = {
    synchronise: () => fetch.synchroniseContext(fetchUnit),
    invalidateAll: () => fetch.invalidateAll([fetchUnit]),
    invalidateAllShared: () => fetch.invalidateAll(fetch.units),
    invalidateLine: () => {
      const { frame } = addressSpace.query(line);
      if (frame !== undefined) fetch.invalidateLine(frame, Number(line % BigInt(PAGE_SIZE)));
    },
  };
  const effect = arm64FetchEffect(word);
  return { emulated: false, apply: effect === undefined ? () => {} : effects[effect] };
};

const EFFECTS: Readonly<Record<EngineKind, EffectOf>> = { 'x86-64': x86Effect, arm64: arm64Effect };
