import { loadDisassembler } from '../../cpu/index.js';
import { runScenario, type Scenario, type ScenarioResult } from '../../lab/index.js';
import type { LabEvent } from '../../loader/index.js';
import type { Recording, RecordingHead } from '../recording/format.js';
import { Replay } from '../recording/replay.js';
import { CodeCollector } from './code-collector.js';
import { Recorder } from './recorder.js';

export interface RecordOptions {
  readonly seed?: number;
  /** Instructions that are recorded at most; the run itself goes on. Default {@link DEFAULT_LIMIT}. */
  readonly limit?: number;
  readonly onEvent?: (event: LabEvent) => void;
}

export const DEFAULT_LIMIT = 250_000;

/** Runs a scenario and records every instruction and event of it. Throws nothing that the scenario throws. */
export async function recordScenario(
  scenario: Scenario,
  { seed, limit = DEFAULT_LIMIT, onEvent }: RecordOptions = {},
): Promise<{ readonly recording: Recording; readonly result: ScenarioResult }> {
  const disassembler = await loadDisassembler();
  const recorder = new Recorder(limit);
  const result = await runScenario(scenario, {
    ...(seed === undefined ? {} : { seed }),
    onBoot: (lab) => recorder.attach(lab),
    onEvent: (event) => {
      recorder.event(event);
      onEvent?.(event);
    },
  });
  const head = headOf(recorder, result);
  const stream = recorder.stream.bytes;
  const { loadedImages } = recorder.catalogue;
  const code = new CodeCollector(new Replay({ head, stream }), loadedImages, disassembler).collect();
  return { recording: { head: { ...head, code }, stream }, result };
}

function headOf(recorder: Recorder, { title, expectations, error }: ScenarioResult): RecordingHead {
  const { catalogue, engines } = recorder;
  return {
    version: 1,
    title,
    entries: recorder.entries,
    instructions: recorder.instructions,
    ...(recorder.isFull ? { limit: recorder.limit } : {}),
    ...(error === undefined ? {} : { error: error instanceof Error ? error.message : String(error) }),
    expectations,
    strings: recorder.strings,
    processors: catalogue.processors,
    tables: catalogue.numbers.tables,
    spaces: catalogue.spaces,
    domains: catalogue.domains,
    threads: catalogue.threads,
    slices: recorder.slices,
    events: recorder.events,
    images: catalogue.images,
    trampolines: engines.trampolines,
    undo: engines.undo,
    patches: engines.patches,
    services: catalogue.services,
    code: [],
  };
}
