import type { ExitWithoutCount } from '../exceptions.js';
import type { Processor } from '../processor.js';

/**
 * What an emulated instruction may use. Memory is accessed as the guest would: a refused access throws
 * {@link GuestFault}, before anything has changed.
 */
export interface Moment {
  readonly processor: Processor;
  /** How many there are in the machine. */
  readonly processors: number;
  /** Lab time: instructions executed so far. */
  readonly time: bigint;
  /** Lab randomness: the same at the same time of a machine with the same seed. */
  random(): bigint;
  read(address: bigint, size: number): bigint;
  /** As {@link read}, and the page must be writable too. */
  readForWrite(address: bigint, size: number): bigint;
  write(address: bigint, size: number, value: bigint): void;
}

/** The guest's own fault, on its way out of an emulated access. Never leaves the runner. */
export class GuestFault extends Error {
  override name = 'GuestFault';
  readonly exit: ExitWithoutCount;

  constructor(exit: ExitWithoutCount) {
    super('the emulated instruction faults');
    this.exit = exit;
  }
}

/** An instruction that the engine must not execute itself: it does it wrongly, or would show what is the host's. */
export interface Emulation {
  /** Of the instruction, in bytes. */
  readonly length: number;
  /** Whether the engine does the right thing this time. Called while it runs; may read registers only. */
  isRightNow?(processor: Processor): boolean;
  /** What makes the engine do the right thing, so that it executes the instruction: {@link isRightNow} is true then. */
  makeRight?(processor: Processor): void;
  /** Does all that the instruction does, but for the program counter; or gives the exit that it ends in. */
  perform(moment: Moment): ExitWithoutCount | undefined;
}

/** `undefined`: the engine executes it. */
export type Emulator = {
  /** Whether code of these bytes may hold an instruction that is emulated; cheap, and may be wrong with true. */
  isSuspect(bytes: Uint8Array): boolean;
  /** Offsets of the instructions of a block that are emulated. */
  find(processor: Processor, bytes: Uint8Array, address: bigint): readonly number[];
  /** The emulation of the instruction that `bytes` begin with. */
  of(processor: Processor, bytes: Uint8Array, address: bigint): Emulation | undefined;
};
