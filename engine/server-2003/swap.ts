import { formatBytes, type ImageDomain, type Kernel } from '../../loader/index.js';
import {
  changeLiveCode,
  type EngineStep,
  HotPatchError,
  type Occupation,
  type Operation,
  refuseOccupied,
  type StoreTarget,
  threadsStandingIn,
} from '../core/index.js';
import type { ApplyContext } from './context.js';

/** One store into code, and when it must be left out. */
export interface Swap {
  readonly target: StoreTarget;
  readonly location: bigint;
  readonly bytes: Uint8Array;
  readonly symbol: string;
  /** What must be there before. */
  readonly expected: Uint8Array;
  /** Left out while a thread of this address space stands in one of these. */
  readonly leaveWhile?: readonly Occupation[] | undefined;
  /** Refused while a thread stands at one of these addresses. */
  readonly unsafe?: readonly bigint[];
  /** Told whether it was left out. */
  settled?(left: boolean): void;
}

/** @throws HotPatchError `code.verification` for the first place that does not hold what is expected */
export function verifySwaps(
  domain: ImageDomain,
  swaps: readonly Pick<Swap, 'location' | 'expected'>[],
): void {
  for (const { location, expected } of swaps) {
    const found = domain.addressSpace.read(location, expected.length);
    if (expected.every((byte, index) => byte === found[index])) continue;
    const where = domain.imageAt(location)?.describe(location) ?? `0x${location.toString(16)}`;
    throw new HotPatchError({
      rule: 'code.verification',
      status: 'STATUS_DATA_ERROR',
      place: where,
      message: `${where} holds ${formatBytes(found)}, the descriptor expects ${formatBytes(expected)}`,
    });
  }
}

/** The stores into the code of one address space. */
export interface CodeSwap {
  readonly domain: ImageDomain;
  readonly swaps: readonly Swap[];
  /** All of them are done. */
  stored?(): void;
}

/**
 * ExApplyCodePatch's last part: the stores, in the order given, while no processor executes anything (modelled: that NT
 * synchronises is known, how is not). Each of them is one store. When the processors are let go all places have theirs, and
 * the operation cannot be given up any more: threads may have entered what was stored.
 */
export function* swapCode(
  { operation, options, settled }: ApplyContext,
  places: readonly CodeSwap[],
): Generator<EngineStep, void> {
  const { gatherProcessors = true, spareOccupiedPadding = true } = options;
  const parts = places.map((place) => ({
    domain: place.domain,
    commit: function* (): Generator<EngineStep, void> {
      if (places.length > 1) operation.tell('systemCall', `  ExApplyCodePatch in ${place.domain.name}`);
      for (const swap of place.swaps) yield* swapOne(operation, place.domain, swap, spareOccupiedPadding);
      place.stored?.();
    },
  }));
  const gathering = gatherProcessors ? 'all processors are held' : undefined;
  for (const step of changeLiveCode(operation, parts, gathering)) {
    if (step.kind === 'rendezvous' && step.phase === 'end') {
      operation.settle();
      settled();
    }
    yield step;
  }
}

function* swapOne(
  operation: Operation,
  domain: ImageDomain,
  swap: Swap,
  spares: boolean,
): Generator<EngineStep, void> {
  const { kernel } = operation;
  const { target, location: address, bytes, symbol, leaveWhile, unsafe } = swap;
  const left = spares && isOccupied(kernel, domain, swap);
  swap.settled?.(left);
  if (left) {
    operation.tell('hookLeft', `  the ${target} of ${symbol} stays: a thread stands in it`);
    return;
  }
  if (spares) refuseOccupied(kernel, { domain, unsafe, symbol });
  const unlessOccupied = spares && leaveWhile?.length !== 0 ? leaveWhile : undefined;
  yield operation.store({ domain, target, address, bytes, symbol, unlessOccupied });
}

function isOccupied(kernel: Kernel, domain: ImageDomain, { leaveWhile = [] }: Swap): boolean {
  return leaveWhile.some((range) => threadsStandingIn(kernel, { domain, ...range }).length > 0);
}
