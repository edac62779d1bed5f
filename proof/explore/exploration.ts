import type { WriteProtocol } from '../protocols/write-protocol.js';
import type { ExpectedResults } from '../subject.js';
import type { LimitOptions } from './limits.js';
import type { Broken } from './properties.js';
import type { Schedule } from './schedule.js';

export interface ExploreOptions extends LimitOptions {
  readonly protocol: WriteProtocol;
  /** 1 to 4; without reduction 1 to 3. Default 1. */
  readonly processors?: number;
  /** Default `coherent`. */
  readonly fetch?: 'coherent' | 'weak';
  /** Stop when so many states were found. Default 50 million. */
  readonly mostStates?: number;
  /** How many calls each processor makes. Default: without end; two when the call changes data that stay. */
  readonly calls?: number;
  /**
   * Order only steps that depend on one another: a processor runs by itself through everything that neither the engine nor
   * another processor can notice. Default true. Without it every instruction is a step of its own.
   */
  readonly reduction?: boolean;
  /** Execute every transition on the emulated processor, also those that were executed before; without reduction. Default false. */
  readonly executeEach?: boolean;
  readonly onProgress?: (progress: Progress) => void;
  /** Keep what a search needs to go on later, when it ends before it is complete; with reduction. Default false. */
  readonly keepsCheckpoint?: boolean;
  /** Go on from there. Bounds count from there on, too. */
  readonly resume?: ExplorationCheckpoint;
}

/** An exploration that has ended before it was complete. Holds only what the structured clone algorithm copies. */
export interface ExplorationCheckpoint {
  /** Of the machine, the operation and the calls. */
  readonly fingerprint: string;
  /** Each processor has a thread of its own. */
  readonly each: boolean;
}

export interface Progress {
  readonly states: number;
  readonly transitions: number;
  /** States whose successors are known; the others are still to be looked at. */
  readonly explored: number;
  /** Single steps of processors and engine that the transitions stand for. */
  readonly steps: number;
}

export interface Violation extends Broken {
  /** How often the rule was broken, counting states and processors. */
  readonly count: number;
  /** It needs no interleaving: one call before the operation and one after it break the rule, too. */
  readonly inSequence?: true;
  /** The shortest way there, counting steps that others can notice. */
  readonly schedule: Schedule;
}

/** What calls and operation can come to. */
export interface Outcomes {
  /** `during: 7 in system`: a call that began before the operation was complete returned 7. */
  readonly results: readonly string[];
  /** Hashes of the changed bytes and of the images' data, when the operation is complete and no call is under way. */
  readonly final: readonly string[];
}

export interface Exploration {
  readonly subject: string;
  readonly protocol: string;
  readonly processors: number;
  readonly fetch: 'coherent' | 'weak';
  /** Different states of the machine; processors that change places count once. */
  readonly states: number;
  readonly transitions: number;
  /** Instructions that were executed for it on the emulated processor: one for each case that differs. */
  readonly executed: number;
  /** Every reachable state was visited, or one that stands for it. */
  readonly complete: boolean;
  /** What ended an incomplete search. */
  readonly bound?: string;
  readonly violations: readonly Violation[];
  /** Results of the first processor's call. */
  readonly expected: ExpectedResults;
  /** By call: where it is made, and what it returns. One for all processors, or one for each in turn. */
  readonly roles: readonly { readonly place: string; readonly expected: ExpectedResults }[];
  /** Calls that each processor makes; undefined: without end. */
  readonly calls: number | undefined;
  /** Results that are right only because old and new functions met in one call. */
  readonly mixtures?: readonly number[];
  /** Results that were not judged: more functions than can be tried out meet, or processors change data that others read. */
  readonly unjudged?: readonly number[];
  readonly seconds: number;
  readonly outcomes: Outcomes;
  readonly reduction?: Reduction;
  /** Where it can go on, if that was asked for. */
  readonly checkpoint?: ExplorationCheckpoint;
}

/** How much smaller the search has become. */
export interface Reduction {
  /** Instructions and calls of simulated exports of each processor's call alone, before the operation. */
  readonly instructions: number;
  /** Of the engine's moments, those that calls can tell apart. */
  readonly moments: number;
  readonly allMoments: number;
  /** Single steps of processors and engine that the transitions stand for. */
  readonly steps: number;
  /** Places of the calls where others can notice what they do. */
  readonly points: number;
  /** Processors that share nothing that any of them writes were explored each by itself with the engine. */
  readonly apart: boolean;
  /** Bytes of data that are shared and written. */
  readonly sharedBytes: number;
}

export const MOST_STATES = 50_000_000;

export const REPLACED_UNDERFOOT: Broken = {
  rule: 'concurrent',
  text: 'the instruction that a processor is about to execute is replaced',
};

export const DEADLOCK: Broken = { rule: 'stuck', text: 'the engine cannot go on, and no processor either' };

export const deadlocked = (reason: string): Broken => ({
  rule: 'deadlock',
  text: `nobody can end a wait for ${reason}`,
});

export const NEVER_ENDS: Broken = { rule: 'stuck', text: 'the call never ends' };
