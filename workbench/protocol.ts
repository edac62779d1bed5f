/** What page and server say to each other. */

/** What is edited: one C file, as it is and as it is to become. */
export interface SourcePair {
  /** Of the file, without `.c`. */
  readonly name: string;
  readonly base: string;
  readonly fixed: string;
}

export interface Program extends SourcePair {
  /** The call that is offered first: `Sum 3`. */
  readonly call: string;
}

/** Something about a line of one of the two sources. */
export interface Mark {
  readonly side: 'base' | 'fixed';
  /** From 1. */
  readonly line: number;
  readonly severity: 'error' | 'warning';
  readonly message: string;
}

export interface BuildOutcome {
  /** Number of this build; with it the page names its images. */
  readonly build: number;
  /** `base`: both sources are the same program. `refused`: it cannot be a hotpatch. `failed`: it does not compile. */
  readonly verdict: 'base' | 'patched' | 'refused' | 'failed';
  /** In one sentence. */
  readonly text: string;
  readonly marks: readonly Mark[];
  /** Findings that belong to no line, and hints. */
  readonly notes: readonly string[];
  /** Functions that the hotpatch replaces. */
  readonly patched: readonly string[];
  /** Functions that can be called. */
  readonly exports: readonly string[];
  readonly milliseconds: number;
}

/** What `/api/start` tells the page. */
export interface Start {
  readonly program: Program;
  /** Where the program is from: a file, or undefined for the one that the workbench brings. */
  readonly file?: string;
  /** What is missing for a build on this machine, and how to get it. */
  readonly missing: readonly string[];
}

export interface ExploreRequest {
  readonly build: number;
  readonly call: string;
  readonly processors: number;
  readonly fetch: 'coherent' | 'weak';
  readonly protocol: string;
}
