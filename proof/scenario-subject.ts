import {
  type EngineName,
  observeOperations,
  type RequestedOperation,
  type StoreStep,
} from '../engine/index.js';
import type { Lab } from '../lab/index.js';
import { currentScenarioRun, runScenario, type Scenario } from '../lab/index.js';
import type { BootOptions, LabEvent } from '../loader/index.js';
import { refuse } from './refuse.js';
import { lastCalls, type ScenarioCall, ThreadCoverage } from './scenario-calls.js';
import {
  type OperationKind,
  operationTitle,
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
  /** Whose operation it is. */
  readonly engine: EngineName;
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
  readonly operation: RequestedOperation;
}

interface Watch {
  onBoot?(lab: Lab): void;
  onCall(call: ScenarioCall): void;
  /** May throw, to end the scenario instead of performing the operation. */
  beforeOperation(attempt: Attempt): void;
  /** The operation was not refused. */
  afterOperation?(attempt: Attempt): void;
}

/** An operation that was performed. */
interface Found {
  readonly lab: Lab;
  readonly kind: OperationKind;
  readonly attempt: number;
  /** Those that have the base, and all there are. */
  readonly patched: readonly string[];
  readonly places: ReadonlySet<string>;
  /** Where functions begin that it leads elsewhere, or back. */
  readonly entries: ReadonlySet<bigint>;
  /** Calls that the scenario had made before it. */
  readonly callsBefore: number;
}

const MOST_PLACES = 3;

/**
 * The operations of a scenario that change code in memory: each hotpatch of either generation that it applies or takes
 * back. What the processors do meanwhile are the calls that the scenario made last before it, one in each process or
 * session, rather those that execute a changed function; where it has made none, but the base is there, the first one
 * after it that can be made. @throws what the scenario ends with
 */
export async function scenarioOperations(scenario: Scenario): Promise<ScenarioOperation[]> {
  const calls: ScenarioCall[] = [];
  const found: Found[] = [];
  const coverage = new Map<Lab, ThreadCoverage>();
  let attempts = 0;
  let places = new Set<string>();
  let entries = new Set<bigint>();
  await run(scenario, {
    onBoot(lab) {
      const executed = new ThreadCoverage();
      coverage.set(lab, executed);
      lab.kernel.scheduler.watch(executed);
      lab.kernel.events.on((event) => {
        if (isEntryStore(event)) entries.add(event.address);
      });
    },
    onCall: (call) => void calls.push(call),
    beforeOperation({ lab }) {
      attempts++;
      places = new Set(lab.kernel.domains.map(({ name }) => name));
      entries = new Set();
    },
    afterOperation({ lab, operation: { kind, domains } }) {
      const patched = domains.map(({ name }) => name);
      const callsBefore = calls.length;
      found.push({ lab, kind, attempt: attempts - 1, patched, places, entries, callsBefore });
    },
  });
  const operations: ScenarioOperation[] = [];
  for (const [index, one] of found.entries()) {
    const reachesChange = (call: ScenarioCall) => coverage.get(call.lab)?.reaches(call, one.entries) ?? false;
    const [first, ...others] = await callsFor(scenario, one, calls, reachesChange);
    if (first === undefined) continue;
    const engine = one.lab.engine.name;
    const name = `${scenario.title}, operation ${index + 1}: ${operationTitle(one.kind, engine)}`;
    const create: SubjectSource['create'] = (options) =>
      stopAt(scenario, one.attempt, [first, ...others], options);
    const source = { name, create, roles: 1 + others.length };
    operations.push({ index, kind: one.kind, engine, calls: [first, ...others], source });
  }
  return operations;
}

async function callsFor(
  scenario: Scenario,
  { lab, attempt, callsBefore, patched, places }: Found,
  calls: readonly ScenarioCall[],
  reachesChange: (call: ScenarioCall) => boolean,
): Promise<readonly SubjectCall[]> {
  const isHere = ({ lab: where, place = '' }: ScenarioCall) => where === lab && places.has(place);
  const chosen = lastCalls(calls.slice(0, callsBefore).filter(isHere), reachesChange);
  for (const call of calls.slice(callsBefore).filter(isHere)) {
    const { place = '' } = call;
    if (chosen.size >= MOST_PLACES) break;
    if (chosen.has(place) || !(patched.includes(place) || chosen.size === 0)) continue;
    if (await canBeMade(scenario, attempt, call)) chosen.set(place, call);
  }
  return [...chosen.values()].map(({ lab: _, ...call }) => call);
}

function isEntryStore(event: LabEvent): event is LabEvent & StoreStep {
  return event.kind === 'store' && event.target === 'entry';
}

/** Not when it needs memory that the scenario allocates later. */
async function canBeMade(scenario: Scenario, attempt: number, call: SubjectCall): Promise<boolean> {
  using subject = await stopAt(scenario, attempt, [call]);
  try {
    subject.lab.kernel.call64(call.target, call.arguments, { domain: placeOf(subject.lab, call) });
    return true;
  } catch {
    return false;
  }
}

async function stopAt(
  scenario: Scenario,
  wanted: number,
  calls: Subject['calls'],
  { processors, instructionFetch, hpatForm, shown = false }: SubjectOptions = {},
): Promise<Subject> {
  let index = 0;
  const boot: Partial<BootOptions> = {
    ...(processors === undefined ? {} : { processors }),
    ...(instructionFetch === undefined ? {} : { instructionFetch }),
    ...hpatForm,
  };
  const watch: Watch = {
    onCall: () => undefined,
    beforeOperation({ lab, operation: { kind: operation, steps } }) {
      if (index++ !== wanted) return;
      currentScenarioRun()?.labs.delete(lab);
      const release = () => lab[Symbol.dispose]();
      throw new Reached({ lab, operation, calls, steps, [Symbol.dispose]: release });
    },
  };
  try {
    await run(scenario, watch, boot, shown ? currentScenarioRun() : undefined);
  } catch (error) {
    if (error instanceof Reached) return error.subject;
    throw error;
  }
  throw refuse('schedule.operation', `the scenario has no operation ${wanted} when it runs again`);
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
      watch.onBoot?.(lab);
      attach(lab, watch);
    },
  });
  if (error !== undefined) throw error;
}

function attach(lab: Lab, watch: Watch): void {
  const { kernel } = lab;
  let inside = 0;
  /** What the engine calls on its own are not calls of the scenario. */
  const quietly = <T>(action: () => T): T => {
    inside += 1;
    try {
      return action();
    } finally {
      inside -= 1;
    }
  };
  kernel.onCall(({ target, arguments: given, domain: { name: place }, initiator }) => {
    if (inside === 0 && initiator === 'caller') watch.onCall({ lab, target, arguments: given, place });
  });
  observeOperations(kernel, {
    perform(operation, perform) {
      if (operation === undefined) return quietly(perform);
      watch.beforeOperation({ lab, operation });
      const result = quietly(perform);
      watch.afterOperation?.({ lab, operation });
      return result;
    },
  });
}
