import { architectureInMode } from './architecture/index.js';
import { instructionLength } from './instruction.js';
import type { Segment, Stop } from './outcome.js';
import type { Processor } from './processor.js';
import type { Refusal } from './translator.js';
import type { Block, BlockLog } from './unicorn/block-log.js';
import type { Engine } from './unicorn/engine.js';
import { ABORTED } from './unicorn/guard.js';
import { ENDED } from './unicorn/names.js';

type Count = Pick<Segment, 'begun' | 'completed' | 'isPaused'>;

/** What an engine has executed in its last stay, by the way in which it counts. */
export function countOf(
  engine: Engine,
  processor: Processor,
  end: { readonly code: number; readonly stop: Stop | undefined; readonly refusal: Refusal | undefined },
): Count {
  const { blocks } = engine;
  if (blocks === undefined) return { begun: engine.begun, completed: undefined, isPaused: false };
  const { entered, last, pause } = blocks;
  const isPaused = pause !== undefined;
  const { code, stop, refusal } = end;
  const isRefusedFetch = code === ENDED.refused && refusal?.access === 'execute';
  const isBetween = isPaused || code === ABORTED || stop?.kind === 'unhooked' || isRefusedFetch;
  if (isBetween || last === undefined) return { begun: entered, completed: entered, isPaused };
  const inLast = instructionsBefore(last, processor);
  const completed = entered - last.instructions + inLast;
  return { begun: inLast < last.instructions ? completed + 1 : completed, completed, isPaused };
}

/** Instructions of the block in front of the program counter; all of them when that is elsewhere. */
function instructionsBefore({ address, bytes, instructions, bits }: Block, processor: Processor): number {
  const offset = Number(BigInt.asIntN(64, processor.pc - address));
  if (offset < 0 || offset >= bytes.byteLength) return instructions;
  return instructionsIn(processor, bytes.subarray(0, offset), address, bits);
}

function instructionsIn(
  { architecture }: Processor,
  bytes: Uint8Array,
  address: bigint,
  bits: number,
): number {
  const { name } = architectureInMode(architecture, bits);
  let count = 0;
  for (let at = 0; at < bytes.byteLength; count++)
    at += Math.max(1, instructionLength(name, bytes.subarray(at), address + BigInt(at)));
  return count;
}

/** Has the engine know the block in front of which it stopped: code at an address at which something else lay before. */
export function learnUnknown(blocks: BlockLog, processor: Processor): void {
  const { address, size } = blocks.unknown;
  const { bits } = processor;
  const bytes = processor.fetchBytes(address, size);
  blocks.learn({ address, bytes, bits, instructions: instructionsIn(processor, bytes, address, bits) });
}
