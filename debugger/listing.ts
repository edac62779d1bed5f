import type { DisassembledInstruction } from '../cpu/index.js';
import type { Breakpoint } from './breakpoint.js';
import { DebugError } from './error.js';
import { describeHop, leftoverBehind, patchedPlaces } from './hops.js';
import { sourceLines } from './source-lines.js';
import type { StopReason } from './stop.js';
import type { View } from './view.js';

const LONGEST_INSTRUCTION = 15;

/** The next `count` instructions as data reads see them. */
export function instructionsAt(
  view: View,
  address: bigint,
  count: number,
): readonly DisassembledInstruction[] {
  return decode(view, address, view.readUpTo(address, count * LONGEST_INSTRUCTION), count);
}

/** Every instruction from `start` up to `end`. */
export function instructionsBetween(
  view: View,
  start: bigint,
  end: bigint,
): readonly DisassembledInstruction[] {
  return decode(view, start, view.readUpTo(start, Number(end - start)), Number.POSITIVE_INFINITY);
}

function decode(
  view: View,
  address: bigint,
  bytes: Uint8Array,
  count: number,
): readonly DisassembledInstruction[] {
  if (bytes.length === 0) throw new DebugError(`there is no memory at ${view.format(address)}`);
  const symbol = (at: bigint) => view.nameOf(at);
  const instructions: DisassembledInstruction[] = [];
  for (let at = 0; at < bytes.length && instructions.length < count; ) {
    const here = address + BigInt(at);
    const leftover = leftoverBehind(view, here);
    const rest = leftover > 0 ? 1 : count - instructions.length;
    const limit = Number.isFinite(rest) ? { count: rest } : {};
    const end = leftover > 0 ? undefined : nextPatchedEntry(view, here, bytes.length - at);
    const decoded = view.disassembler(
      view.architecture.name,
      bytes.subarray(at, end === undefined ? undefined : at + end),
      here,
      { ...limit, symbol },
    );
    instructions.push(...decoded);
    at += decoded.reduce((sum, { length }) => sum + length, 0);
    if (leftover > 0 && at < bytes.length && instructions.length < count) {
      instructions.push(leftoverLine(address + BigInt(at), bytes.slice(at, at + leftover)));
      at += leftover;
    }
    if (decoded.length === 0) break;
  }
  return instructions;
}

/** Bytes up to the next patched function, when there is one in these. */
function nextPatchedEntry(view: View, address: bigint, length: number): number | undefined {
  const image = view.imageAt(address);
  if (image === undefined) return undefined;
  const next = patchedPlaces(view, image)
    .map((place) => Number(place - address))
    .filter((distance) => distance > 0 && distance < length);
  return next.length === 0 ? undefined : Math.min(...next);
}

function leftoverLine(address: bigint, bytes: Uint8Array): DisassembledInstruction {
  return { address, bytes, length: bytes.length, text: '(rest of the first instruction, never executed)' };
}

/** `fffff800``100010a0 ebf9            jmp     …` */
export function instructionLine(view: View, { address, bytes, text }: DisassembledInstruction): string {
  const width = Math.min(16, 2 * view.architecture.maximumInstructionLength);
  return `${view.format(address)} ${Buffer.from(bytes).toString('hex').padEnd(width)} ${text}`;
}

/** Instructions with the name of each symbol above it, and what each hop of a trampoline is. */
export function listing(
  view: View,
  instructions: readonly DisassembledInstruction[],
  withSource = false,
): string[] {
  const lines: string[] = [];
  let source = '';
  instructions.forEach((instruction, index) => {
    const { address } = instruction;
    const hop = describeHop(view, address);
    const offset = view.imageAt(address)?.symbols.byAddress(view.imageAt(address)?.rva(address) ?? 0)?.offset;
    if (index === 0 || offset === 0 || hop !== undefined) lines.push(label(view, address, hop));
    const here = withSource ? sourceLines(view, address) : [];
    if (here.join() !== source) lines.push(...here);
    source = here.join();
    lines.push(instructionLine(view, instruction));
  });
  return lines;
}

function label(view: View, address: bigint, hop: string | undefined): string {
  return `${view.describe(address)}:${hop === undefined ? '' : `    ${hop}`}`;
}

/** Where the thread stands, as a debugger says it at each stop. */
export function locationLines(view: View): string[] {
  const { pc, thread } = view;
  const fetched = thread.processor?.fetchBytes(pc, view.readUpTo(pc, LONGEST_INSTRUCTION).length);
  if (fetched === undefined || fetched.length === 0) return [`${view.describe(pc)}:`];
  const [instruction] = decode(view, pc, fetched, 1);
  if (instruction === undefined) return [`${view.describe(pc)}:`];
  const lines = [
    label(view, pc, describeHop(view, pc)),
    ...sourceLines(view, pc),
    instructionLine(view, instruction),
  ];
  const inMemory = view.readUpTo(pc, instruction.length);
  if (Buffer.compare(inMemory, instruction.bytes) !== 0)
    lines.push(
      `    stale: memory holds ${Buffer.from(inMemory).toString('hex')}, which processor ${thread.processor?.index} has not fetched yet`,
    );
  return lines;
}

/** The engine's store, where it was one. */
function whoChanged({ kernel }: View, { address = 0n, size }: Breakpoint): string {
  const store = kernel.events.all.findLast(
    (event) =>
      event.kind === 'store' &&
      event.address < address + BigInt(size) &&
      address < event.address + BigInt(event.bytes.length),
  );
  return store === undefined ? 'from outside the guest' : `by the engine: ${store.text.trim()}`;
}

/** Why the run stopped, where that does not speak for itself. */
export function reasonLine(view: View, reason: StopReason): string | undefined {
  switch (reason.kind) {
    case 'start':
      return `thread ${view.thread.id} (${view.thread.name}) is about to run`;
    case 'breakpoint':
      return `Breakpoint ${reason.breakpoint.id} hit, thread ${view.thread.id}`;
    case 'watchpoint':
      return reason.instruction === undefined
        ? `Breakpoint ${reason.breakpoint.id}: ${reason.breakpoint.expression} was changed ${whoChanged(view, reason.breakpoint)}`
        : `Breakpoint ${reason.breakpoint.id}: ${reason.breakpoint.expression} was ${reason.breakpoint.kind === 'write' ? 'written' : 'accessed'} by ${view.describe(reason.instruction)}`;
    case 'position':
      return reason.search === undefined ? undefined : reasonLine(view, reason.search.found);
    case 'threadEnded':
      return `thread ${reason.ended.id} has ended; thread ${view.thread.id} runs next`;
    case 'interrupted':
      return 'interrupted';
    default:
      return undefined;
  }
}
