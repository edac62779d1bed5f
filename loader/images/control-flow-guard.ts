import type { AddressSpace } from '../../cpu/index.js';
import type { PeImage } from '../../image/index.js';
import { IMAGE_GUARD, isExecutable } from '../../image/index.js';
import { hex, KernelError } from '../common/index.js';

/** A call target stands for 16 bytes of code: the granularity of the CFG bitmap. */
const SLOT = 16;

/** The part of the bitmap that covers one image: two bits for each 16 bytes of it. */
interface GuardedRange {
  readonly base: bigint;
  /** Behind its HPAT. */
  readonly end: bigint;
  readonly size: number;
  readonly image: PeImage;
  /** Made on first use: most processes never ask. */
  state?: GuardState;
}

export interface GuardState {
  /** Slots in which a valid target lies. */
  readonly valid: Uint8Array;
  /** Slots of which every address is valid, not only the 16-aligned one. */
  readonly anyAddress: Uint8Array;
}

/**
 * Control Flow Guard of one process or of the kernel: the bitmap of valid indirect call targets. Images without CFG
 * tables are valid everywhere in their code; so is private executable memory.
 */
export class ControlFlowGuard {
  readonly #ranges: GuardedRange[] = [];

  constructor(
    private readonly space: AddressSpace,
    /** Are `__guard_check_icall_fptr` and `__guard_dispatch_icall_fptr` bound to functions that check? */
    readonly enforced: boolean,
  ) {}

  /** Adds an image's valid targets when it is mapped. Nothing of the HPAT and what else lies behind it up to `end` is one (docs/fidelity.md#u-24). */
  addImage(dllBase: bigint, image: PeImage, end?: bigint): void {
    const size = image.optionalHeader.sizeOfImage;
    this.#ranges.push({ base: dllBase, end: end ?? dllBase + BigInt(size), size, image });
  }

  removeImage(dllBase: bigint): void {
    const index = this.#ranges.findIndex(({ base }) => base === dllBase);
    if (index >= 0) this.#ranges.splice(index, 1);
  }

  /** May an indirect call go to this address? */
  isValidTarget(address: bigint): boolean {
    const range = this.#range(address);
    if (range === undefined) return this.#isPrivateCode(address);
    const rva = Number(address - range.base);
    const slot = Math.floor(rva / SLOT);
    const { valid, anyAddress } = stateOf(range);
    return hasBit(valid, slot) && (rva % SLOT === 0 || hasBit(anyAddress, slot));
  }

  /**
   * Makes an address a valid target, or not (SetProcessValidCallTargets; CALL_TARGET records).
   * @throws KernelError STATUS_INSTRUCTION_MISALIGNMENT when it is not 16-aligned
   */
  setTarget(address: bigint, valid: boolean): void {
    if (address % BigInt(SLOT) !== 0n)
      throw new KernelError({
        rule: 'callTargetAlignment',
        status: 'STATUS_INSTRUCTION_MISALIGNMENT',
        place: hex(address),
        message: `call target ${hex(address)} is not 16-aligned`,
      });
    const range = this.#range(address);
    if (range === undefined)
      throw new KernelError({
        rule: 'callTargetOutside',
        status: 'STATUS_INVALID_PARAMETER',
        place: hex(address),
        message: `call target ${hex(address)} lies in no image`,
      });
    const slot = Number(address - range.base) / SLOT;
    const state = stateOf(range);
    setBit(state.valid, slot, valid);
    if (!valid) setBit(state.anyAddress, slot, false);
  }

  /** Makes every address of an image invalid; the engine does so before it marks a patch image's listed targets. */
  clearImage(dllBase: bigint): void {
    const range = this.#range(dllBase);
    if (range === undefined) return;
    const { valid, anyAddress } = stateOf(range);
    valid.fill(0);
    anyAddress.fill(0);
  }

  /** What {@link restoreImage} takes, for a transaction that is rolled back. */
  saveImage(dllBase: bigint): GuardState | undefined {
    const range = this.#range(dllBase);
    if (range === undefined) return undefined;
    const { valid, anyAddress } = stateOf(range);
    return { valid: valid.slice(), anyAddress: anyAddress.slice() };
  }

  restoreImage(dllBase: bigint, saved: GuardState): void {
    const range = this.#range(dllBase);
    if (range !== undefined)
      range.state = { valid: saved.valid.slice(), anyAddress: saved.anyAddress.slice() };
  }

  /** RVAs of the 16-byte slots of an image in which valid targets lie. */
  targetsOf(dllBase: bigint): number[] {
    const range = this.#range(dllBase);
    if (range === undefined) return [];
    const { valid } = stateOf(range);
    const slots = Array.from({ length: Math.ceil(range.size / SLOT) }, (_, slot) => slot);
    return slots.filter((slot) => hasBit(valid, slot)).map((slot) => slot * SLOT);
  }

  #range(address: bigint): GuardedRange | undefined {
    return this.#ranges.find(({ base, end }) => address >= base && address < end);
  }

  #isPrivateCode(address: bigint): boolean {
    const page = this.space.query(address);
    return page.state === 'committed' && page.protection?.startsWith('PAGE_EXECUTE') === true;
  }
}

/** Was the image built with CFG, and does it carry its table of functions? */
export function isGuarded(image: PeImage): boolean {
  const flags = image.loadConfig?.guardFlags ?? 0;
  return (flags & IMAGE_GUARD.CF_INSTRUMENTED) !== 0 && (flags & IMAGE_GUARD.CF_FUNCTION_TABLE_PRESENT) !== 0;
}

function stateOf(range: GuardedRange): GuardState {
  range.state ??= initialState(range.image, range.size);
  return range.state;
}

function initialState(image: PeImage, size: number): GuardState {
  const bytes = Math.ceil(size / SLOT / 8);
  const state: GuardState = { valid: new Uint8Array(bytes), anyAddress: new Uint8Array(bytes) };
  if (isGuarded(image))
    for (const { rva } of image.guard.functions) {
      setBit(state.valid, Math.floor(rva / SLOT), true);
      if (rva % SLOT !== 0) setBit(state.anyAddress, Math.floor(rva / SLOT), true);
    }
  else
    for (const { virtualAddress, sizeInMemory } of image.sections.filter(isExecutable)) {
      state.valid.fill(0xff, virtualAddress / SLOT / 8, (virtualAddress + sizeInMemory) / SLOT / 8);
      state.anyAddress.fill(0xff, virtualAddress / SLOT / 8, (virtualAddress + sizeInMemory) / SLOT / 8);
    }
  return state;
}

const hasBit = (bits: Uint8Array, slot: number): boolean =>
  ((bits[slot >> 3] ?? 0) & (1 << (slot & 7))) !== 0;

function setBit(bits: Uint8Array, slot: number, value: boolean): void {
  const mask = 1 << (slot & 7);
  const byte = bits[slot >> 3] ?? 0;
  bits[slot >> 3] = value ? byte | mask : byte & ~mask;
}
