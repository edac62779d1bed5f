import { CpuError } from '../error.js';
import type { Processor } from '../processor.js';
import { PAGE_SHIFT, PAGE_SIZE } from '../protection.js';
import type { Engine } from '../unicorn/engine.js';
import { arm64Emulator } from './arm64.js';
import type { Emulation, Emulator } from './emulation.js';
import { x86Emulator } from './x86.js';

const EMULATORS: Readonly<Record<Engine['kind'], Emulator>> = {
  'x86-64': x86Emulator,
  arm64: arm64Emulator,
};

const LONGEST_INSTRUCTION = 15;
/** Each hook costs about 100 bytes and a comparison per translated instruction. */
const LIMIT = 100_000;

interface Known {
  readonly bytes: Uint8Array;
  readonly bits: number;
  readonly ring: number;
  readonly emulation: Emulation | undefined;
}

/**
 * Finds the instructions that are emulated. Unicorn tells of each block that it has just translated, before it executes
 * it, whatever page it lies on and however the code came there; if the block holds such an instruction, the engine stops,
 * gets a hook at it, and translates the block anew. A hook at which another instruction lies by now does nothing.
 */
export class EmulationHooks {
  readonly #processor: Processor;
  readonly #engine: Engine;
  readonly #emulator: Emulator;
  readonly #hooked = new Set<bigint>();
  readonly #known = new Map<bigint, Known>();

  constructor(processor: Processor, engine: Engine) {
    this.#processor = processor;
    this.#engine = engine;
    this.#emulator = EMULATORS[engine.kind];
  }

  get hasAny(): boolean {
    return this.#hooked.size > 0;
  }

  /** What is to be done, with the engine standing still, before the block may be executed; undefined: nothing. */
  vet(address: bigint, bytes: Uint8Array): (() => void) | undefined {
    if (!this.#emulator.isSuspect(bytes)) return undefined;
    const missing = this.#emulator
      .find(this.#processor, bytes, address)
      .map((offset) => address + BigInt(offset))
      .filter((at) => !this.#hooked.has(at));
    return missing.length === 0 ? undefined : () => this.#add(missing, address, bytes.byteLength);
  }

  #add(addresses: readonly bigint[], block: bigint, size: number): void {
    if (this.#hooked.size + addresses.length > LIMIT) {
      throw new CpuError('tooManyEmulated', `more than ${LIMIT} emulated instructions`, {
        status: 'STATUS_NO_MEMORY',
      });
    }
    for (const address of addresses) {
      this.#engine.hookInstruction(EmulationHooks.TAG, address);
      this.#hooked.add(address);
    }
    this.#processor.forgetCode(block, size);
  }

  static readonly TAG = 4;

  /** The emulation of the instruction at `address`, as the processor fetches it now; undefined: the engine executes it. */
  at(address: bigint): Emulation | undefined {
    const processor = this.#processor;
    const bytes = fetchOne(processor, address);
    const known = this.#known.get(address);
    const { bits, ring } = processor;
    if (known !== undefined && known.bits === bits && known.ring === ring && equal(known.bytes, bytes)) {
      return known.emulation;
    }
    const emulation = this.#emulator.of(processor, bytes, address);
    this.#known.set(address, { bytes, bits, ring, emulation });
    return emulation;
  }
}

/** The bytes that the processor fetches at `address`, enough for one instruction, as far as there are any. */
export function fetchOne(processor: Processor, address = processor.pc): Uint8Array {
  if (processor.addressSpace.query(address).state !== 'committed') return NOTHING;
  const inPage = PAGE_SIZE - Number(address & BigInt(PAGE_SIZE - 1));
  if (inPage >= LONGEST_INSTRUCTION) return processor.fetchBytes(address, LONGEST_INSTRUCTION);
  const page = Number(address >> PAGE_SHIFT) + 1;
  const next = processor.addressSpace.tableOfPage(page)?.lookup(page)?.frame;
  return processor.fetchBytes(address, next === undefined ? inPage : LONGEST_INSTRUCTION);
}

const NOTHING = new Uint8Array(0);
const equal = (a: Uint8Array, b: Uint8Array): boolean => Buffer.compare(a, b) === 0;
