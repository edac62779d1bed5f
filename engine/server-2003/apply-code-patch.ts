import type { NtStatusName } from '../../image/index.js';
import { formatBytes, type ImageDomain } from '../../loader/index.js';
import { HotPatchError } from '../core/error.js';
import type { HotPatchRule } from '../core/rules.js';
import type { EngineStep } from '../core/steps.js';
import { type CodeInformation, FLG_HOTPATCH, type HookDescriptor } from './code-information.js';
import type { HotPatch2003Options } from './options.js';
import type { Application2003, AppliedHook } from './patch.js';
import type { Operation } from './stores.js';
import { type Swap, swapCode } from './swap.js';

export interface CodePatchContext {
  readonly operation: Operation;
  readonly options: HotPatch2003Options;
  /** The hook that is at this address, where the engine itself is the caller. */
  hookAt?(location: bigint): AppliedHook | undefined;
}

/**
 * ExApplyCodePatch: swaps the bytes that a CodeInfo in the caller's memory names, after it has compared what must be
 * there. ACTIVE puts the hotpatch's bytes in force, in the order of the descriptors; without it the original ones return,
 * last one first.
 */
export function* applyCodePatch(
  context: CodePatchContext,
  domain: ImageDomain,
  information: CodeInformation,
): Generator<EngineStep, void> {
  const descriptors = information.descriptors();
  if (descriptors === undefined || descriptors.length === 0)
    throw refuse('code.descriptors', 'STATUS_INVALID_PARAMETER', 'a descriptor leads out of the buffer');
  const isActive = (information.flags & FLG_HOTPATCH.ACTIVE) !== 0;
  for (const descriptor of descriptors) checkDescriptor(domain, descriptor, information);
  yield* swapCode(context.operation, swapsOf(context, domain, descriptors, isActive), context.options);
}

function swapsOf(
  { hookAt }: CodePatchContext,
  domain: ImageDomain,
  descriptors: readonly HookDescriptor[],
  isActive: boolean,
): Swap[] {
  const swaps = descriptors.map(({ targetAddress, code, origCode }): Swap => {
    const hook = hookAt?.(targetAddress);
    const bytes = isActive ? code : origCode;
    if (hook === undefined) {
      const symbol = domain.imageAt(targetAddress)?.describe(targetAddress) ?? 'code';
      return { domain, target: 'entry', location: targetAddress, bytes, symbol };
    }
    const { target, location, symbol, overJump } = hook;
    const leaveWhile = isActive || overJump ? undefined : hook.leaveWhile;
    return {
      domain,
      target,
      location,
      bytes,
      symbol,
      leaveWhile,
      settled: (left) => {
        hook.left = left;
      },
    };
  });
  return isActive ? swaps : swaps.reverse();
}

function checkDescriptor(
  domain: ImageDomain,
  { targetAddress, code, validation }: HookDescriptor,
  information: CodeInformation,
): void {
  const { addressSpace, table } = domain;
  const end = targetAddress + BigInt(Math.max(code.length, validation.length));
  if (end > table.range.end)
    throw refuse(
      'code.address',
      'STATUS_ACCESS_VIOLATION',
      `0x${targetAddress.toString(16)} is not an address of the caller's`,
    );
  const found = addressSpace.read(targetAddress, validation.length);
  if (validation.every((byte, index) => byte === found[index])) return;
  information.flags |= FLG_HOTPATCH.VERIFICATION_ERROR;
  const where = domain.imageAt(targetAddress)?.describe(targetAddress) ?? `0x${targetAddress.toString(16)}`;
  throw refuse(
    'code.verification',
    'STATUS_DATA_ERROR',
    `${where} holds ${formatBytes(found)}, the descriptor expects ${formatBytes(validation)}`,
  );
}

function refuse(rule: HotPatchRule, status: NtStatusName, message: string): HotPatchError {
  return new HotPatchError({ rule, status, message });
}

/** The descriptors that put an application in force or take it out, with what must be there before. */
export function descriptorsOf(
  { hooks, active }: Application2003,
  read: (hook: AppliedHook) => Uint8Array,
): HookDescriptor[] {
  return hooks.map((hook) => ({
    targetAddress: hook.location,
    code: hook.bytes,
    origCode: hook.original,
    validation: active || hook.left ? hook.bytes : read(hook),
  }));
}
