import {
  array,
  integer,
  is,
  minValue,
  number,
  object,
  optional,
  parse,
  picklist,
  pipe,
  string,
  ValiError,
} from 'valibot';
import type { Scenario } from '../lab/index.js';
import {
  type OperationSchedule,
  parseActions,
  protocolNamed,
  Replay,
  scenarioOperations,
  scheduleScenario,
} from '../proof/index.js';
import { UsageError } from './errors.js';
import { readInput } from './files.js';
import { colours, EXIT, print } from './output.js';
import { loadScenario } from './scenario-file.js';
import type { ScenarioRun } from './scenario-runs.js';

const count = pipe(number(), integer(), minValue(1));

const scheduleSchema = object({
  operation: optional(count, 1),
  protocol: optional(string(), 'windows'),
  processors: count,
  fetch: optional(picklist(['coherent', 'weak']), 'coherent'),
  actions: array(string()),
});

export interface ScheduleRun {
  readonly run: ScenarioRun;
  /** For `--json`. */
  readonly document: object;
}

/** Runs a scenario up to a hotpatch operation and that by a schedule of `hotpatch explore --json`, step by step. */
export async function runSchedule(file: string, scheduleFile: string, json: boolean): Promise<ScheduleRun> {
  const start = performance.now();
  const schedule = readSchedule(scheduleFile);
  const protocol = protocolNamed(schedule.protocol);
  if (protocol === undefined)
    throw new UsageError(`${scheduleFile}: there is no protocol '${schedule.protocol}'`);
  const operations = await scenarioOperations(await loadScenario(file));
  const operation = operations.find(({ index }) => index + 1 === schedule.operation);
  if (operation === undefined) throw new UsageError(`${file}: it has no operation ${schedule.operation}`);
  using replay = await Replay.create(operation.source, { ...schedule, protocol });
  const transcript: string[] = [];
  const tell = (text: string) => {
    transcript.push(text);
    if (!json) print(text);
  };
  if (!json) print(colours.bold(`\n${operation.source.name}`));
  let broken: string | undefined;
  for (const action of parseActions(schedule.actions)) {
    tell(replay.describe(action));
    const outcome = replay.perform(action);
    if (outcome.kind === 'returned') tell(`    the call returned 0x${outcome.result.toString(16)}`);
    if (outcome.kind !== 'fault') continue;
    broken = outcome.text;
    break;
  }
  if (!json) print(broken === undefined ? colours.green('no property is broken') : colours.red(broken));
  const run: ScenarioRun = {
    file,
    title: operation.source.name,
    held: broken === undefined,
    expectations: 0,
    seconds: (performance.now() - start) / 1000,
    transcript: transcript.map((text) => ({ kind: 'schedule', text })),
    ...(broken === undefined
      ? {}
      : { error: { exitCode: EXIT.failed, message: broken, type: 'PropertyBroken', isExpectation: true } }),
  };
  return {
    run,
    document: { scenario: operation.source.name, ...schedule, transcript, broken: broken ?? null },
  };
}

/** What `explore --json` writes: the schedule of its first violation is meant. */
const explorationSchema = object({ violations: array(object({ schedule: scheduleSchema })) });

/** @throws UsageError when the file holds no schedule */
export function readSchedule(file: string): OperationSchedule {
  const text = new TextDecoder().decode(readInput(file));
  try {
    const document: unknown = JSON.parse(text);
    if (!is(explorationSchema, document)) return parse(scheduleSchema, document);
    const [first] = parse(explorationSchema, document).violations;
    if (first !== undefined) return first.schedule;
    throw new UsageError(`${file}: its exploration broke no property, so that there is no schedule in it`);
  } catch (error) {
    if (error instanceof ValiError || error instanceof SyntaxError)
      throw new UsageError(`${file}: is not a schedule: ${error.message}`);
    throw error;
  }
}

/** The scenario of a file, or that with one operation as the schedule says. */
export async function loadScheduled(file: string, scheduleFile: string | undefined): Promise<Scenario> {
  const schedule = scheduleFile === undefined ? undefined : readSchedule(scheduleFile);
  const scenario = await loadScenario(file);
  return schedule === undefined ? scenario : scheduleScenario(scenario, schedule);
}
