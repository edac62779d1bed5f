import { defineScenario, ExpectationFailed, type Scenario } from '../lab/index.js';
import { KernelError } from '../loader/index.js';
import { parseActions, type ScheduleDocument } from './explore/format-schedule.js';
import { Replay } from './explore/replay.js';
import { protocolNamed } from './protocols/index.js';
import { scenarioOperations } from './scenario-subject.js';

/** A schedule, and which of a scenario's hotpatch operations it is for; 1 is the first. */
export interface OperationSchedule extends ScheduleDocument {
  readonly operation: number;
}

/**
 * The scenario up to one of its hotpatch operations, and that one interleaved with its calls as the schedule says. A
 * scenario like any other: the debugger stops in it and goes back in it. @throws KernelError in its run for an operation
 * or a protocol that there is not, ExpectationFailed where a property is broken
 */
export function scheduleScenario(scenario: Scenario, schedule: OperationSchedule): Scenario {
  const { operation: number, protocol: name, processors, fetch, actions } = schedule;
  return defineScenario(`${scenario.title}, operation ${number} by a schedule`, async ({ say }) => {
    const protocol = protocolNamed(name);
    if (protocol === undefined) throw refuse('schedule.protocol', `there is no protocol '${name}'`);
    const operations = await scenarioOperations(scenario);
    const operation = operations.find(({ index }) => index + 1 === number);
    if (operation === undefined)
      throw refuse('schedule.operation', `the scenario has no operation ${number}`);
    using run = await Replay.create(operation.source, { protocol, processors, fetch, shown: true });
    say(`\n${operation.source.name}`);
    for (const action of parseActions(actions)) {
      say(run.describe(action));
      const outcome = run.perform(action);
      if (outcome.kind === 'returned') say(`    the call returned 0x${outcome.result.toString(16)}`);
      if (outcome.kind === 'fault') throw new ExpectationFailed(outcome.text);
    }
  });
}

function refuse(rule: 'schedule.protocol' | 'schedule.operation', message: string): KernelError {
  return new KernelError({ rule, status: 'STATUS_NOT_FOUND', message });
}
