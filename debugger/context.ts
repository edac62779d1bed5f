import { describeHop } from './hops.js';
import { instructionLine, instructionsAt } from './listing.js';
import type { View } from './view.js';

const INSTRUCTIONS = 5;
const STACK_SLOTS = 6;

/** What `.context on` shows at each stop: registers that have changed since the last one, the code ahead, the stack. */
export class StopContext {
  readonly #registers = new Map<number, ReadonlyMap<string, bigint>>();

  lines(view: View): string[] {
    return [
      ...section('registers', this.#changed(view)),
      ...section('code', codeAhead(view)),
      ...section('stack', stackOf(view)),
    ];
  }

  #changed(view: View): string[] {
    const { registers, programCounter } = view.architecture;
    const known = this.#registers.get(view.thread.id);
    const now = new Map(registers.map((name) => [name, view.register(name) ?? 0n]));
    this.#registers.set(view.thread.id, now);
    return [...now].flatMap(([name, value]) => {
      const before = known?.get(name);
      if (name === programCounter || before === value) return [];
      const was = before === undefined ? '' : `  was ${view.format(before)}`;
      const place = view.nameOf(value);
      return [`${name.padStart(5)} ${view.format(value)}${place === undefined ? '' : ` ${place}`}${was}`];
    });
  }
}

function codeAhead(view: View): string[] {
  if (view.readUpTo(view.pc, 1).length === 0) return [];
  return instructionsAt(view, view.pc, INSTRUCTIONS).map((instruction) => {
    const hop = describeHop(view, instruction.address);
    const line = instructionLine(view, instruction);
    return hop === undefined ? line : `${line}    ${hop}`;
  });
}

function stackOf(view: View): string[] {
  const { pointerSize, thread } = view;
  const count = Math.floor(view.readUpTo(thread.sp, STACK_SLOTS * pointerSize).length / pointerSize);
  return Array.from({ length: count }, (_, index) => {
    const at = thread.sp + BigInt(index * pointerSize);
    const value = view.readPointer(at);
    const place = view.nameOf(value);
    return `${view.format(at)}  ${view.format(value)}${place === undefined ? '' : ` ${place}`}`;
  });
}

function section(title: string, lines: readonly string[]): string[] {
  return lines.length === 0 ? [] : [`── ${title}`, ...lines];
}
