import type { DomainFittings, ImageDomain, ImageKind } from '../images/index.js';
import { type ImageWriter, regionMaker } from '../memory/index.js';
import type { GuestFunctionCall } from '../threads/index.js';

/** What somebody asks the kernel for that can be refused. */
export type KernelRequest =
  /** A page frame. */
  | { readonly kind: 'page' }
  /** Address space: `size` bytes of a region, such as `pool` or `kernel images`. */
  | { readonly kind: 'addressSpace'; readonly region: string; readonly size: number }
  /** To let the HotPatch process see a session. */
  | { readonly kind: 'attachSession' }
  /** To let all processors stand still. */
  | { readonly kind: 'gatherProcessors' };

/** What stands between a system and what it stores, allocates and calls: whoever watches, delays or refuses it. */
export interface BootSeams {
  /** Stores into the images of a place from now on; gets the place's own writer. */
  readonly writer?: (
    own: ImageWriter,
    place: { readonly name: string; readonly kind: ImageKind },
  ) => ImageWriter;
  /** Called before a request is granted; what it throws is the refusal. */
  readonly before?: (request: KernelRequest) => void;
  /**
   * Makes the calls of guest functions that {@link Kernel.call64} is asked for; `perform` calls a function with the call's
   * arguments and gives the whole result register.
   */
  readonly call?: (call: GuestFunctionCall, perform: (target: bigint) => bigint) => bigint;
}

export function fittingsOf({ writer, before }: BootSeams): DomainFittings {
  return {
    region: regionMaker((region, size) => before?.({ kind: 'addressSpace', region, size })),
    writer: (own, place: Pick<ImageDomain, 'name' | 'kind'>) => writer?.(own, place) ?? own,
  };
}
