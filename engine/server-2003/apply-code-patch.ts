import type { NtStatusName } from '../../image/index.js';
import type { ImageDomain } from '../../loader/index.js';
import { type EngineStep, HotPatchError, type HotPatchRule } from '../core/index.js';
import { type CodeInformation, FLG_HOTPATCH, type HookDescriptor } from './code-information.js';
import type { ApplyContext } from './context.js';
import { type Swap, swapCode, verifySwaps } from './swap.js';

/**
 * ExApplyCodePatch for a caller of the system service: swaps the bytes that a CodeInfo in the caller's memory names, after
 * it has compared what must be there. ACTIVE puts the hotpatch's bytes in force, in the order of the descriptors; without
 * it the original ones return, last one first.
 */
export function* applyCodePatch(
  context: ApplyContext,
  domain: ImageDomain,
  information: CodeInformation,
): Generator<EngineStep, void> {
  const descriptors = information.descriptors();
  if (descriptors === undefined || descriptors.length === 0)
    throw refuse('code.descriptors', 'STATUS_INVALID_PARAMETER', 'a descriptor leads out of the buffer');
  const isActive = (information.flags & FLG_HOTPATCH.ACTIVE) !== 0;
  const swaps = descriptors.map((descriptor) => {
    checkAddress(domain, descriptor);
    const swap = swapOf(domain, descriptor, isActive);
    verify(domain, swap, information);
    return swap;
  });
  yield* swapCode(context, [{ domain, swaps: isActive ? swaps : swaps.reverse() }]);
}

function swapOf(
  domain: ImageDomain,
  { targetAddress, code, origCode, validation }: HookDescriptor,
  isActive: boolean,
): Swap {
  return {
    target: 'entry',
    location: targetAddress,
    bytes: isActive ? code : origCode,
    symbol: domain.imageAt(targetAddress)?.describe(targetAddress) ?? 'code',
    expected: validation,
  };
}

function checkAddress(
  { table }: ImageDomain,
  { targetAddress: location, code, validation }: HookDescriptor,
): void {
  const end = location + BigInt(Math.max(code.length, validation.length));
  if (end > table.range.end)
    throw refuse(
      'code.address',
      'STATUS_ACCESS_VIOLATION',
      `0x${location.toString(16)} is not an address of the caller's`,
    );
}

function verify(domain: ImageDomain, swap: Swap, information: CodeInformation): void {
  try {
    verifySwaps(domain, [swap]);
  } catch (error) {
    if (error instanceof HotPatchError) information.flags |= FLG_HOTPATCH.VERIFICATION_ERROR;
    throw error;
  }
}

function refuse(rule: HotPatchRule, status: NtStatusName, message: string): HotPatchError {
  return new HotPatchError({ rule, status, message });
}
