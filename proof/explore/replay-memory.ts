import { PAGE_SIZE, type Processor } from '../../cpu/index.js';
import type { ImageDomain } from '../../loader/index.js';
import { placeNamed, type Subject } from '../subject.js';
import type { EngineGraph, EngineNode } from './engine-graph.js';
import type { Model } from './model.js';

/** The machine did not do what the explorer says it does: a defect of the proof, of the engine or of the processors. */
export class ReplayDivergence extends Error {
  override readonly name = 'ReplayDivergence';
}

/** Protocols other than the engine's find the machine as the recording's operation left it, with the old bytes. */
export function prepareForProtocol(subject: Subject, { graph, recording }: Model): void {
  for (const _step of subject.steps());
  const { machine } = subject.lab.kernel;
  const first = graph.node(0);
  for (const [page, { place, base, addresses }] of graph.pages.entries()) {
    const domain = placeNamed(subject.lab, place);
    const contents = graph.contents(page, first.memory[page] ?? 0);
    for (const [index, address] of addresses.entries())
      machine.writeCode(domain.addressSpace, address, contents.subarray(index, index + 1));
    if (recording.isCopiedOnWrite(place, base)) shareAgain(domain, base);
  }
  machine.serialise();
}

/** Makes a page as it was before the first store to it: the next one gives it other memory. */
function shareAgain({ addressSpace, table, machine }: ImageDomain, page: bigint): void {
  const { protection } = addressSpace.query(page);
  if (protection === undefined) return;
  const frame = machine.memory.allocate();
  machine.memory.write(frame, 0, addressSpace.read(page, PAGE_SIZE));
  table.decommit(page, 1);
  table.commit(page, 1, protection, { frames: [frame], copyOnWrite: true });
}

/** Stores what differs between two moments of the protocol. */
export function storeDifference(
  { lab }: Subject,
  graph: EngineGraph,
  from: EngineNode,
  to: EngineNode,
): void {
  for (const [page, { place, addresses }] of graph.pages.entries()) {
    const { addressSpace } = placeNamed(lab, place);
    const before = graph.contents(page, from.memory[page] ?? 0);
    const after = graph.contents(page, to.memory[page] ?? 0);
    for (const [index, address] of addresses.entries())
      if (before[index] !== after[index])
        lab.kernel.machine.writeCode(addressSpace, address, after.subarray(index, index + 1));
  }
}

/**
 * Memory, and what each processor fetches from it.
 * @param locals the processors' local states in the model
 * @throws ReplayDivergence
 */
export function compareMemory(
  { lab }: Subject,
  { graph, transitions, executors }: Model,
  node: EngineNode,
  processors: readonly Processor[],
  locals: readonly number[],
): void {
  for (const [page, { place, base, addresses, executable }] of graph.pages.entries()) {
    const { addressSpace } = placeNamed(lab, place);
    // The HPAT has no memory before its first use.
    if (addressSpace.query(base).state !== 'committed') continue;
    const current = node.memory[page] ?? 0;
    const contents = graph.contents(page, current);
    for (const [index, address] of addresses.entries()) {
      if (addressSpace.readU8(address) !== contents[index])
        throw new ReplayDivergence(`${lab.describe(address)} is not what the model says`);
      if (!executable) continue;
      for (const [number, processor] of processors.entries()) {
        if (executors[number % executors.length]?.seen[page] !== true) continue;
        const seen = transitions.locals.state(locals[number] ?? 0).view[page] || current;
        if (processor.fetchBytes(address, 1)[0] !== graph.contents(page, seen)[index])
          throw new ReplayDivergence(
            `processor ${number} fetches other bytes at ${lab.describe(address)} than the model says`,
          );
      }
    }
  }
}
