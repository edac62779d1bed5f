import type { Processor } from '../../cpu/index.js';
import type { ImageDomain } from '../images/index.js';
import type { GuestMemory } from '../memory/index.js';
import type { Process } from '../processes/index.js';
import type { Thread } from '../threads/index.js';
import type { ServiceOwner } from './service-owner.js';

/** A call from guest code into a simulated export or a system service, while it is being served. */
export interface ServiceCall {
  readonly kernel: ServiceOwner;
  /** What the calling code can see. */
  readonly domain: ImageDomain;
  /** The process on whose behalf it runs. */
  readonly process: Process;
  readonly thread: Thread;
  readonly processor: Processor;
  /** Guest memory as the calling code may use it: the only way to it. */
  readonly memory: GuestMemory;
  /** Bytes of a pointer of the calling code. */
  readonly pointerSize: 4 | 8;
  /** Raw argument number `index` (0 is the first), also beyond the declared ones (variadic functions). */
  argument(index: number): bigint;
  /** Floating-point argument: number `index` of all on x64, of the floating-point ones on ARM64, dword `index` on x86. */
  floatArgument(index: number, size: 'single' | 'double'): number;
}
