import { join, resolve } from 'node:path';
import type { ImageArchitecture } from '../../image/index.js';
import { type BaseInput, lockFolder } from './base.js';
import { cacheFolder } from './cache.js';
import { MakeError } from './error.js';
import { Maker } from './maker.js';
import { planSource } from './plain-files.js';
import type { MadeBase, MadeHotPatch, MakeInput, MakeResult } from './request.js';
import { findToolchain } from './toolchain.js';
import { fingerprint, hashText, isInside, type PatchedFile } from './tree.js';

/**
 * From sources and a diff to a hotpatch: builds the base, what the patch changes of it, the objects with changed functions
 * again for hotpatching, and the hotpatch image.
 * @throws MakeError when a step fails; a rule that forbids the hotpatch is a verdict, not an error
 */
export async function makeHotPatch(input: MakeInput): Promise<MakeResult> {
  const made: MadeHotPatch[] = [];
  let patchedFiles: readonly PatchedFile[] = [];
  await forEachArchitecture(input, async (maker) => {
    const one = await maker.make();
    made.push(one.made);
    patchedFiles = one.patchedFiles;
  });
  return { patchedFiles: patchedFiles.map(({ path }) => path), architectures: made };
}

/**
 * The base alone, as {@link makeHotPatch} with the same input would build it, byte for byte.
 * @throws MakeError when it cannot be built
 */
export async function makeBase(input: Omit<MakeInput, 'patches' | 'from'>): Promise<readonly MadeBase[]> {
  const made: MadeBase[] = [];
  await forEachArchitecture({ ...input, patches: [] }, async (maker) => {
    made.push(await maker.makeBase());
  });
  return made;
}

async function forEachArchitecture(input: MakeInput, make: (maker: Maker) => Promise<void>): Promise<void> {
  const toolchain = findToolchain(input.sysroot === undefined ? {} : { sysroot: input.sysroot });
  const out = resolve(input.out);
  const cache = resolve(input.cache ?? cacheFolder());
  const plan = planSource(input, toolchain);
  for (const folder of [out, cache])
    if (plan.root !== undefined && isInside(folder, plan.root))
      throw new MakeError({
        rule: 'input',
        message: `${folder} lies in the source tree ${plan.root}, which is never written to`,
        hint: 'give another folder with --out',
      });
  const before = plan.root === undefined ? undefined : fingerprint(plan.root);
  for (const architecture of new Set<ImageArchitecture>(input.architectures ?? ['x64'])) {
    const base: BaseInput = {
      source: plan.root ?? plan.folder,
      sourceHash: plan.hash,
      ...(plan.copy === undefined ? {} : { copySource: plan.copy }),
      architecture,
      toolchain,
      how: plan.how,
      choice: input.products === undefined ? {} : { products: input.products },
      flags: input.flags ?? [],
      isDriver: input.isDriver ?? false,
      cache,
    };
    const lock = await lockFolder(join(cache, 'locks', hashText(plan.hash, architecture).slice(0, 24)));
    try {
      await make(new Maker(input, base, out));
    } finally {
      lock[Symbol.dispose]();
    }
  }
  if (plan.root !== undefined && fingerprint(plan.root) !== before)
    throw new MakeError({
      rule: 'source.written',
      message: `the build command wrote into ${plan.root}, not into the copy that it was run in`,
      hint: 'let it use relative paths, or its own working folder ($PWD)',
    });
}
