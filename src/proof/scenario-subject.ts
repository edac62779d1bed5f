import type { HotPatchEngine } from '../engine/index.js';
import type { Lab } from '../lab.js';
import type { BootOptions } from '../loader/index.js';
import { currentScenarioRun, runScenario, type Scenario } from '../scenario.js';
import type { OperationKind, Subject, SubjectCall, SubjectSource } from './subject.js';

/** A hotpatch operation that a scenario performs, and the call with which it is explored. */
export interface ScenarioOperation {
  /** Counted from 0 in the order of the scenario. */
  readonly index: number;
  readonly kind: OperationKind;
  readonly call: SubjectCall;
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
  afterOperation?(kind: OperationKind): void;
}

/**
 * The operations of a scenario that change code in memory: each hotpatch that it applies or takes back. What the
 * processors do meanwhile is the call that the scenario made last before it, by `lab.call` or `lab.startThread`, or
 * else the first one after it. @throws what the scenario ends with
 */
export async function scenarioOperations(scenario: Scenario): Promise<ScenarioOperation[]> {
  const calls: SubjectCall[] = [];
  const found: { kind: OperationKind; callsBefore: number; attempt: number }[] = [];
  let attempts = 0;
  await run(scenario, {
    onCall: (call) => void calls.push(call),
    beforeOperation: () => void attempts++,
    afterOperation: (kind) => void found.push({ kind, callsBefore: calls.length, attempt: attempts - 1 }),
  });
  return found.flatMap(({ kind, callsBefore, attempt }, index) => {
    const call = calls[callsBefore - 1] ?? calls[callsBefore];
    if (call === undefined) return [];
    const name = `${scenario.title}, operation ${index + 1}: ${kind}`;
    const create: SubjectSource['create'] = (options) => stopAt(scenario, attempt, call, options);
    return [{ index, kind, call, source: { name, create } }];
  });
}

async function stopAt(
  scenario: Scenario,
  wanted: number,
  call: SubjectCall,
  boot: Partial<BootOptions> = {},
): Promise<Subject> {
  let index = 0;
  try {
    await run(
      scenario,
      {
        onCall: () => undefined,
        beforeOperation(lab, operation, steps) {
          if (index++ !== wanted) return;
          currentScenarioRun()?.labs.delete(lab);
          throw new Reached({ lab, operation, call, steps, [Symbol.dispose]: () => lab[Symbol.dispose]() });
        },
      },
      boot,
    );
  } catch (error) {
    if (error instanceof Reached) return error.subject;
    throw error;
  }
  throw new RangeError(`the scenario has no operation ${wanted} when it runs again`);
}

async function run(scenario: Scenario, watch: Watch, boot: Partial<BootOptions> = {}): Promise<void> {
  const { error } = await runScenario(scenario, { boot, onBoot: (lab) => attach(lab, watch) });
  if (error !== undefined) throw error;
}

function attach(lab: Lab, watch: Watch): void {
  const call = lab.call.bind(lab);
  lab.call = (target, parameters = []) => {
    watch.onCall({ target, arguments: parameters });
    return call(target, parameters);
  };
  const startThread = lab.startThread.bind(lab);
  lab.startThread = (target, parameters = []) => {
    watch.onCall({ target, arguments: parameters });
    return startThread(target, parameters);
  };
  const { engine } = lab;
  const loadPatch = engine.loadPatch.bind(engine);
  engine.loadPatch = (image, options) => {
    const kind = kindOf(lab, image);
    if (kind !== undefined) watch.beforeOperation(lab, kind, () => engine.loadPatchSteps(image, options));
    const patch = loadPatch(image, options);
    if (kind !== undefined) watch.afterOperation?.(kind);
    return patch;
  };
  const unloadPatch = engine.unloadPatch.bind(engine);
  engine.unloadPatch = (patch) => {
    const isApplied = patch.state === 'applied';
    if (isApplied) watch.beforeOperation(lab, 'revert', () => engine.unloadPatchSteps(patch));
    unloadPatch(patch);
    if (isApplied) watch.afterOperation?.('revert');
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
