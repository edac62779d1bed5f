import type { HotPatchEngine } from '../engine/index.js';
import type { Lab } from '../lab.js';
import type { BootOptions, ImageDomain } from '../loader/index.js';
import { currentScenarioRun, runScenario, type Scenario } from '../scenario.js';
import type { OperationKind, Subject, SubjectCall, SubjectOptions, SubjectSource } from './subject.js';

/** A hotpatch operation that a scenario performs, and the calls with which it is explored. */
export interface ScenarioOperation {
  /** Counted from 0 in the order of the scenario. */
  readonly index: number;
  readonly kind: OperationKind;
  /** One for each process, session or kernel that the scenario calls functions in; the last one first. */
  readonly calls: readonly [SubjectCall, ...SubjectCall[]];
  readonly source: SubjectSource;
}

/** Ends a scenario where it would perform the operation that is to be explored. */
class Reached extends Error {
  override readonly name = 'Reached';

  constructor(readonly subject: Subject) {
    super('the operation that is to be explored has been reached');
  }
}

interface Watch {
  onCall(call: SubjectCall): void;
  /** May throw, to end the scenario instead of performing the operation. */
  beforeOperation(lab: Lab, kind: OperationKind, steps: Subject['steps']): void;
  /** The operation was not refused. */
  afterOperation?(lab: Lab, kind: OperationKind): void;
}

/**
 * The operations of a scenario that change code in memory: each hotpatch that it applies or takes back. What the
 * processors do meanwhile are the calls that the scenario made last before it, one in each process and session that has
 * made one and still is, or else the first one after it. @throws what the scenario ends with
 */
export async function scenarioOperations(scenario: Scenario): Promise<ScenarioOperation[]> {
  const calls: SubjectCall[] = [];
  const found: { kind: OperationKind; callsBefore: number; attempt: number; places: Set<string> }[] = [];
  let attempts = 0;
  let places = new Set<string>();
  await run(scenario, {
    onCall: (call) => void calls.push(call),
    beforeOperation(lab) {
      attempts++;
      places = new Set(lab.kernel.domains.map(({ name }) => name));
    },
    afterOperation: (_lab, kind) =>
      void found.push({ kind, callsBefore: calls.length, attempt: attempts - 1, places }),
  });
  return found.flatMap(({ kind, callsBefore, attempt, places: there }, index) => {
    const chosen = callsOf(calls, callsBefore, there);
    const [first, ...others] = chosen;
    if (first === undefined) return [];
    const name = `${scenario.title}, operation ${index + 1}: ${kind}`;
    const create: SubjectSource['create'] = (options) =>
      stopAt(scenario, attempt, [first, ...others], options);
    return [
      { index, kind, calls: [first, ...others], source: { name, create, roles: chosen.length } } as const,
    ];
  });
}

/** The last call before the operation in each place, the newest first; without any the first one after it. */
function callsOf(
  calls: readonly SubjectCall[],
  before: number,
  places: ReadonlySet<string>,
): readonly SubjectCall[] {
  const newestFirst = calls.slice(0, before).reverse();
  const chosen = new Map<string | undefined, SubjectCall>();
  for (const call of newestFirst)
    if (!chosen.has(call.place) && (call.place === undefined || places.has(call.place)))
      chosen.set(call.place, call);
  if (chosen.size > 0) return [...chosen.values()];
  return calls
    .slice(before)
    .filter(({ place }) => place === undefined || places.has(place))
    .slice(0, 1);
}

async function stopAt(
  scenario: Scenario,
  wanted: number,
  calls: Subject['calls'],
  { processors, instructionFetch, generation, shown = false }: SubjectOptions = {},
): Promise<Subject> {
  let index = 0;
  const boot: Partial<BootOptions> = {
    ...(processors === undefined ? {} : { processors }),
    ...(instructionFetch === undefined ? {} : { instructionFetch }),
    ...generation,
  };
  const watch: Watch = {
    onCall: () => undefined,
    beforeOperation(lab, operation, steps) {
      if (index++ !== wanted) return;
      currentScenarioRun()?.labs.delete(lab);
      throw new Reached({ lab, operation, calls, steps, [Symbol.dispose]: () => lab[Symbol.dispose]() });
    },
  };
  try {
    await run(scenario, watch, boot, shown ? currentScenarioRun() : undefined);
  } catch (error) {
    if (error instanceof Reached) return error.subject;
    throw error;
  }
  throw new RangeError(`the scenario has no operation ${wanted} when it runs again`);
}

/** @param within the run that shall see labs and events, as if they were its own */
async function run(
  scenario: Scenario,
  watch: Watch,
  boot: Partial<BootOptions> = {},
  within?: ReturnType<typeof currentScenarioRun>,
): Promise<void> {
  const { error } = await runScenario(scenario, {
    boot,
    ...(within?.seed === undefined ? {} : { seed: within.seed }),
    ...(within === undefined ? {} : { onEvent: within.record }),
    onBoot(lab) {
      within?.onBoot?.(lab);
      attach(lab, watch);
    },
  });
  if (error !== undefined) throw error;
}

function attach(lab: Lab, watch: Watch): void {
  const { kernel } = lab;
  let inside = 0;
  /** What loader and engine call on their own are not calls of the scenario. */
  const quietly = <T>(action: () => T): T => {
    inside += 1;
    try {
      return action();
    } finally {
      inside -= 1;
    }
  };
  const told = (target: bigint, parameters: SubjectCall['arguments'], domain: ImageDomain | undefined) => {
    const { name: place } = domain ?? kernel.domainOf(target);
    if (inside === 0) watch.onCall({ target, arguments: parameters, place });
  };
  const createThread = kernel.createThread.bind(kernel);
  kernel.createThread = (target, parameters = [], options = {}) => {
    told(target, parameters, typeof options === 'string' ? undefined : options.domain);
    return createThread(target, parameters, options);
  };
  const callThread = kernel.callThread.bind(kernel);
  kernel.callThread = (target, parameters = [], options = {}) => {
    told(target, parameters, options.domain);
    return callThread(target, parameters, options);
  };
  const { loader } = kernel;
  const load = loader.load.bind(loader);
  loader.load = (...of) => quietly(() => load(...of));
  const release = loader.release.bind(loader);
  loader.release = (image) => quietly(() => release(image));
  attachToEngine(lab, watch, quietly);
}

function attachToEngine(lab: Lab, watch: Watch, quietly: <T>(action: () => T) => T): void {
  const { engine } = lab;
  const loadPatch = engine.loadPatch.bind(engine);
  engine.loadPatch = (image, options) => {
    const kind = kindOf(lab, image);
    if (kind !== undefined) watch.beforeOperation(lab, kind, () => engine.loadPatchSteps(image, options));
    const patch = quietly(() => loadPatch(image, options));
    if (kind !== undefined) watch.afterOperation?.(lab, kind);
    return patch;
  };
  const unloadPatch = engine.unloadPatch.bind(engine);
  engine.unloadPatch = (patch) => {
    const isApplied = patch.state === 'applied';
    if (isApplied) watch.beforeOperation(lab, 'revert', () => engine.unloadPatchSteps(patch));
    quietly(() => unloadPatch(patch));
    if (isApplied) watch.afterOperation?.(lab, 'revert');
  };
}

/** Undefined for a patch whose base is not loaded: it changes nothing. */
function kindOf(lab: Lab, image: Parameters<HotPatchEngine['loadPatch']>[0]): OperationKind | undefined {
  const base = image.hotPatch?.bases[0];
  if (base === undefined) return undefined;
  const identity = { checkSum: base.originalCheckSum, timeDateStamp: base.originalTimeDateStamp };
  const [loaded] = lab.kernel.imagesOf(identity);
  if (loaded === undefined) return undefined;
  return lab.engine.record(loaded.image).active === undefined ? 'apply' : 'repatch';
}
