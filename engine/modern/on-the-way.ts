import type { Kernel, Thread } from '../../loader/index.js';
import { type Holder, standsIn, threadsStandingIn } from '../core/index.js';
import type { PatchPlan } from './plan.js';

/**
 * The first thread between an entry of the base and the patch image: on the jump in the padding of a function that the
 * plan leads elsewhere, or in the base's HPAT. It needs what lies before it.
 */
export function threadOnTheWay(kernel: Kernel, { base, forward }: PatchPlan): Holder | undefined {
  const { domain, hpat } = base.image;
  const [inPadding] = forward.flatMap(({ trampoline: { padding } }) => {
    if (padding === undefined) return [];
    const { address: start, bytes } = padding;
    return threadsStandingIn(kernel, { domain, start, end: start + BigInt(bytes.length) });
  });
  const inHpat = (pc: bigint, viewer: typeof domain): boolean =>
    hpat !== undefined &&
    standsIn(viewer, pc, { domain, start: hpat.base, end: hpat.base + BigInt(hpat.reserveSize) });
  const isInHpat = (one: Thread) => one.standsAt.some((pc) => inHpat(pc, one.domain));
  const thread = inPadding ?? kernel.threads.find(isInHpat);
  if (thread === undefined) return undefined;
  const at = thread.standsAt.find((pc) => base.image.contains(pc) || inHpat(pc, thread.domain)) ?? thread.pc;
  return { thread, text: `thread ${thread.id} stands at ${base.image.describe(at)}` };
}
