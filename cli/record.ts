import { Command, InvalidArgumentError } from 'commander';
import { DEFAULT_LIMIT, type RecordingHead, recordScenario, renderPage } from '../viewer/index.js';
import { describeReport, UsageError } from './errors.js';
import { assertOutput, writeOutput } from './files.js';
import { wholeNumber } from './numbers.js';
import { EXIT, note, print, printJson } from './output.js';
import { failureOf } from './scenario-errors.js';
import { loadScenario } from './scenario-file.js';

interface RecordFlags {
  readonly out: string;
  readonly seed?: number;
  readonly instructions: number;
  readonly json?: boolean;
}

export function recordCommand(): Command {
  return new Command('record')
    .description('Records a scenario as a self-contained web page that replays it.')
    .argument('<scenario>', 'a file whose default export is defineScenario(…)')
    .requiredOption('--out <file>', 'the page, FILE.html')
    .option('--instructions <n>', 'how many are recorded at most; the run goes on', positive, DEFAULT_LIMIT)
    .option('--seed <n>', 'decides how processors interleave', wholeNumber)
    .option('--json', 'one JSON document on stdout')
    .addHelpText(
      'after',
      '\nExample:\n  hotpatch record scenarios/first-trampoline.ts --out first-trampoline.html',
    )
    .action(async (file: string, flags: RecordFlags) => {
      process.exitCode = await record(file, flags);
    });
}

/** A run that fails is recorded up to there: that is when one wants to look at it. */
async function record(file: string, { out, seed, instructions, json }: RecordFlags): Promise<number> {
  const scenario = await loadScenario(file);
  const seeded = seed === undefined ? {} : { seed };
  assertOutput(out, [file]);
  const { recording, result } = await recordScenario(scenario, { ...seeded, limit: instructions });
  const report = result.error === undefined ? undefined : failureOf(file, result.error);
  if (recording.head.processors.length === 0) {
    if (result.error !== undefined) throw result.error;
    throw new UsageError(`${file}: the scenario boots no machine, so that there is nothing to record`);
  }
  const page = await renderPage(recording);
  writeOutput(out, page);
  const bytes = Buffer.byteLength(page);
  if (json === true)
    printJson({ ...summary(recording.head), out, bytes, ...(report === undefined ? {} : { error: report }) });
  else print(`${out}: ${summaryText(recording.head)}, ${Math.ceil(bytes / 1024)} KB`);
  if (recording.head.limit !== undefined)
    note(`only the first ${recording.head.limit} instructions are recorded; --instructions N records more`);
  if (report === undefined) return EXIT.done;
  note(`${file}: ${describeReport(report)}`);
  return report.exitCode;
}

function summary({ title, entries, instructions, events, processors, trampolines, limit }: RecordingHead) {
  return {
    title,
    architecture: processors[0]?.architecture,
    processors: processors.length,
    steps: entries,
    instructions,
    events: events.length,
    patchedFunctions: trampolines.length,
    complete: limit === undefined,
  };
}

function summaryText({ entries, instructions, events }: RecordingHead): string {
  return `${entries} steps, of these ${instructions} instructions and ${events.length} events`;
}

function positive(text: string): number {
  const value = wholeNumber(text);
  if (value === 0) throw new InvalidArgumentError('at least one instruction is recorded');
  return value;
}
