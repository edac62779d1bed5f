import type { Processor } from '../../cpu/index.js';
import type { ImageDomain, Thread } from '../../loader/index.js';
import type { CodeMemory } from '../explore/code-memory.js';
import type { ExecutedInstruction } from '../explore/executor.js';
import type { Limits } from '../explore/limits.js';
import type { BreakpointHandler } from '../protocols/write-protocol.js';
import type { Subject, SubjectCall } from '../subject.js';
import type { ByteMap } from './byte-map.js';
import type { GuestPoint } from './guest-points.js';
import type { SharedBytes } from './shared-bytes.js';
import type { Touch } from './touches.js';
import type { ChangedByte, Visible } from './visible.js';

export const READ = 1;
/** Given another value than it has. */
export const CHANGED = 2;

/** How a run through what nobody else can notice has ended. */
export type RunEnd =
  /** Before an instruction that others can notice. */
  | { readonly kind: 'stopped'; readonly point: GuestPoint }
  /** The call came back. `point`: where the next one begins. */
  | {
      readonly kind: 'returned';
      readonly result: number;
      readonly point: GuestPoint;
      readonly unbalanced?: string;
    }
  | { readonly kind: 'fault'; readonly text: string }
  /** The first step cannot be done yet: it waits for something that others can change. Nothing has happened. */
  | { readonly kind: 'waiting'; readonly reason: string }
  /** It goes round for ever, whatever anybody else does. */
  | { readonly kind: 'endless' };

/** One step that others can notice, and everything behind it that nobody can. */
export interface RunThrough {
  readonly id: number;
  readonly from: GuestPoint;
  readonly first: ExecutedInstruction;
  /** The changed bytes that the first step read, which decide what it did. */
  readonly read: readonly { readonly byte: ChangedByte; readonly value: number }[];
  /** The data that processors share, before and after the first step. */
  readonly shared: number;
  readonly sharedAfter: number;
  /** The first step read or wrote some of it. */
  readonly usesShared: boolean;
  /** Changed pages of code that the first step touched. */
  readonly firstTouch: readonly number[];
  /** Those of the further steps. */
  readonly touches: readonly Touch[];
  /** Instructions and calls of simulated exports, the first one included. */
  readonly steps: number;
  /** The first step was a breakpoint that was handled; the return from it serialised the processor. */
  readonly interrupted: boolean;
  readonly end: RunEnd;
}

/** A run that was made, complete enough to be made again. */
export interface NotedRun {
  readonly role: number;
  readonly point: number;
  /** By changed page: number of the contents that the processor fetches. */
  readonly contents: readonly number[];
  readonly shared: number;
}

export interface CallOptions {
  readonly subject: Subject;
  readonly call: SubjectCall;
  readonly role: number;
  readonly thread: Thread;
  readonly processor: Processor;
  readonly place: ImageDomain;
  readonly memory: CodeMemory;
  readonly visible: Visible;
  readonly shared: SharedBytes;
  readonly handleBreakpoint: BreakpointHandler | undefined;
  /** Note what it reads and writes that other processors may use. */
  readonly notesData: boolean;
  /** Memory that other processors may use, too: what the call does there, in this round and those before. */
  readonly data: ByteMap;
  readonly limits: Limits;
  /** Every run that is made, of all calls, in order. */
  readonly noted: NotedRun[];
}
