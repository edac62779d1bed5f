import { AsyncLocalStorage } from 'node:async_hooks';
import type { BootOptions, LabEvent } from '../loader/index.js';
import { createExpect, type Expect } from './expect.js';
import type { Lab } from './lab.js';

/** What a scenario's function is given. */
export interface ScenarioContext {
  /** Each expectation that holds is counted; one that does not ends the scenario. */
  readonly expect: Expect;
  /** Adds a line to the story. */
  say(text: string): void;
}

/** A story that can be run. */
export interface Scenario {
  /** What it shows, in a line. */
  readonly title: string;
  /** What happens. */
  readonly body: (context: ScenarioContext) => Promise<void> | void;
}

/**
 * Declares a runnable story; a scenario file exports it as its default export.
 *
 * @example
 * export default defineScenario('A function is patched', async ({ expect }) => {
 *   const lab = await Lab.boot({ architecture: 'x64' });
 *   …
 * });
 */
export function defineScenario(title: string, body: Scenario['body']): Scenario {
  return { title, body };
}

/** How a scenario is run. */
export interface ScenarioRunOptions {
  /** Seed of every lab that the scenario boots without one of its own. */
  readonly seed?: number;
  /** Receives the transcript, line by line. */
  readonly onEvent?: (event: LabEvent) => void;
  /** Takes precedence over what the scenario asks for when it boots a lab. */
  readonly boot?: Partial<BootOptions>;
  /** Called for each lab as it has booted, so that a debugger can attach to it. */
  readonly onBoot?: (lab: Lab) => void;
}

/** What became of a scenario. */
export interface ScenarioResult {
  /** Of the scenario. */
  readonly title: string;
  /** Expectations that held. */
  readonly expectations: number;
  /** What all its machines have told, in order. */
  readonly transcript: readonly LabEvent[];
  /** What ended the scenario early: an ExpectationFailed, or an error of the lab. */
  readonly error?: unknown;
}

/** A scenario that is being run. */
export interface Run {
  /** Of labs that have none of their own; undefined: 1. */
  readonly seed: number | undefined;
  /** Takes each event. */
  readonly record: (event: LabEvent) => void;
  /** Is told of each lab that has booted. */
  readonly onBoot: ((lab: Lab) => void) | undefined;
  /** What takes precedence when a lab is booted. */
  readonly boot: Partial<BootOptions>;
  /** The labs that it has booted, which are disposed of after it. */
  readonly labs: Set<Disposable>;
}

const current = new AsyncLocalStorage<Run>();

/** The scenario run that this code belongs to, so that a lab can take its seed and tell it its events. */
export function currentScenarioRun(): Run | undefined {
  return current.getStore();
}

/** Runs a scenario to its end and releases every lab that it booted. Never throws for what the scenario does. */
export async function runScenario(
  scenario: Scenario,
  options: ScenarioRunOptions = {},
): Promise<ScenarioResult> {
  const transcript: LabEvent[] = [];
  const record = (event: LabEvent) => {
    transcript.push(event);
    options.onEvent?.(event);
  };
  let expectations = 0;
  const context: ScenarioContext = {
    expect: createExpect(() => expectations++),
    say: (text) => record({ kind: 'narration', text }),
  };
  const { seed, onBoot, boot = {} } = options;
  const run: Run = { seed, record, onBoot, boot, labs: new Set() };
  try {
    await current.run(run, async () => scenario.body(context));
    return { title: scenario.title, expectations, transcript };
  } catch (error) {
    return { title: scenario.title, expectations, transcript, error };
  } finally {
    for (const lab of run.labs) lab[Symbol.dispose]();
  }
}
