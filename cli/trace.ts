import { Command } from 'commander';
import { Coverage, eventLine, TenetTrace } from '../debugger/index.js';
import { runScenario } from '../lab/index.js';
import { describeReport, UsageError } from './errors.js';
import { assertOutput, writeOutput } from './files.js';
import { wholeNumber } from './numbers.js';
import { EXIT, note, printJson } from './output.js';
import { failureOf } from './scenario-errors.js';
import { loadScenario } from './scenario-file.js';

interface TraceFlags {
  readonly seed?: number;
  readonly drcov?: string;
  readonly tenet?: string;
  readonly events?: string;
  readonly json?: boolean;
}

export function traceCommand(): Command {
  return new Command('trace')
    .description('Runs a scenario and writes what happened for other tools.')
    .argument('<scenario>', 'a file whose default export is defineScenario(…)')
    .option('--drcov <file>', 'executed code, for Lighthouse and others')
    .option('--tenet <file>', 'every instruction of each thread, for Tenet: FILE.<thread>')
    .option('--events <file>', 'the events of kernel and engine, a line of JSON each')
    .option('--seed <n>', 'decides how processors interleave', wholeNumber)
    .option('--json', 'one JSON document on stdout')
    .addHelpText(
      'after',
      '\nExample:\n  hotpatch trace scenarios/rollback.ts --drcov rollback.drcov --events rollback.jsonl',
    )
    .action(async (file: string, flags: TraceFlags) => {
      process.exitCode = await trace(file, flags);
    });
}

/** Every export watches the same run. */
async function trace(file: string, { seed, drcov, tenet, events, json }: TraceFlags): Promise<number> {
  if (drcov === undefined && tenet === undefined && events === undefined)
    throw new UsageError('say what to write: --drcov FILE, --tenet FILE or --events FILE');
  for (const out of [drcov, events]) if (out !== undefined) assertOutput(out, [file]);
  if (tenet !== undefined) assertOutput(tenet, [file]);
  const scenario = await loadScenario(file);
  const seeded = seed === undefined ? {} : { seed };
  const coverage = drcov === undefined ? undefined : new Coverage();
  const traces = tenet === undefined ? undefined : new TenetTrace();
  const { transcript, error: failed } = await runScenario(scenario, {
    ...seeded,
    onBoot(lab) {
      coverage?.attach(lab);
      traces?.attach(lab);
    },
  });
  const written: string[] = [];
  const write = (path: string, contents: Uint8Array | string) => {
    writeOutput(path, contents);
    written.push(path);
  };
  if (drcov !== undefined && coverage !== undefined) write(drcov, coverage.toDrcov());
  for (const [thread, text] of traces?.threads ?? []) write(`${tenet}.${thread.id}`, text);
  if (events !== undefined) write(events, transcript.map(eventLine).join(''));
  const report = failed === undefined ? undefined : failureOf(file, failed);
  if (json === true) {
    printJson({
      scenario: file,
      held: failed === undefined,
      written,
      ...(report === undefined ? {} : { error: report }),
    });
  }
  if (report === undefined) return EXIT.done;
  note(`${file}: ${describeReport(report)}`);
  return report.exitCode;
}
