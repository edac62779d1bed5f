import { Command, InvalidArgumentError, Option } from 'commander';
import {
  type Exploration,
  explore,
  formatSchedule,
  type OperationKind,
  PROPERTIES,
  PROTOCOLS,
  protocolNamed,
  type Reduction,
  type SubjectSource,
  scenarioOperations,
  scheduleDocument,
  type WriteProtocol,
} from '../proof/index.js';
import { UsageError } from './errors.js';
import { type ImageExploration, type ImageFlags, operationsOfImage } from './explore-image.js';
import { hotPatchTableSize, wholeNumber } from './numbers.js';
import { colours, EXIT, print, printJson } from './output.js';
import { GENERATION_OF } from './patcher.js';
import { Progress } from './progress.js';
import { loadScenario } from './scenario-file.js';

const collect = (value: string, list: readonly string[]) => [...list, value];

const KINDS: readonly OperationKind[] = ['apply', 'repatch', 'revert'];

function operationChoice(text: string): number | OperationKind {
  return KINDS.find((kind) => kind === text) ?? wholeNumber(text);
}

interface ExploreFlags extends ImageFlags {
  readonly cpus: number;
  readonly protocol: string;
  readonly fetch: 'coherent' | 'weak';
  readonly calls?: number;
  readonly operation?: number | OperationKind;
  readonly mostStates?: number;
  readonly mostSeconds?: number;
  readonly reduction: boolean;
  readonly json?: boolean;
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
    .option('--no-reduction', 'order every instruction with everything; 1 to 3 processors, for small calls')
    .option('--json', 'one JSON document on stdout')
    .addHelpText('after', EXAMPLE)
    .action(async (file: string | undefined, flags: ExploreFlags) => {
      const operations = await operationsOf(file, flags);
      const results: { operation: ImageExploration; exploration: Exploration }[] = [];
      for (const operation of operations) {
        const exploration = await exploreOperation(operation, flags);
        if (exploration === undefined) continue;
        results.push({ operation, exploration });
        if (flags.json !== true) await printExploration(operation, exploration);
      }
      if (results.length === 0)
        throw new UsageError(`protocol '${flags.protocol}' does not do what ${file ?? flags.image} does`);
      if (flags.json) printJson(await report(results, flags));
      if (results.some(({ exploration: { violations, complete } }) => violations.length > 0 || !complete))
        process.exitCode = EXIT.failed;
    });
}

async function operationsOf(file: string | undefined, flags: ExploreFlags): Promise<ImageExploration[]> {
  if (file !== undefined && flags.image !== undefined)
    throw new UsageError(`--image ${flags.image}: ${file} is a scenario, which has images of its own`);
  const { operation } = flags;
  const all =
    file === undefined ? operationsOfImage(flags) : await scenarioOperations(await loadScenario(file));
  const chosen = all.filter(
    ({ index, kind }) => operation === undefined || operation === kind || operation === index + 1,
  );
  if (chosen.length > 0) return chosen;
  throw new UsageError(
    operation === undefined
      ? `${file}: it applies no hotpatch, or calls no function with lab.call or lab.startThread`
      : `${file ?? flags.image}: it has ${all.length} operations (${all.map(({ kind }) => kind).join(', ')}), not ${operation}`,
  );
}

async function exploreOperation(
  { source }: ImageExploration,
  flags: ExploreFlags,
): Promise<Exploration | undefined> {
  using progress = new Progress();
  try {
    return await exploreShowing(source, flags, progress);
  } catch (error) {
    // What the explorer cannot explore: a call that does not return by itself, a result that is none.
    if (error instanceof RangeError) throw new UsageError(`${source.name}: ${error.message}`);
    throw error;
  }
}

async function exploreShowing(
  source: SubjectSource,
  flags: ExploreFlags,
  progress: Progress,
): Promise<Exploration | undefined> {
  const { cpus, fetch, calls, mostStates, mostSeconds, reduction } = flags;
  return await explore(source, {
    protocol: protocol(flags.protocol),
    processors: cpus,
    fetch,
    reduction,
    ...(calls === undefined ? {} : { calls }),
    ...(mostStates === undefined ? {} : { mostStates }),
    ...(mostSeconds === undefined ? {} : { mostSeconds }),
    onProgress: ({ states, transitions, explored }) =>
      progress.show(`${explored} of ${states} states, ${transitions} transitions`),
  });
}

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
  for (const { rule, text, count, schedule } of violations) {
    print(colours.red(`\n${rule}: ${PROPERTIES[rule]}`));
    print(`${text}; ${count} time(s); the shortest schedule has ${schedule.actions.length} steps:`);
    for (const line of await formatSchedule(schedule)) print(line);
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
      violations: violations.map(({ rule, text, count, schedule }, index) => ({
        rule,
        text,
        count,
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

/** @param name one of the option's choices */
function protocol(name: string): WriteProtocol {
  const found = protocolNamed(name);
  if (found === undefined) throw new RangeError(`there is no protocol '${name}'`);
  return found;
}
