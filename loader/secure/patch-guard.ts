import { type AddressSpace, type Machine, PAGE_SIZE } from '../../cpu/index.js';
import {
  BugCheck,
  type BugCheckState,
  CRITICAL_STRUCTURE_CORRUPTION,
  HYPERGUARD_VIOLATION,
} from '../common/index.js';
import type { LoadedImage } from '../images/index.js';

/** Fourth parameter of both bug checks: what was modified (bugcodes, "0x109"): a function. */
const FUNCTION_MODIFICATION = 1n;

/** Ticks between two checks that nobody asked for. The real ones look every few minutes, at random (modelled). */
const DEFAULT_INTERVAL = 0x1_0000n;

/** The kernel, as far as its protection needs it. */
export interface PatchGuardOwner {
  readonly machine: Machine;
  readonly bugChecks: BugCheckState;
  /** Does VTL1 run? */
  readonly secureKernelRunning: boolean;
  /** Ticks of the kernel's clock. */
  readonly time: bigint;
  onImageLoad(routine: (image: LoadedImage) => void): void;
  onImageUnload(routine: (image: LoadedImage) => void): void;
  /** `module!symbol+0x12` */
  describe(address: bigint): string;
}

/**
 * PatchGuard, or HyperGuard when VTL1 runs: knows what every page of kernel code should hold, and stops the system when
 * one holds something else. Stores of the Secure Kernel change what it should hold; nothing else does. Code of HPATs and
 * retpoline pages is code too; data, which import tables, load configurations and HPAT data slots are, is not looked at
 * (docs/fidelity.md#patchguard).
 */
export class PatchGuard {
  readonly #expected = new Map<AddressSpace, Map<bigint, Uint8Array>>();
  #interval: bigint | undefined = DEFAULT_INTERVAL;
  #lastCheck = 0n;

  constructor(private readonly kernel: PatchGuardOwner) {
    kernel.machine.onCodeWrite(({ space, address, bytes, writer }) => {
      if (writer === 'vtl1') this.#expect(space, address, bytes);
    });
    kernel.onImageLoad((image) => this.#protect(image));
    kernel.onImageUnload((image) => this.#forget(image));
  }

  /** Number of protected pages. */
  get pages(): number {
    return [...this.#expected.values()].reduce((sum, pages) => sum + pages.size, 0);
  }

  /**
   * From now on checks after each run or call, when so many ticks have passed since the last time. Undefined: never.
   * Default 65,536.
   */
  set interval(ticks: number | undefined) {
    this.#interval = ticks === undefined ? undefined : BigInt(ticks);
  }

  /** For the kernel, after it ran threads. */
  tick(): void {
    const { time, bugChecks } = this.kernel;
    if (bugChecks.current !== undefined) return;
    if (this.#interval === undefined || time - this.#lastCheck < this.#interval) return;
    this.#lastCheck = time;
    this.check();
  }

  /**
   * Compares all protected code with what it should be.
   * @throws BugCheck 0x18C HYPERGUARD_VIOLATION, or 0x109 CRITICAL_STRUCTURE_CORRUPTION without VBS
   */
  check(): void {
    for (const [space, pages] of this.#expected) {
      for (const [page, expected] of pages) {
        if (space.query(page).state !== 'committed') {
          pages.delete(page);
          continue;
        }
        const found = space.read(page, PAGE_SIZE);
        if (Buffer.compare(expected, found) === 0) continue;
        const offset = expected.findIndex((byte, i) => byte !== found[i]);
        this.#stop(page + BigInt(offset));
      }
    }
  }

  #protect({ domain, image, dllBase }: LoadedImage): void {
    if (domain.kind !== 'driver' && domain.kind !== 'session') return;
    const { addressSpace, table } = domain;
    const end = dllBase + BigInt(image.optionalHeader.sizeOfImage);
    for (let page = dllBase; page < end; page += BigInt(PAGE_SIZE))
      if (table.query(page).protection?.startsWith('PAGE_EXECUTE') === true)
        this.#pagesOf(addressSpace).set(page, addressSpace.read(page, PAGE_SIZE));
  }

  #forget({ domain }: LoadedImage): void {
    const pages = this.#expected.get(domain.addressSpace);
    for (const page of pages?.keys() ?? [])
      if (domain.addressSpace.query(page).state !== 'committed') pages?.delete(page);
  }

  #expect(space: AddressSpace, address: bigint, bytes: Uint8Array): void {
    const pages = this.#expected.get(space);
    if (pages === undefined) return;
    const first = address - (address % BigInt(PAGE_SIZE));
    for (let page = first; page < address + BigInt(bytes.length); page += BigInt(PAGE_SIZE)) {
      const known = pages.get(page);
      if (known === undefined) pages.set(page, space.read(page, PAGE_SIZE));
      else overlay(known, Number(address - page), bytes);
    }
  }

  #pagesOf(space: AddressSpace): Map<bigint, Uint8Array> {
    const known = this.#expected.get(space) ?? new Map<bigint, Uint8Array>();
    this.#expected.set(space, known);
    return known;
  }

  #stop(address: bigint): never {
    const code = this.kernel.secureKernelRunning ? HYPERGUARD_VIOLATION : CRITICAL_STRUCTURE_CORRUPTION;
    const where = this.kernel.describe(address);
    const error = new BugCheck(
      code,
      [0n, 0n, address, FUNCTION_MODIFICATION],
      `code at ${where} was changed, and not by the Secure Kernel`,
    );
    this.kernel.bugChecks.stop(error);
    throw error;
  }
}

/** Copies `bytes` to `offset` of a page; parts outside the page are left out. */
function overlay(page: Uint8Array, offset: number, bytes: Uint8Array): void {
  const start = Math.max(0, -offset);
  const end = Math.min(bytes.length, PAGE_SIZE - offset);
  for (let at = start; at < end; at++) page[offset + at] = bytes[at] ?? 0;
}
