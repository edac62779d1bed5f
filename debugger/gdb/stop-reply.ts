import type { Breakpoint } from '../breakpoint.js';
import type { StopReason } from '../stop.js';
import type { View } from '../view.js';

const SIGINT = 2;
const SIGTRAP = 5;

/** How GDB is told why everything stands still ("Stop Reply Packets"). */
export function stopReply(view: View, reason: StopReason): string {
  if (reason.kind === 'modules') return `T${signal(SIGTRAP)}library:;`;
  const details = [...why(reason), `thread:${view.thread.id.toString(16)};`];
  if (view.thread.processor !== undefined) details.push(`core:${view.thread.processor.index.toString(16)};`);
  return `T${signal(reason.kind === 'interrupted' ? SIGINT : SIGTRAP)}${details.join('')}`;
}

function signal(number: number): string {
  return number.toString(16).padStart(2, '0');
}

function why(reason: StopReason): string[] {
  switch (reason.kind) {
    case 'breakpoint':
      return [reason.breakpoint.hardware ? 'hwbreak:;' : 'swbreak:;'];
    case 'watchpoint':
      return [watch(reason.breakpoint)];
    case 'start':
      return ['replaylog:begin;'];
    case 'position':
      return reason.search === undefined ? [] : why(reason.search.found);
    default:
      return [];
  }
}

function watch({ kind, address = 0n }: Breakpoint): string {
  return `${kind === 'write' ? 'watch' : 'awatch'}:${address.toString(16)};`;
}
