import { Command } from 'commander';
import { runDebugScript } from '../debugger/index.js';
import type { DebugWorkerDone } from './debug-thread.js';
import { describeReport, UsageError } from './errors.js';
import { wholeNumber } from './numbers.js';
import { EXIT, isDocumentPrinted, note, printJson, write as writeText } from './output.js';
import { failureOf } from './scenario-errors.js';
import { loadScheduled } from './schedule.js';
import { stepAtTerminal } from './step-terminal.js';

interface StepFlags {
  readonly seed?: number;
  readonly command?: string;
  readonly schedule?: string;
  readonly json?: boolean;
}

export function stepCommand(): Command {
  return new Command('step')
    .description("The debugger: steps through a scenario, with WinDbg's commands, also back in time.")
    .argument('<scenario>', 'a file whose default export is defineScenario(…)')
    .option('--seed <n>', 'decides how processors interleave', wholeNumber)
    .option('--command <commands>', 'runs these commands, separated by ;, and then the scenario to its end')
    .option('--schedule <file>', 'one interleaving that `hotpatch explore --json` found, instead of its own')
    .option('--json', 'with --command: one JSON document on stdout')
    .addHelpText(
      'after',
      "\nExample:\n  hotpatch step scenarios/first-trampoline.ts --command 'bp packets_hp!ReceivePacket; g; k; t-; t-'",
    )
    .action(async (file: string, flags: StepFlags) => {
      if (flags.json === true && flags.command === undefined)
        throw new UsageError('--json needs --command: the prompt is for people');
      process.exitCode =
        flags.command === undefined
          ? exitCodeOf(await stepAtTerminal(file, flags.seed, flags.schedule))
          : await stepByScript(file, flags, flags.command);
    });
}

async function stepByScript(
  file: string,
  { seed, schedule, json }: StepFlags,
  commands: string,
): Promise<number> {
  let output = '';
  const write = (text: string) => {
    if (json === true) output += text;
    else writeText(text);
  };
  const scenario = await loadScheduled(file, schedule);
  const { error, mistakes } = await runDebugScript(scenario, commands, {
    write,
    ...(seed === undefined ? {} : { seed }),
  });
  const failure = error === undefined ? undefined : failureOf(file, error);
  if (json === true) {
    printJson({
      scenario: file,
      commands,
      output: output.split('\n'),
      held: error === undefined,
      mistakes,
      ...(failure === undefined ? {} : { error: failure }),
    });
  }
  if (failure !== undefined) return failure.exitCode;
  return mistakes > 0 ? EXIT.failed : EXIT.done;
}

/** Says what went wrong, if anything did. */
export function exitCodeOf({ failed, report }: DebugWorkerDone, json = false): number {
  if (report !== undefined) note(`hotpatch: ${describeReport(report)}`);
  if (json && report !== undefined && !isDocumentPrinted()) {
    const { exitCode, ...error } = report;
    printJson({ error, exitCode });
  }
  return report?.exitCode ?? (failed ? EXIT.failed : EXIT.done);
}
