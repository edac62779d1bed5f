import { existsSync, mkdirSync, readdirSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { basename, dirname, extname, join } from 'node:path';
import { Argument, Command } from 'commander';
import {
  CampaignError,
  type CampaignProgress,
  campaignPage,
  FileFolder,
  PlanFiles,
  queueAddress,
  Results,
  readPlan,
  reportOn,
  runEmbedded,
  runQueued,
  testCaseOf,
  unitsOf,
  workOn,
} from '../campaign/index.js';
import { printCampaign, writeCampaignJunit, writeCampaignSarif } from './campaign-reports.js';
import { ReportedError, UsageError } from './errors.js';
import { assertOutput, readInput, writeOutput } from './files.js';
import { interruption } from './interruption.js';
import { numberFrom } from './numbers.js';
import { EXIT, print, printJson } from './output.js';
import { Progress } from './progress.js';
import { importDefault } from './scenario-file.js';

const ACTIONS = ['run', 'work', 'status', 'report', 'case', 'merge'] as const;
type Action = (typeof ACTIONS)[number];

interface CampaignFlags {
  readonly results?: string;
  readonly workers?: number;
  readonly timeout?: number;
  readonly minutes?: number;
  readonly share?: { readonly index: number; readonly of: number };
  readonly queue?: string;
  readonly files?: string;
  readonly idle?: number;
  readonly out?: string;
  readonly junit?: string;
  readonly sarif?: string;
  /** `--no-timings`: false. */
  readonly timings: boolean;
  readonly json?: boolean;
}

const MOST_WORKERS = 1024;

export function campaignCommand(): Command {
  return new Command('campaign')
    .description(
      'Runs thousands of independent checks on this machine or on many, and keeps what they come to.',
    )
    .addArgument(new Argument('<action>', 'what to do').choices([...ACTIONS]))
    .argument('[file...]', 'run: a plan; status, report, case, merge: results; case: also a finding')
    .option('--results <file>', 'run: where results are kept (default: the plan with .sqlite)')
    .option(
      '--workers <n>',
      `processes (default: ${availableParallelism()}, one a processor)`,
      numberFrom(1, MOST_WORKERS),
    )
    .option('--timeout <seconds>', 'a unit that takes longer has hung (default: 600)', numberFrom(1, 86_400))
    .option('--minutes <n>', 'begin no further unit after so many', numberFrom(1, 1_000_000))
    .option('--share <i/n>', 'run: only the i-th of n equal shares of the units, from 1 on', shareOf)
    .option('--queue <url>', 'redis://HOST:PORT/0#NAME: units go to the machines that work on this queue')
    .option('--files <folder>', 'with --queue: a folder that all machines see, for files too large for it')
    .option(
      '--idle <seconds>',
      'work: end after so long without work (default: never)',
      numberFrom(1, 1_000_000),
    )
    .option('--out <file>', 'report: the page; case: the test; merge: the results of all')
    .option('--junit <file>', 'also write the results as JUnit XML')
    .option('--sarif <file>', 'also write the findings as SARIF 2.1.0')
    .option('--no-timings', 'report: leave out what no two runs have in common')
    .option('--json', 'one JSON document on stdout')
    .addHelpText(
      'after',
      '\nExample:\n  hotpatch campaign run nightly.json --workers 2\n  hotpatch campaign report nightly.sqlite --out nightly.html\n  hotpatch campaign case nightly.sqlite 1f0c --out found.test.ts\n\nA campaign that was interrupted goes on where it was. Exit code 1: something was found.',
    )

    .action(async (action: Action, files: string[], flags: CampaignFlags) => {
      try {
        await DO[action](files, flags);
      } catch (error) {
        throw error instanceof CampaignError ? reported(error) : error;
      }
    });
}

function reported(error: CampaignError): ReportedError {
  const { message, rule, place, hint } = error;
  const more = { ...(place === undefined ? {} : { place }), ...(hint === undefined ? {} : { hint }) };
  return new ReportedError({ exitCode: EXIT.usage, message, rule, ...more }, error);
}

const DO: Readonly<Record<Action, (files: readonly string[], flags: CampaignFlags) => void | Promise<void>>> =
  {
    run,
    work,
    status: (files, flags) => report(files, { ...flags, out: undefined }),
    report: (files, flags) => {
      if (
        flags.out === undefined &&
        flags.json !== true &&
        flags.junit === undefined &&
        flags.sarif === undefined
      )
        throw new UsageError('report writes --out FILE.html, --junit FILE, --sarif FILE or --json');
      report(files, flags);
    },
    case: makeCase,
    merge,
  };

async function run(files: readonly string[], flags: CampaignFlags): Promise<void> {
  const path = one(files, 'a plan');
  const { results: name = `${path.slice(0, path.length - extname(path).length)}.sqlite` } = flags;
  for (const out of [name, flags.junit, flags.sarif]) if (out !== undefined) assertOutput(out, [path]);
  const plan = readPlan(await readPlanFile(path));
  const folder = `${name}.files`;
  using results = Results.create(name, plan);
  results.plan(plan, unitsOf(plan, new PlanFiles(dirname(path), new FileFolder(folder))));
  interruption.keep(name);
  using progress = new Progress();
  const { share, minutes } = flags;
  const common = {
    results,
    folder,
    ...(share === undefined ? {} : { share }),
    ...(minutes === undefined ? {} : { signal: AbortSignal.timeout(minutes * 60_000) }),
    onProgress: (made: CampaignProgress) => progress.show(progressText(made)),
  };
  progress.begin(`${results.count.done} of ${results.count.units} units were done before`);
  if (flags.queue === undefined) await runEmbedded({ ...common, ...limits(flags) });
  else
    await runQueued({
      ...common,
      queue: queueAddress(flags.queue),
      ...(flags.files === undefined ? {} : { files: flags.files }),
    });
  progress[Symbol.dispose]();
  conclude(results, name, flags);
}

async function work(files: readonly string[], flags: CampaignFlags): Promise<void> {
  if (flags.queue === undefined || files.length > 0)
    throw new UsageError('work takes --queue redis://HOST:PORT, and no file');
  const { minutes, idle } = flags;
  using progress = new Progress();
  const done = await workOn({
    queue: queueAddress(flags.queue),
    ...limits(flags),
    ...(flags.files === undefined ? {} : { files: flags.files }),
    ...(idle === undefined ? {} : { idle }),
    ...(minutes === undefined ? {} : { signal: AbortSignal.timeout(minutes * 60_000) }),
    onUnit: (count, unit) => progress.show(`${count} units done, the last one ${unit.kind}`),
  });
  progress[Symbol.dispose]();
  if (flags.json) printJson({ done });
  else print(`${done} units done`);
}

function report(
  files: readonly string[],
  flags: Omit<CampaignFlags, 'out'> & { readonly out?: string | undefined },
): void {
  const name = one(files, 'results');
  for (const out of [flags.out, flags.junit, flags.sarif]) if (out !== undefined) assertOutput(out, [name]);
  using results = Results.open(name);
  conclude(results, name, flags);
}

/** Prints and writes what the results say; a finding is exit code 1. */
function conclude(
  results: Results,
  name: string,
  flags: Omit<CampaignFlags, 'out'> & { readonly out?: string | undefined },
): void {
  const made = reportOn(results, { timings: flags.timings });
  if (flags.out !== undefined) writeOutput(flags.out, campaignPage(made));
  if (flags.junit !== undefined) writeCampaignJunit(flags.junit, made);
  if (flags.sarif !== undefined) writeCampaignSarif(flags.sarif, made, name);
  if (flags.json) printJson({ results: name, ...made });
  else printCampaign(made);
  if (made.total.findings > 0) process.exitCode = EXIT.failed;
}

function makeCase(files: readonly string[], flags: CampaignFlags): void {
  const [name, id] = files;
  if (name === undefined || id === undefined || files.length > 2)
    throw new UsageError('case takes results and a finding: hotpatch campaign case nightly.sqlite 1f0c');
  using results = Results.open(name);
  const finding = results.finding(id);
  const { out = `${finding.id}.test.ts` } = flags;
  assertOutput(out, [name]);
  const stem = basename(out).replace(/(\.test)?\.[cm]?[jt]s$/, '');
  const { test, files: beside } = testCaseOf(results, finding, stem, new FileFolder(`${name}.files`));
  for (const [path, bytes] of beside) {
    const full = join(dirname(out), path);
    mkdirSync(dirname(full), { recursive: true });
    writeOutput(full, bytes);
  }
  writeOutput(out, test);
  const written = [out, ...[...beside.keys()].map((path) => join(dirname(out), path))];
  if (flags.json) printJson({ finding: finding.id, rule: finding.rule, files: written });
  else for (const path of written) print(path);
}

function merge(files: readonly string[], flags: CampaignFlags): void {
  const { out } = flags;
  const [first] = files;
  if (out === undefined || first === undefined)
    throw new UsageError('merge takes results, and --out FILE.sqlite');
  if (files.includes(out)) throw new UsageError(`${out}: would be merged into itself`);
  using begun = Results.open(first);
  using all = Results.create(out, begun);
  const target = new FileFolder(`${out}.files`);
  for (const name of files) {
    using other = Results.open(name);
    if (other.name !== all.name)
      throw new CampaignError(
        'results.campaign',
        `it holds the results of '${other.name}', not of '${all.name}'`,
        {
          place: name,
        },
      );
    all.merge(other);
    const own = `${name}.files`;
    if (existsSync(own))
      for (const sha256 of readdirSync(own))
        if (/^[0-9a-f]{64}$/.test(sha256))
          target.copyFrom(new FileFolder(own), { name: sha256, sha256, size: 0 });
  }
  conclude(all, out, { ...flags, out: undefined });
}

/** JSON, or TypeScript and JavaScript whose default export is the plan. */
async function readPlanFile(path: string): Promise<unknown> {
  const bytes = readInput(path);
  if (/\.[cm]?[jt]s$/.test(path)) return importDefault(path);
  try {
    return JSON.parse(new TextDecoder().decode(bytes));
  } catch (error) {
    throw new CampaignError('plan.value', error instanceof Error ? error.message : String(error), {
      place: path,
    });
  }
}

function one([only, ...others]: readonly string[], what: string): string {
  if (only === undefined || others.length > 0) throw new UsageError(`this takes one file: ${what}`);
  return only;
}

const limits = ({ workers, timeout }: CampaignFlags) => ({
  ...(workers === undefined ? {} : { workers }),
  ...(timeout === undefined ? {} : { timeout }),
});

function progressText({ done, units, findings, cases, seconds }: CampaignProgress): string {
  const rate = seconds === 0 ? 0 : cases / seconds;
  return `${done} of ${units} units, ${rate.toFixed(1)} cases a second, ${findings} finding(s)`;
}

/** `3/1000`, from 1 on as people count, to the index and the number of shares. */
function shareOf(text: string): { index: number; of: number } {
  const [, index, of] = /^(\d+)\/(\d+)$/.exec(text) ?? [];
  const [i, n] = [Number(index), Number(of)];
  if (index === undefined || i < 1 || i > n)
    throw new UsageError(`--share '${text}': write 3/10, the third of ten`);
  return { index: i - 1, of: n };
}
