import type { Processor } from '../cpu/index.js';
import type { Lab } from '../lab/index.js';
import type { SliceObserver, Thread } from '../loader/index.js';
import type { SubjectCall } from './subject.js';

/** A call that a scenario makes, and the machine that it makes it on. */
export interface ScenarioCall extends SubjectCall {
  readonly lab: Lab;
}

/** Which code the threads of a lab execute, by where they began. */
export class ThreadCoverage implements SliceObserver {
  /** Addresses of blocks. */
  readonly #entered = new Map<string, Set<bigint>>();
  readonly #observed = new Set<Processor>();
  #current = new Set<bigint>();

  sliceBegins(thread: Thread, processor: Processor): void {
    if (!this.#observed.has(processor)) {
      processor.observe({ block: (address) => void this.#current.add(address) });
      this.#observed.add(processor);
    }
    const key = keyOf(thread.startAddress, thread.domain.name);
    this.#current = this.#entered.get(key) ?? new Set();
    this.#entered.set(key, this.#current);
  }

  /** Has a thread that began as this call does executed what begins at one of these addresses? */
  reaches({ target, place = '' }: SubjectCall, addresses: ReadonlySet<bigint>): boolean {
    const entered = this.#entered.get(keyOf(target, place));
    return entered !== undefined && [...addresses].some((address) => entered.has(address));
  }
}

const keyOf = (address: bigint, place: string): string => `${address} ${place}`;

/** The last call of each place, but rather one that executes what the operation changes. */
export function lastCalls(
  calls: readonly ScenarioCall[],
  reachesChange: (call: ScenarioCall) => boolean,
): Map<string, ScenarioCall> {
  const chosen = new Map<string, ScenarioCall>();
  const latestFirst = calls.toReversed();
  for (const call of [...latestFirst.filter(reachesChange), ...latestFirst]) {
    const { place = '' } = call;
    if (!chosen.has(place)) chosen.set(place, call);
  }
  return chosen;
}
