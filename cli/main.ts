import { Command, CommanderError } from 'commander';
import { describeReport, ProcessEnded, reportOf } from './errors.js';
import { beginFiles } from './files.js';
import { interruption } from './interruption.js';
import { isIsolated, isolated, isolatesWhole, noteRuns } from './isolate.js';
import { beginDocument, consoleOnStderr, EXIT, isDocumentPrinted, note, printJson, write } from './output.js';
import { reportOfScenario } from './scenario-errors.js';
import { onExit, Unsettled } from './unsettled.js';
import { packageVersion } from './version.js';

/** Each command is loaded when it is called: a cold `hotpatch call` must not pay for the debugger. */
const COMMANDS: Readonly<Record<string, () => Promise<Command>>> = {
  run: async () => (await import('./run.js')).runCommand(),
  call: async () => (await import('./call.js')).callCommand(),
  inspect: async () => (await import('./inspect.js')).inspectCommand(),
  check: async () => (await import('./check.js')).checkCommand(),
  build: async () => (await import('./build.js')).buildCommand(),
  new: async () => (await import('./new.js')).newCommand(),
  make: async () => (await import('./make.js')).makeCommand(),
  verify: async () => (await import('./verify.js')).verifyCommand(),
  explore: async () => (await import('./explore.js')).exploreCommand(),
  step: async () => (await import('./step.js')).stepCommand(),
  gdb: async () => (await import('./gdb.js')).gdbCommand(),
  dap: async () => (await import('./dap.js')).dapCommand(),
  workbench: async () => (await import('./workbench.js')).workbenchCommand(),
  record: async () => (await import('./record.js')).recordCommand(),
  trace: async () => (await import('./trace.js')).traceCommand(),
  dump: async () => (await import('./dump.js')).dumpCommand(),
  scan: async () => (await import('./scan.js')).scanCommand(),
  exports: async () => (await import('./exports.js')).exportsCommand(),
  doctor: async () => (await import('./doctor.js')).doctorCommand(),
  campaign: async () => (await import('./campaign.js')).campaignCommand(),
  completion: async () => (await import('./completion.js')).completionCommand(allCommands),
};

export { finish, watchStreams } from './output.js';

/** Names of all commands. */
export const commandNames: readonly string[] = Object.keys(COMMANDS);

/** Each as commander has it, with its arguments and options. */
export const allCommands = (): Promise<Command[]> =>
  Promise.all(Object.values(COMMANDS).map((load) => load()));

/** Says what is kept when SIGINT, SIGTERM or SIGHUP ends this process. */
export function watchInterrupts(args: readonly string[]): void {
  const name = nameIn(args);
  // The prompt has its own way with Ctrl+C, and a terminal to put back.
  // The workbench ends its processes, and removes what it has built.
  // The process that it runs in says it.
  if (isIsolated(name, args)) return;
  if (name === undefined || name === 'workbench' || (name === 'step' && process.stdin.isTTY)) return;
  interruption.watch(name);
}

function nameIn(args: readonly string[]): string | undefined {
  const word = args.find((arg) => !arg.startsWith('-'));
  return word === undefined || !Object.hasOwn(COMMANDS, word) ? undefined : word;
}

/** Runs the `hotpatch` command; returns its exit code. */
export async function main(args: readonly string[]): Promise<number> {
  const end = args.indexOf('--');
  const [own, passedOn] = end < 0 ? [args, []] : [args.slice(0, end), args.slice(end)];
  const debug = own.includes('--debug');
  const json = own.includes('--json');
  const program = new Command('hotpatch')
    .description('A laboratory for Windows hotpatching: real machine code, patched while it runs.')
    .version(packageVersion(), '--version', 'show the version')
    .option('--debug', 'show stack traces of errors')
    .helpCommand(true);
  const named = COMMANDS[nameIn(own) ?? ''];
  for (const command of named === undefined ? await allCommands() : [await named()])
    program.addCommand(command);
  for (const command of [program, ...program.commands])
    command.exitOverride().configureOutput({ writeOut: write, writeErr: () => undefined });
  beginDocument();
  beginFiles();
  using _console = json ? consoleOnStderr() : undefined;
  try {
    process.exitCode = undefined;
    await noteRuns();
    if (isolatesWhole(nameIn(own), own)) return await isolated(args, json);
    const words = [...own.filter((arg) => arg !== '--debug'), ...passedOn];
    using gone = new Unsettled('the scenario');
    using _ = onExit((code) => {
      process.exitCode = fail(new ProcessEnded(code), { debug, json });
    });
    await Promise.race([
      program.parseAsync(words, { from: 'user' }),
      gone.error.then((error) => {
        throw error;
      }),
    ]);
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
  const report = reportOf(error) ??
    reportOfScenario(error) ?? {
      exitCode: EXIT.failed,
      message: `this is a bug in hotpatch-lab: ${error instanceof Error ? error.message : String(error)}`,
      hint: 'run it again with --debug and report what it prints',
    };
  if (debug && error instanceof Error) note(error.stack ?? String(error));
  else note(`hotpatch: ${describeReport(report)}`);
  if (json && !isDocumentPrinted()) {
    const { exitCode, ...rest } = report;
    printJson({ error: rest, exitCode });
  }
  return report.exitCode;
}
