import type { AddressSpace } from './address-space.js';
import type { Architecture } from './architecture/architecture.js';
import type { MachineClock } from './clock.js';
import type { Counting } from './counting.js';
import type { InstructionFetch } from './instruction-fetch.js';
import type { PhysicalMemory } from './physical-memory.js';
import type { Processor } from './processor.js';
import type { UnicornFunctions } from './unicorn/library.js';

/** What a processor needs of its machine. */
export interface ProcessorOwner {
  readonly architecture: Architecture;
  readonly memory: PhysicalMemory;
  readonly instructionFetch: InstructionFetch;
  readonly counting: Counting;
  readonly emptyAddressSpace: AddressSpace;
  /** Frame of the x86 descriptor table, for {@link DESCRIPTOR_TABLE_PAGE}. */
  readonly descriptorTableFrame: number;
  /** How many processors the machine has. */
  readonly processorCount: number;
  readonly seed: number;
  readonly clock: MachineClock;
  readonly running: Processor | undefined;
  /** Instead of the library's own. */
  readonly unicornFunctions: UnicornFunctions | undefined;
  /** Throws CpuError `processorRunning` from within an observer. */
  assertIdle(doing: string): void;
}
