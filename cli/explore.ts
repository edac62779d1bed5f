import { availableParallelism } from 'node:os';
import { Command, InvalidArgumentError, Option } from 'commander';
import {
  type Exploration,
  type Progress as ExplorationProgress,
  formatLanes,
  formatSchedule,
  type OperationKind,
  PROPERTIES,
  PROTOCOLS,
  type Reduction,
  scheduleDocument,
} from '../proof/index.js';
import { UsageError } from './errors.js';
import { Checkpoint } from './explore-checkpoint.js';
import type { ImageExploration } from './explore-image.js';
import { type ExploreFlags, exploreOperation, operationsOf } from './explore-run.js';
import { type Explored, exploreInThreads, resuming } from './explore-threads.js';
import { hotPatchTableSize, numberFrom, wholeNumber } from './numbers.js';
import { colours, EXIT, print, printJson } from './output.js';
import { GENERATION_OF } from './patcher.js';
import { Progress } from './progress.js';

const collect = (value: string, list: readonly string[]) => [...list, value];

const KINDS: readonly OperationKind[] = ['apply', 'repatch', 'revert'];

function operationChoice(text: string): number | OperationKind {
  return KINDS.find((kind) => kind === text) ?? wholeNumber(text);
}

const EXAMPLE = `
Example:
  hotpatch explore scenarios/first-trampoline.ts --cpus 2 --fetch weak
  hotpatch explore --image demo.dll --patch demo_hp.dll --call 'hp_entry 0 3 4' --cpus 2

Every order that makes a difference of the engine's steps and of the instructions of the processors is visited; a processor
runs by itself through everything that nobody else can notice. The processors make the call that the scenario made last
before the operation, rather one that executes what the operation changes; when it has called functions in several
processes or sessions, each processor makes the call of another one. Hotpatches of either generation are explored. Protocols: ${PROTOCOLS.map(({ name }) => name).join(', ')}.`;

export function exploreCommand(): Command {
  return new Command('explore')
    .description('Runs every interleaving of a hotpatch with running processors.')
    .argument('[scenario]', 'TypeScript or JavaScript file whose default export is defineScenario(…)')
    .option('--image <image>', 'in place of a scenario: a driver or DLL, with --patch and --call')
    .option('--patch <image>', 'a hotpatch for it (repeatable, in order)', collect, [])
    .option(
      '--call <call>',
      "'FUNCTION ARGUMENTS', as of hotpatch call; repeated, the processors make the calls in turn",
      collect,
      [],
    )
    .option(
      '--before <call>',
      'a call to make before; $1 in later calls is what the first returned',
      collect,
      [],
    )
    .option('--with <image>', 'an image that it imports from (repeatable, in load order)', collect, [])
    .option('--symbols <file>', 'PDB or map of the image; default: what lies beside it')
    .option('--processes', 'each --call is made in a process of its own')
    .addOption(
      new Option('--mixture <rule>', 'results that are right when a call meets old and new functions')
        .choices(['per-activation', 'none'])
        .default('per-activation'),
    )
    .option('--hot-patch-table-size <bytes>', 'HotPatchTableSize of the registry', hotPatchTableSize, 0x1000)
    .option('--cpus <n>', 'processors that make the call, 1 to 4', processors, 1)
    .addOption(
      new Option('--protocol <name>', 'how code is changed: the engine, or another way')
        .choices(PROTOCOLS.map(({ name }) => name))
        .default('windows'),
    )
    .addOption(
      new Option('--fetch <mode>', 'instruction fetch').choices(['coherent', 'weak']).default('coherent'),
    )
    .option('--calls <n>', 'calls of each processor (default: no end; 2 when they change data)', wholeNumber)
    .option(
      '--operation <which>',
      'only the n-th hotpatch that the scenario applies or takes back, or: apply, repatch, revert',
      operationChoice,
    )
    .option('--most-states <n>', 'give up after so many states', wholeNumber)
    .option('--most-seconds <n>', 'give up after so many seconds, for each operation', wholeNumber)
    .option('--memory <megabytes>', 'give up when the command has so much memory', wholeNumber)
    .option(
      '--checkpoint <file>',
      'what is known when the search ends early (Ctrl+C, --memory, --most-…) is kept there; the same command goes on with it',
    )
    .option(
      '--workers <n>',
      'threads, each of which explores an operation; 0: none (default: as many as there are processors)',
      numberFrom(0, 64),
    )
    .option('--no-reduction', 'order every instruction with everything; 1 to 3 processors, for small calls')
    .option(
      '--isolate',
      'run guest code in a process of its own: when that dies, say what it ran; exit code 1',
    )
    .option('--json', 'one JSON document on stdout')
    .addHelpText('after', EXAMPLE)
    .action(async (file: string | undefined, flags: ExploreFlags) => {
      const checkpoint =
        flags.checkpoint === undefined ? undefined : new Checkpoint(flags.checkpoint, file, flags);
      const operations = await operationsOf(file, flags);
      const results: Explored[] = [];
      for await (const result of exploreAll(file, flags, operations, checkpoint)) {
        results.push(result);
        if (flags.json !== true) await printExploration(result.operation, result.exploration);
      }
      if (results.length === 0)
        throw new UsageError(`protocol '${flags.protocol}' does not do what ${file ?? flags.image} does`);
      checkpoint?.keep(results);
      if (flags.json) printJson(await report(results, flags));
      if (results.some(({ exploration: { violations, complete } }) => violations.length > 0 || !complete))
        process.exitCode = EXIT.failed;
    });
}

async function* exploreAll(
  file: string | undefined,
  flags: ExploreFlags,
  operations: readonly ImageExploration[],
  checkpoint: Checkpoint | undefined,
): AsyncGenerator<Explored> {
  const knownOf = ({ index }: ImageExploration) => checkpoint?.of(index);
  using progress = new Progress();
  const show = (
    { source }: ImageExploration,
    { states, transitions, explored, steps }: ExplorationProgress,
  ) => {
    const each = transitions === 0 ? 1 : Math.round(steps / transitions);
    progress.show(
      `${source.name}: ${explored} states explored, ${states - explored} open; each of ${transitions} transitions stands for ${each} steps`,
    );
  };
  const workers = flags.workers ?? (RUNS_FROM_SOURCE ? 0 : availableParallelism());
  if (workers > 0) {
    for await (const result of exploreInThreads(file, { ...flags, workers }, operations, knownOf, show)) {
      progress[Symbol.dispose]();
      yield result;
    }
    return;
  }
  for (const operation of operations) {
    const onProgress = (one: ExplorationProgress) => show(operation, one);
    const known = knownOf(operation);
    const exploration =
      known?.complete === true
        ? known
        : await exploreOperation(operation, flags, { onProgress, ...resuming(known?.checkpoint) });
    progress[Symbol.dispose]();
    if (exploration !== undefined) yield { operation, exploration };
  }
}

/** Threads would have to translate all sources once more. */
const RUNS_FROM_SOURCE = import.meta.url.endsWith('.ts');

async function printExploration({ source }: ImageExploration, exploration: Exploration): Promise<void> {
  const { states, transitions, executed, complete, bound, violations, seconds, calls, roles } = exploration;
  const { processors, fetch, protocol } = exploration;
  print(colours.bold(`\n${source.name}`));
  print(`${protocol}, ${processors} processor(s), ${fetch} instruction fetch, ${callsText(calls)}`);
  for (const { place, expected } of roles)
    print(`the call in ${place} returns ${show(expected.before)} before and ${show(expected.after)} after`);
  const rate = Math.round(transitions / Math.max(seconds, 0.001));
  print(
    `${states} states, ${transitions} transitions, ${executed} instructions executed; ${rate} transitions/s`,
  );
  if (exploration.reduction !== undefined) print(reductionText(exploration.reduction, processors, complete));
  print(
    complete
      ? 'complete: every reachable state was visited'
      : `NOT complete: ended by ${bound ?? 'its bound'}`,
  );
  const { mixtures = [], unjudged = [] } = exploration;
  if (mixtures.length > 0)
    print(`right where old and new functions met in one call: ${mixtures.map(show).join(', ')}`);
  if (unjudged.length > 0)
    print(colours.yellow(`not judged, neither the old nor the new result: ${unjudged.map(show).join(', ')}`));
  if (violations.length === 0) print(colours.green('no property is broken'));
  for (const { rule, text, count, inSequence, schedule } of violations) {
    print(colours.red(`\n${rule}: ${PROPERTIES[rule]}`));
    if (inSequence === true)
      print('this needs no interleaving: a call before the operation and one after it are enough');
    print(`${text}; ${count} time(s); the shortest schedule has ${schedule.actions.length} steps:`);
    for (const line of await formatLanes(schedule)) print(line);
  }
}

function reductionText(
  { instructions, points, moments, allMoments, apart, sharedBytes }: Reduction,
  cpus: number,
  complete: boolean,
): string {
  const places = `of a call's ${instructions} steps others can notice ${points} in some way, and of the engine's ${allMoments} moments calls can tell ${moments} apart`;
  if (cpus === 1) return places;
  const why = complete ? 'the processors share nothing that any of them writes, so ' : '';
  return apart
    ? `${places}; ${why}each processor was explored by itself with the engine`
    : `${places}; the processors were explored together${sharedBytes === 0 ? '' : ` (they share ${sharedBytes} bytes that are written)`}`;
}

const callsText = (calls: number | undefined): string =>
  calls === undefined ? 'calls without end' : `${calls} call(s) each`;

const show = (value: number): string => `0x${value.toString(16)}`;

async function report(
  results: readonly { operation: ImageExploration; exploration: Exploration }[],
  { protocol: name, cpus, fetch }: ExploreFlags,
): Promise<object> {
  const lines = await Promise.all(
    results.map(({ exploration }) =>
      Promise.all(exploration.violations.map(({ schedule }) => formatSchedule(schedule))),
    ),
  );
  const explorations = results.map(({ operation, exploration }, result) => {
    const {
      states,
      transitions,
      executed,
      complete,
      bound,
      calls,
      expected,
      roles,
      seconds,
      violations,
      reduction,
      mixtures,
      unjudged,
    } = exploration;
    return {
      operation: operation.index + 1,
      kind: operation.kind,
      generation: GENERATION_OF[operation.engine],
      states,
      transitions,
      executed,
      complete,
      ...(bound === undefined ? {} : { bound }),
      ...(calls === undefined ? {} : { calls }),
      expected,
      roles,
      seconds,
      ...(reduction === undefined ? {} : { reduction }),
      ...(mixtures === undefined || mixtures.length === 0 ? {} : { mixtures }),
      ...(unjudged === undefined || unjudged.length === 0 ? {} : { unjudged }),
      violations: violations.map(({ rule, text, count, inSequence, schedule }, index) => ({
        rule,
        text,
        count,
        ...(inSequence === undefined ? {} : { inSequence }),
        lines: lines[result]?.[index] ?? [],
        schedule: { operation: operation.index + 1, ...scheduleDocument(schedule) },
      })),
    };
  });
  const sum = (value: (one: (typeof explorations)[number]) => number) =>
    explorations.reduce((total, one) => total + value(one), 0);
  return {
    protocol: name,
    processors: cpus,
    fetch,
    states: sum(({ states }) => states),
    transitions: sum(({ transitions }) => transitions),
    complete: explorations.every(({ complete }) => complete),
    violations: explorations.flatMap(({ violations }) => violations),
    explorations,
  };
}

function processors(text: string): number {
  const value = wholeNumber(text);
  if (value < 1 || value > 4)
    throw new InvalidArgumentError(`the explorer takes 1 to 4 processors, not ${value}`);
  return value;
}
