import { architectureNamed } from '../../cpu/index.js';
import type { Recording } from '../recording.js';
import type { EngineGraph, EngineNode } from './engine-graph.js';
import type { ExecutedInstruction } from './executor.js';

/**
 * Which instructions of the changed bytes are whole: those that the code before or the code after the operation has there,
 * each decoded from where a function or a piece of a trampoline begins. Judged by the instruction alone: a call that meets
 * an old function and a new one executes whole instructions of both.
 */
export class WholeCode {
  readonly #whole = new Set<string>();
  /** By place and address: the changed page and which of its changed bytes. */
  readonly #changed = new Map<string, Map<bigint, readonly [page: number, index: number]>>();

  constructor(
    private readonly graph: EngineGraph,
    recording: Recording,
  ) {
    const [first] = graph.nodes;
    const last = graph.nodes.find(({ committed }) => committed);
    if (first === undefined || last === undefined) return;
    const starts = new Set<string>();
    for (const step of recording.steps)
      if (step.kind === 'store') starts.add(`${step.place} ${step.address}`);
    for (const { place, entry } of recording.redirections) starts.add(`${place} ${entry}`);
    for (const [page, { place, addresses }] of graph.pages.entries()) {
      const ofPlace = this.#changed.get(place) ?? new Map<bigint, readonly [number, number]>();
      this.#changed.set(place, ofPlace);
      for (const [index, address] of addresses.entries()) ofPlace.set(address, [page, index]);
    }
    for (const { place, addresses, executable } of graph.pages)
      for (const start of addresses)
        if (executable && starts.has(`${place} ${start}`))
          for (const node of [first, last]) this.#decode(recording, node, place, start);
  }

  isWhole({ address, bytes }: ExecutedInstruction): boolean {
    return this.#whole.has(keyOf(address, bytes));
  }

  /** An instruction of the call when it runs alone, before or after the operation. */
  add({ address, bytes }: ExecutedInstruction): void {
    this.#whole.add(keyOf(address, bytes));
  }

  /** From `start` on as long as instructions have changed bytes. */
  #decode(recording: Recording, node: EngineNode, place: string, start: bigint): void {
    const { instructionLength, maximumInstructionLength } = architectureNamed(recording.architecture);
    const changed = this.#changed.get(place);
    for (let at = start; ; ) {
      const window = new Uint8Array(maximumInstructionLength);
      let firstChanged = window.length;
      for (let offset = window.length - 1; offset >= 0; offset--) {
        const address = at + BigInt(offset);
        const [page, index] = changed?.get(address) ?? [];
        if (page === undefined || index === undefined) {
          window[offset] = readByte(recording, place, address);
          continue;
        }
        window[offset] = this.graph.contents(page, node.memory[page] ?? 0)[index] ?? 0;
        firstChanged = offset;
      }
      const length = instructionLength(window, at);
      if (length <= 0 || firstChanged >= length) return;
      this.#whole.add(keyOf(at, window.subarray(0, length)));
      at += BigInt(length);
    }
  }
}

function readByte({ before }: Recording, place: string, address: bigint): number {
  try {
    return before(place, address);
  } catch {
    return 0;
  }
}

function keyOf(address: bigint, bytes: Uint8Array): string {
  return `${address.toString(16)}:${Buffer.from(bytes).toString('hex')}`;
}
