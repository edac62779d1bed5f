import type { ArchitectureName, Machine, PageTable } from '../../cpu/index.js';
import type { BugCheckState, EventLog, SeededRandom } from '../common/index.js';
import type { DomainFittings, ExportSource, ImageDomain, ImageLoader } from '../images/index.js';
import type { HeapMode } from '../memory/index.js';
import type { Scheduler, Thread, ThreadOptions } from '../threads/index.js';
import type { Process } from './process.js';
import type { Session } from './session.js';

/** The kernel, as far as sessions need it. */
export interface SessionOwner {
  readonly loader: Pick<ImageLoader, 'load' | 'release'>;
  /** Calls a function on a thread of its own, alone, and gives its whole result register. */
  call64(address: bigint, parameters: readonly (bigint | number)[], options: ThreadOptions): bigint;
}

/** The kernel, as far as processes need it. */
export interface ProcessOwner extends SessionOwner {
  readonly machine: Machine;
  readonly bugChecks: BugCheckState;
  /** Every thread that has not ended. */
  readonly threads: readonly Thread[];
  createThread(address: bigint, parameters: readonly (bigint | number)[], options: ThreadOptions): Thread;
  /** Takes everything back that the process has. */
  processEnded(process: Process): void;
}

/** The kernel, as far as the table of its processes needs it. */
export interface ProcessTableOwner extends Omit<ProcessOwner, 'processEnded' | 'loader'> {
  readonly events: EventLog;
  readonly loader: ImageLoader;
  readonly scheduler: Scheduler;
  /** Of the machine: x86 when programs are 32-bit ones. */
  readonly programs: ArchitectureName;
  /** Kernel space. */
  readonly system: ImageDomain;
  readonly layoutRandom: SeededRandom;
  readonly fittings: DomainFittings;
  /** How the heaps of programs lie. */
  readonly heapMode: HeapMode;
  /** What lies above the user space of a process of this session. */
  tables(session: Session | undefined): readonly PageTable[];
  /** The simulated exports of all processes of one width. */
  exportsOf(wow64: boolean): ExportSource;
  nextId(): number;
  destroyThread(thread: Thread): void;
  readonly io: { processEnded(process: Process): void };
}
