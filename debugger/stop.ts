import type { Thread } from '../loader/index.js';
import type { Breakpoint } from './breakpoint.js';
import type { LineStep } from './line-step.js';
import type { Position } from './position.js';

export type StopReason =
  /** Before the first instruction of the run. */
  | { readonly kind: 'start' }
  | { readonly kind: 'step' }
  | { readonly kind: 'breakpoint'; readonly breakpoint: Breakpoint }
  /** `instruction` touched the bytes; undefined: not the guest did, but the kernel model or the engine. */
  | {
      readonly kind: 'watchpoint';
      readonly breakpoint: Breakpoint;
      readonly instruction: bigint | undefined;
    }
  /** The moment that was asked for; `found`: what a search in the past was stopped by. */
  | { readonly kind: 'position'; readonly search?: { readonly found: StopReason } }
  /** The thread that was stepped is no more; this is another one. */
  | { readonly kind: 'threadEnded'; readonly ended: Thread }
  | { readonly kind: 'interrupted' }
  /** A live machine has done all that it was asked for: no thread runs. */
  | { readonly kind: 'idle' }
  /** Images were loaded or unloaded; only for front ends that ask for it. */
  | { readonly kind: 'modules' };

/** Everything stands still; `thread` is about to execute an instruction. */
export interface Stop {
  readonly reason: StopReason;
  readonly thread: Thread;
  readonly position: Position;
}

/** Search for the call that a thread has returned from, and what to do when there was none. */
export interface CallSearch {
  readonly thread: number;
  readonly address: bigint;
  readonly highestSp: bigint;
  readonly otherwise: Goal;
}

/** What is to happen next. */
export type Goal =
  | { readonly kind: 'go' }
  /** Before the first instruction. */
  | { readonly kind: 'start' }
  /** `thread` has executed `executed` instructions. */
  | { readonly kind: 'step'; readonly thread: Thread; readonly executed: number }
  /** The thread of `step` begins another source line, or has returned. */
  | { readonly kind: 'line'; readonly step: LineStep }
  /** `thread` (undefined: any) is at `address`, with its stack pointer at or above `lowestSp`. */
  | {
      readonly kind: 'reach';
      readonly thread?: Thread;
      readonly address: bigint;
      readonly lowestSp?: bigint;
    }
  /** A moment, later or earlier; breakpoints on the way do not count. */
  | {
      readonly kind: 'travel';
      readonly to: Position;
      readonly search?: { readonly found: StopReason };
    }
  /** The last moment before `before` at which one of the breakpoints, or `address` of that thread, was hit; else the start. */
  | {
      readonly kind: 'searchBack';
      readonly before: Position;
      /** What stands at `before`: it does not count. */
      readonly origin?: { readonly thread: number; readonly executed: number };
      readonly call?: CallSearch;
      /** The beginnings of source lines in this thread's frames at or above `lowestSp` count, and nothing else. */
      readonly line?: { readonly thread: number; readonly lowestSp: bigint };
    }
  | { readonly kind: 'quit' };
