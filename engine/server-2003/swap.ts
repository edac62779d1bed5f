import { formatBytes, type ImageDomain } from '../../loader/index.js';
import { HotPatchError } from '../core/error.js';
import { refuseOccupied, threadsStandingIn } from '../core/stands.js';
import type { EngineStep, Occupation, StoreTarget } from '../core/steps.js';
import type { HotPatch2003Options } from './options.js';
import type { Operation } from './stores.js';

/** One store into code, and when it must be left out. */
export interface Swap {
  readonly domain: ImageDomain;
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
export function verifySwaps(swaps: readonly Pick<Swap, 'domain' | 'location' | 'expected'>[]): void {
  for (const { domain, location, expected } of swaps) {
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
  swaps: readonly Swap[],
  { gatherProcessors = true, spareOccupiedPadding = true }: HotPatch2003Options,
): Generator<EngineStep, void> {
  const stores = function* (): Generator<EngineStep, void> {
    for (const swap of swaps) {
      const left = spareOccupiedPadding && isOccupied(operation, swap);
      swap.settled?.(left);
      if (left)
        operation.tell('hookLeft', `  the ${swap.target} of ${swap.symbol} stays: a thread stands in it`);
      else {
        const { domain, target, location: address, bytes, symbol } = swap;
        if (spareOccupiedPadding) refuseOccupied(operation.kernel, swap);
        const unlessOccupied =
          spareOccupiedPadding && swap.leaveWhile?.length !== 0 ? swap.leaveWhile : undefined;
        yield operation.store({ domain, target, address, bytes, symbol, unlessOccupied });
      }
    }
    yield operation.serialise();
  };
  if (!gatherProcessors) {
    yield* stores();
    return;
  }
  {
    using _ = operation.kernel.gatherProcessors();
    yield operation.rendezvous('begin');
    yield* stores();
  }
  yield operation.rendezvous('end');
}

function isOccupied({ kernel }: Operation, { domain, leaveWhile = [] }: Swap): boolean {
  return leaveWhile.some((range) => threadsStandingIn(kernel, { domain, ...range }).length > 0);
}
