import type { Kernel } from '../../loader/index.js';
import { sees } from '../core/index.js';
import type { Patch2003 } from './patch.js';

/** Threads that still run, or will return into, code that a hotpatch has replaced: they finish in the old code. */
export function threadsInOldCode(kernel: Kernel, { applications }: Patch2003): string[] {
  return applications.flatMap(({ target, hooks }) =>
    kernel.threads
      .filter(({ domain }) => sees(domain, target.domain, target.dllBase))
      .flatMap((thread) => {
        const inside = thread
          .stackWalk()
          .map(({ pc }) => target.symbols.byAddress(target.rva(pc))?.symbol)
          .find((symbol) =>
            hooks.some(
              ({ location, target: kind }) => kind === 'entry' && symbol?.rva === target.rva(location),
            ),
          );
        return inside === undefined
          ? []
          : [`thread ${thread.id} is in the old ${target.moduleName}!${inside.name}`];
      }),
  );
}
