import type { CpuRule } from '../../cpu/index.js';
import type { HotPatchRuleId, Hotp1RuleId } from '../../image/index.js';
import type { KernelRule } from '../../loader/index.js';

/** Why an engine refuses a patch, or gives it up: a rule of its own, of the format of the image, or of the system below. */
export type HotPatchRule = HotPatchRuleId | Hotp1RuleId | KernelRule | CpuRule | EngineRule;

/** Rules that the engines themselves keep. */
export type EngineRule =
  | 'applyImage.notRegistered'
  | 'applyImage.state'
  | 'base.failedToPatch'
  | 'callerMemory.probe'
  | 'callout.failed'
  | 'chain.covered'
  | 'chain.crossed'
  | 'code.address'
  | 'code.descriptors'
  | 'code.verification'
  | 'file.directory'
  | 'file.same'
  | 'fixup.range'
  | 'function.branchRange'
  | 'function.firstInstruction'
  | 'function.mismatch'
  | 'function.padding'
  | 'function.slot'
  | 'generation.processor'
  | 'handle.invalid'
  | 'handle.type'
  | 'hook.distance'
  | 'hook.range'
  | 'hotPatching.disabled'
  | 'hotPatching.notReady'
  | 'hpat.absent'
  | 'hpat.full'
  | 'kernel.secureKernel'
  | 'operation.inProgress'
  | 'patch.importsBase'
  | 'patch.state'
  | 'record.dynamicValueTable'
  | 'record.relativeRange'
  | 'sequence.lowerThanRegistered'
  | 'sequence.minimum'
  | 'sequence.notNewer'
  | 'sequence.order'
  | 'store.failed'
  | 'undo.entryChanged'
  | 'unload.cannotRollBack'
  | 'unload.notActive'
  | 'unload.notAllowed'
  | 'unmap.inForce'
  | 'unmap.inUse';
