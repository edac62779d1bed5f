import type { ArchitectureName } from '../../cpu/index.js';
import type { ProtocolStep, Recording } from '../recording.js';
import type { HpatForm, OperationKind } from '../subject.js';

/** What a processor that executed a breakpoint at `address` does next. */
export type BreakpointHandler = (address: bigint) => { readonly resumeAt: bigint } | undefined;

/**
 * A way to change code that processors may be executing. The real engine is one of them; the others store by their own
 * rules, or spoil the engine's steps in one point to show that the proof would notice.
 */
export interface WriteProtocol {
  readonly name: string;
  readonly description: string;
  /** `real`: must hold in every interleaving. `control`: must be caught breaking a rule. */
  readonly kind: 'real' | 'control';
  readonly operations: readonly OperationKind[];
  /** The hotpatch engine itself performs it: a replay asks the engine for one step after the other. */
  readonly isEngine?: true;
  /** Processors that it exists on; undefined: all. */
  readonly architectures?: readonly ArchitectureName[];
  /** How a machine is booted whose engine works this way; undefined: as the subject boots it. */
  readonly hpatForm?: HpatForm;
  /** The steps in order; undefined when the protocol means nothing for this recording. */
  steps(recording: Recording): readonly ProtocolStep[] | undefined;
  /** How breakpoints are handled while it works. */
  breakpoints?(recording: Recording): BreakpointHandler;
}
