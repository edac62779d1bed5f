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
import type { HotPatch2003Options } from './options.js';

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
      message: `${where} holds ${formatBytes(found)}, the descriptor expects ${formatBytes(expected)}`,
    });
  }
}

/**
 * ExApplyCodePatch's last part: the stores, in the order given, while no processor executes anything (modelled: that NT
 * synchronises is known, how is not). Each of them is one store.
 */
export function* swapCode(
  operation: Operation,
  domain: ImageDomain,
  swaps: readonly Swap[],
  { gatherProcessors = true, spareOccupiedPadding = true }: HotPatch2003Options,
): Generator<EngineStep, void> {
  const { kernel } = operation;
  const commit = function* (): Generator<EngineStep, void> {
    for (const swap of swaps) {
      const left = spareOccupiedPadding && isOccupied(kernel, domain, swap);
      swap.settled?.(left);
      if (left)
        operation.tell('hookLeft', `  the ${swap.target} of ${swap.symbol} stays: a thread stands in it`);
      else {
        const { target, location: address, bytes, symbol } = swap;
        if (spareOccupiedPadding) refuseOccupied(kernel, { domain, unsafe: swap.unsafe, symbol });
        const unlessOccupied =
          spareOccupiedPadding && swap.leaveWhile?.length !== 0 ? swap.leaveWhile : undefined;
        yield operation.store({ domain, target, address, bytes, symbol, unlessOccupied });
      }
    }
  };
  const gathering = gatherProcessors ? 'all processors are held' : undefined;
  yield* changeLiveCode(operation, [{ domain, commit }], gathering);
}

function isOccupied(kernel: Kernel, domain: ImageDomain, { leaveWhile = [] }: Swap): boolean {
  return leaveWhile.some((range) => threadsStandingIn(kernel, { domain, ...range }).length > 0);
}
