import type { ImageDomain } from '../../loader/index.js';
import type { EngineStep, StoreTarget } from '../core/steps.js';
import type { HotPatch2003Options } from './options.js';
import type { Operation } from './stores.js';

/** One store into code, and when it must be left out. */
export interface Swap {
  readonly domain: ImageDomain;
  readonly target: StoreTarget;
  readonly location: bigint;
  readonly bytes: Uint8Array;
  readonly symbol: string;
  /** Left out while a thread of this address space stands here. */
  readonly leaveWhile?: { readonly start: bigint; readonly end: bigint } | undefined;
  /** Told whether it was left out. */
  settled?(left: boolean): void;
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
        const unlessOccupied = spareOccupiedPadding ? swap.leaveWhile : undefined;
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

function isOccupied({ kernel }: Operation, { domain, leaveWhile: range }: Swap): boolean {
  if (range === undefined) return false;
  return kernel.threads.some(
    (thread) =>
      thread.domain.addressSpace === domain.addressSpace && thread.pc >= range.start && thread.pc < range.end,
  );
}
