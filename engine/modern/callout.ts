import { GuestCrash, hex, type Kernel, type LoadedImage } from '../../loader/index.js';
import type { CalloutPhase, EngineStep } from '../core/index.js';

/** Export of a patch image that initialises it (docs/fidelity.md#the-system-around-it). */
export const PATCH_MAIN_CALLOUT = '__PatchMainCallout__';

const CONTEXT_VERSION = 1;
const CONTEXT_SIZE = 12;
const FAILURE = 0x8000_0000;

export type CalloutStep = Extract<EngineStep, { kind: 'callout' }>;

/**
 * Calls `NTSTATUS __PatchMainCallout__(ctx*, 12)` in the patch image as guest code, with ctx = { Version 1, Phase, 0 }
 * (docs/fidelity.md#application). Returns undefined when the image exports none. Of a callout that raises an exception the
 * step has the exception's status, and `crash` tells where.
 */
export function callPatchMain(
  kernel: Kernel,
  loaded: LoadedImage,
  phase: CalloutPhase,
): CalloutStep | undefined {
  const rva = loaded.exportRva(PATCH_MAIN_CALLOUT);
  if (rva === undefined) return undefined;
  const { domain } = loaded;
  const context = domain.allocateMemory('pool', CONTEXT_SIZE);
  try {
    const bytes = new Uint8Array(CONTEXT_SIZE);
    const view = new DataView(bytes.buffer);
    view.setUint32(0, CONTEXT_VERSION, true);
    view.setUint32(4, phase, true);
    domain.addressSpace.write(context, bytes);
    const name = `  ${loaded.moduleName}!${PATCH_MAIN_CALLOUT}(phase ${phase})`;
    try {
      const value = kernel.call64(loaded.address(rva), [context, CONTEXT_SIZE], { domain });
      const status = Number(BigInt.asUintN(32, value));
      return { kind: 'callout', phase, status, text: `${name} returned ${hex(status)}` };
    } catch (error) {
      if (domain.process?.exitStatus !== undefined) {
        const status = domain.process.exitStatus;
        return { kind: 'callout', phase, status, text: `${name} ended its process with ${hex(status)}` };
      }
      if (!(error instanceof GuestCrash)) throw error;
      const { status, crash } = error;
      return { kind: 'callout', phase, status: status.value, crash, text: `${name} crashed: ${crash.text}` };
    }
  } finally {
    domain.freeMemory(context, CONTEXT_SIZE);
  }
}

export function failed({ status }: CalloutStep): boolean {
  return (status & FAILURE) !== 0;
}
