import { disassemble } from '../../cpu/index.js';
import { KernelError } from '../../loader/index.js';
import type { Action, Schedule, ScheduledAction } from './schedule.js';

/** A schedule as a JSON document, complete enough to be replayed. */
export interface ScheduleDocument {
  readonly protocol: string;
  readonly processors: number;
  readonly fetch: 'coherent' | 'weak';
  /** `engine`, `engine:1`, `processor:0`, `interrupt:2`: who does the next step. */
  readonly actions: readonly string[];
}

export function scheduleDocument({ protocol, processors, fetch, actions }: Schedule): ScheduleDocument {
  return { protocol, processors, fetch, actions: actions.map(actionText) };
}

function actionText(action: Action): string {
  if (action.actor !== 'engine') return `${action.actor}:${action.processor}`;
  return action.edge === 0 ? 'engine' : `engine:${action.edge}`;
}

/** @throws KernelError `schedule.step` for what no schedule says */
export function parseAction(text: string): Action {
  const [, actor, number] = /^(engine|processor|interrupt)(?::(\d+))?$/.exec(text) ?? [];
  if (actor === 'engine') return { actor, edge: Number(number ?? 0) };
  if ((actor === 'processor' || actor === 'interrupt') && number !== undefined)
    return { actor, processor: Number(number) };
  throw new KernelError({
    rule: 'schedule.step',
    status: 'STATUS_INVALID_PARAMETER',
    message: `'${text}' is not a step of a schedule`,
    hint: 'write engine, engine:1, processor:0 or interrupt:0',
  });
}

/** The schedule for people, one action a line, with disassembly. */
export async function formatSchedule(schedule: Schedule): Promise<string[]> {
  const lines: string[] = [];
  for (const [index, action] of schedule.actions.entries())
    lines.push(`${String(index + 1).padStart(4)}  ${await formatAction(schedule, action)}`);
  return lines;
}

async function formatAction({ architecture }: Schedule, action: ScheduledAction): Promise<string> {
  const { actor, text } = action;
  if (actor === 'engine') return `engine       ${text}`;
  const who = `cpu ${action.processor}`.padEnd(13);
  if (actor === 'interrupt') return `${who}is interrupted at ${text}, and so serialised`;
  const { address = 0n, bytes = new Uint8Array() } = action;
  const [instruction] =
    bytes.length === 0 ? [] : await disassemble(architecture, bytes, address, { count: 1 });
  const hex = Buffer.from(bytes).toString('hex');
  return `${who}${text.padEnd(28)} ${hex.padEnd(20)} ${instruction?.text ?? 'nothing can be fetched here'}`;
}
