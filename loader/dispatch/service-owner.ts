import type { Machine } from '../../cpu/index.js';
import type { BugCheckState, EventLog } from '../common/index.js';
import type { Volume } from '../files/index.js';
import type { ImageDomain, ImageLoader, SystemFiles } from '../images/index.js';
import type { IoManager } from '../io/index.js';
import type { Pool } from '../memory/index.js';
import type { DpcQueues, Scheduler, ServiceResult, Thread, ThreadOptions } from '../threads/index.js';
import type { ServiceCall } from './service-call.js';
import type { PlacedExport } from './simulated-export.js';

/** The table of system services, as whoever calls one needs it. */
export interface ServiceDispatcher {
  /** Calls a service by number, as the instruction does. */
  dispatch(number: number, call: ServiceCall): ServiceResult;
  /** Calls a service by name, as the stub of ntdll does. */
  call(name: string, call: ServiceCall): ServiceResult;
}

/** The kernel, as far as serving guest code needs it: simulated exports, system services and exceptions. */
export interface ServiceOwner {
  readonly machine: Machine;
  readonly events: EventLog;
  readonly bugChecks: BugCheckState;
  /** Kernel space. */
  readonly system: ImageDomain;
  readonly pool: Pool;
  readonly scheduler: Scheduler;
  readonly dpcs: DpcQueues;
  readonly loader: ImageLoader;
  readonly files: SystemFiles;
  /** Drive C: of programs. */
  readonly volume: Volume;
  /** Do views of images end with a page of speculation control? */
  readonly speculationControlPages: boolean;
  /** Lab time: 100 ns units since 1601. */
  readonly now: bigint;
  /**
   * Devices, drivers and requests.
   * @internal
   */
  readonly io: IoManager;
  readonly systemServices: ServiceDispatcher;
  createThread(address: bigint, parameters: readonly (bigint | number)[], options: ThreadOptions): Thread;
  /** Calls a function on a thread of its own, which runs alone; returns the finished thread. */
  callThread(address: bigint, parameters: readonly (bigint | number)[], options: ThreadOptions): Thread;
  /** The simulated export at an address of a domain. */
  exportAt(domain: ImageDomain, address: bigint): PlacedExport | undefined;
}
