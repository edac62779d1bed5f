import { Command, CommanderError } from 'commander';
import { buildCommand } from './build.js';
import { callCommand } from './call.js';
import { checkCommand } from './check.js';
import { doctorCommand } from './doctor.js';
import { describeReport, reportOf } from './errors.js';
import { inspectCommand } from './inspect.js';
import { EXIT, note, printJson } from './output.js';
import { runCommand } from './run.js';
import { verifyCommand } from './verify.js';

/** Runs the `hotpatch` command; returns its exit code. */
export async function main(args: readonly string[]): Promise<number> {
  const debug = args.includes('--debug');
  const json = args.includes('--json');
  const program = new Command('hotpatch')
    .description('A laboratory for Windows hotpatching: real machine code, patched while it runs.')
    .option('--debug', 'show stack traces of errors')
    .helpCommand(true)
    .addCommand(runCommand())
    .addCommand(callCommand())
    .addCommand(inspectCommand())
    .addCommand(checkCommand())
    .addCommand(buildCommand())
    .addCommand(verifyCommand())
    .addCommand(doctorCommand());
  for (const command of [program, ...program.commands])
    command.exitOverride().configureOutput({ writeErr: () => undefined });
  try {
    process.exitCode = undefined;
    await program.parseAsync(
      args.filter((arg) => arg !== '--debug'),
      { from: 'user' },
    );
    return Number(process.exitCode ?? EXIT.done);
  } catch (error) {
    if (error instanceof CommanderError && error.exitCode === 0) return EXIT.done;
    if (error instanceof CommanderError && error.code === 'commander.help') {
      note(program.helpInformation());
      return EXIT.usage;
    }
    return fail(error, { debug, json });
  }
}

function fail(error: unknown, { debug, json }: { debug: boolean; json: boolean }): number {
  const report = reportOf(error) ?? {
    exitCode: EXIT.failed,
    message: `this is a bug in hotpatch-lab: ${error instanceof Error ? error.message : String(error)}`,
    hint: 'run it again with --debug and report what it prints',
  };
  if (debug && error instanceof Error) note(error.stack ?? String(error));
  else note(`hotpatch: ${describeReport(report)}`);
  if (json) {
    const { exitCode, ...rest } = report;
    printJson({ error: rest, exitCode });
  }
  return report.exitCode;
}
