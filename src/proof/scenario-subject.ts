import type { HotPatchEngine } from '../engine/index.js';
import type { Lab } from '../lab.js';
import type { BootOptions, ImageDomain, LoadedImage } from '../loader/index.js';
import { currentScenarioRun, runScenario, type Scenario } from '../scenario.js';
import {
  type OperationKind,
  placeOf,
  type Subject,
  type SubjectCall,
  type SubjectOptions,
  type SubjectSource,
} from './subject.js';

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

/** An operation that the scenario is about to perform. */
interface Attempt {
  readonly lab: Lab;
  readonly kind: OperationKind;
  readonly steps: Subject['steps'];
  /** Names of the domains that have the base. */
  readonly places: readonly string[];
}

interface Watch {
  onCall(call: SubjectCall): void;
  /** May throw, to end the scenario instead of performing the operation. */
  beforeOperation(attempt: Attempt): void;
  /** The operation was not refused. */
  afterOperation?(attempt: Attempt): void;
}

/** An operation that was performed. */
interface Found {
  readonly kind: OperationKind;
  readonly attempt: number;
  /** Those that have the base, and all there are. */
  readonly patched: readonly string[];
  readonly places: ReadonlySet<string>;
  /** Calls that the scenario had made before it. */
  readonly callsBefore: number;
}

const MOST_PLACES = 3;

/**
 * The operations of a scenario that change code in memory: each hotpatch that it applies or takes back. What the
 * processors do meanwhile are the calls that the scenario made last before it, one in each process or session; where it
 * has made none, but the base is there, the first one after it that can be made. @throws what the scenario ends with
 */
export async function scenarioOperations(scenario: Scenario): Promise<ScenarioOperation[]> {
  const calls: SubjectCall[] = [];
  const found: Found[] = [];
  let attempts = 0;
  let places = new Set<string>();
  await run(scenario, {
    onCall: (call) => void calls.push(call),
    beforeOperation({ lab }) {
      attempts++;
      places = new Set(lab.kernel.domains.map(({ name }) => name));
    },
    afterOperation: ({ kind, places: patched }) =>
      void found.push({ kind, attempt: attempts - 1, patched, places, callsBefore: calls.length }),
  });
  const operations: ScenarioOperation[] = [];
  for (const [index, one] of found.entries()) {
    const [first, ...others] = await callsFor(scenario, one, calls);
    if (first === undefined) continue;
    const name = `${scenario.title}, operation ${index + 1}: ${one.kind}`;
    const create: SubjectSource['create'] = (options) =>
      stopAt(scenario, one.attempt, [first, ...others], options);
    const source = { name, create, roles: 1 + others.length };
    operations.push({ index, kind: one.kind, calls: [first, ...others], source });
  }
  return operations;
}

async function callsFor(
  scenario: Scenario,
  { attempt, callsBefore, patched, places }: Found,
  calls: readonly SubjectCall[],
): Promise<readonly SubjectCall[]> {
  const chosen = new Map<string, SubjectCall>();
  for (const call of calls.slice(0, callsBefore).reverse()) {
    const { place = '' } = call;
    if (!chosen.has(place) && places.has(place)) chosen.set(place, call);
  }
  for (const call of calls.slice(callsBefore)) {
    const { place = '' } = call;
    if (chosen.size >= MOST_PLACES) break;
    if (chosen.has(place) || !(patched.includes(place) || (chosen.size === 0 && places.has(place)))) continue;
    if (await canBeMade(scenario, attempt, call)) chosen.set(place, call);
  }
  return [...chosen.values()];
}

/** Not when it needs memory that the scenario allocates later. */
async function canBeMade(scenario: Scenario, attempt: number, call: SubjectCall): Promise<boolean> {
  using subject = await stopAt(scenario, attempt, [call]);
  try {
    subject.lab.kernel.call(call.target, call.arguments, { domain: placeOf(subject.lab, call) });
    return true;
  } catch {
    return false;
  }
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
    beforeOperation({ lab, kind: operation, steps }) {
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
    const bases = basesOf(lab, image);
    const [base] = bases;
    if (base === undefined) return quietly(() => loadPatch(image, options));
    const attempt: Attempt = {
      lab,
      kind: engine.record(base).active === undefined ? 'apply' : 'repatch',
      steps: () => engine.loadPatchSteps(image, options),
      places: bases.map(({ domain }) => domain.name),
    };
    watch.beforeOperation(attempt);
    const patch = quietly(() => loadPatch(image, options));
    watch.afterOperation?.(attempt);
    return patch;
  };
  const unloadPatch = engine.unloadPatch.bind(engine);
  engine.unloadPatch = (patch) => {
    if (patch.state !== 'applied') return quietly(() => unloadPatch(patch));
    const attempt: Attempt = {
      lab,
      kind: 'revert',
      steps: () => engine.unloadPatchSteps(patch),
      places: patch.applications.map(({ base }) => base.image.domain.name),
    };
    watch.beforeOperation(attempt);
    quietly(() => unloadPatch(patch));
    watch.afterOperation?.(attempt);
  };
}

/** Where the patch will be applied: nowhere when its base is not loaded. */
function basesOf({ kernel }: Lab, image: Parameters<HotPatchEngine['loadPatch']>[0]): LoadedImage[] {
  const base = image.hotPatch?.bases[0];
  if (base === undefined) return [];
  const identity = { checkSum: base.originalCheckSum, timeDateStamp: base.originalTimeDateStamp };
  return kernel.imagesOf(identity).map((instance) => instance.image);
}
