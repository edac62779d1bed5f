import type { Kernel, LoadedImage, Thread } from '../../loader/index.js';
import type { HotPatch } from './hot-patch-engine.js';
import { sees } from './stands.js';

/** Something that would break if the image were unmapped. */
export interface Holder {
  /** `thread 8 stands at demo_hp!dispatch+0x4`, `demo!g_hook points to demo_hp!op_mul` */
  readonly text: string;
  readonly thread?: Thread;
}

/**
 * Who still needs this patch image: threads whose instruction pointer or registers (a link register) lead into it,
 * return addresses on any stack, and pointers in the base's data. Stacks are searched word by word, so that a word that only looks like a return address
 * counts too: a leak is better than a jump into nothing (docs/fidelity.md#u-15).
 */
export function holdersOf(kernel: Kernel, patch: LoadedImage, base: LoadedImage): Holder[] {
  const { pointerSize } = base.domain.architecture;
  const holders = threadsIn(kernel, patch);
  for (const section of base.writableSections) {
    const found = pointers(
      patch,
      base.address(section.virtualAddress),
      section.virtualSize,
      pointerSize,
      base,
    );
    for (const { at, value } of found)
      holders.push({ text: `${base.describe(at)} points to ${patch.describe(value)}` });
  }
  return holders;
}

/** The threads among {@link holdersOf}. */
export function threadsIn(kernel: Kernel, patch: LoadedImage): Holder[] {
  const { pointerSize } = patch.domain.architecture;
  const holders: Holder[] = [];
  for (const thread of kernel.threads) {
    if (!sees(thread.domain, patch.domain, patch.dllBase)) continue;
    if (patch.contains(thread.pc))
      holders.push({ thread, text: `thread ${thread.id} stands at ${patch.describe(thread.pc)}` });
    for (const name of thread.architecture.registers) {
      const value = thread.register(name);
      if (name !== thread.architecture.programCounter && patch.contains(value))
        holders.push({
          thread,
          text: `register ${name} of thread ${thread.id} holds ${patch.describe(value)}`,
        });
    }
    const top = thread.stack.base + BigInt(thread.stack.size);
    for (const { at, value } of pointers(patch, thread.sp, Number(top - thread.sp), pointerSize))
      holders.push({
        thread,
        text: `the stack of thread ${thread.id} has a return address to ${patch.describe(value)} at sp+0x${(at - thread.sp).toString(16)}`,
      });
  }
  return holders;
}

function* pointers(
  patch: LoadedImage,
  start: bigint,
  size: number,
  width: 4 | 8,
  owner = patch,
): Generator<{ at: bigint; value: bigint }> {
  const bytes = owner.domain.addressSpace.read(start, Math.max(0, size));
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (let offset = 0; offset + width <= bytes.length; offset += width) {
    const value = width === 8 ? view.getBigUint64(offset, true) : BigInt(view.getUint32(offset, true));
    if (patch.contains(value)) yield { at: start + BigInt(offset), value };
  }
}

/** Who still needs the image of a patch that was taken back. */
export function holdersOfPatch(kernel: Kernel, { places }: HotPatch): Holder[] {
  return places.flatMap(({ base, loaded }) => holdersOf(kernel, loaded, base));
}
