import { type Hotp1, hookPlace, hookSize, readColdpatch, validateHotp1 } from '../../image/index.js';
import type { ImageDomain, LoadedImage } from '../../loader/index.js';
import { type EngineStep, HotPatchError, type Operation, refuseFindings } from '../core/index.js';
import { Chain } from './chain.js';
import type { ApplyContext } from './context.js';
import {
  Application2003,
  type AppliedHook,
  changeApplication2003,
  changePatch2003,
  forgetApplication,
  type Patch2003,
} from './patch.js';
import { Planner } from './plan.js';
import { type CodeSwap, verifySwaps } from './swap.js';

/**
 * One hotpatch for one target, as far as nobody sees it: load the hotpatch image beside it, apply the fixups, compare, and
 * enter it into the module's patch list. The same work whoever does it: MmHotPatchRoutine in kernel space,
 * LdrHotPatchRoutine in a process.
 */
export function* enterTarget(
  context: ApplyContext,
  patch: Patch2003,
  target: LoadedImage,
  dllBase: bigint | undefined,
): Generator<EngineStep, Application2003> {
  const { operation, lists, options } = context;
  refuseForTarget(patch, target, options.spareOccupiedPadding !== false);
  const loaded = loadBeside(operation, patch, target, dllBase);
  context.host?.mapped?.(patch.path, loaded);
  const planner = new Planner({
    hotp1: patch.hotp1,
    name: patch.name,
    target,
    loaded,
    // As they are when they are asked for: another operation may have come in between.
    get applications() {
      return lists.of(target);
    },
    checkEntries: options.checkEntries ?? true,
  });
  for (const { target: kind, location: address, bytes } of planner.fixups()) {
    const symbol = loaded.describe(address);
    yield operation.store({ domain: loaded.domain, image: loaded, target: kind, address, bytes, symbol });
  }
  planner.validate();
  operation.tell(
    'validated',
    `  ${patch.name} fits ${target.baseDllName}: ${patch.hotp1.validations.length} validation(s), ${patch.hotp1.fixupRegions.length} fixup region(s), ${patch.hotp1.hooks.length} hook(s)`,
  );
  const hooks = planner.hooks().map(
    (hook): AppliedHook => ({
      ...hook,
      dataBefore: undefined,
      left: false,
    }),
  );
  const application = new Application2003(patch, target, loaded, hooks);
  operation.change(
    () => {
      lists.add(application);
      changePatch2003(patch, { applications: [...patch.applications, application] });
    },
    () => {
      lists.remove(application);
      forgetApplication(application);
    },
  );
  return application;
}

/** What is to become of a hotpatch that a module has. `clear`: nothing, but hooks that disabled ones left are tried again. */
export type Change2003 = 'enable' | 'disable' | 'clear';

/**
 * The stores of one module: its hooks are put in force, or every place is given what the hotpatches that stay in force have
 * there, else its original bytes.
 * @throws HotPatchError when the order of hotpatches forbids it, or the module does not hold what is expected
 */
export function swapFor(context: ApplyContext, application: Application2003, change: Change2003): CodeSwap {
  const { operation, options, lists } = context;
  const { domain } = application.target;
  const chain = new Chain(lists, application);
  if (change !== 'clear') chain.refuseCovered();
  if (change === 'enable') chain.refuseShared(operation.kernel, options.spareOccupiedPadding !== false);
  operation.change(() => undefined, chain.snapshot());
  const swaps = {
    enable: () => chain.enabling(),
    disable: () => chain.disabling(),
    clear: () => chain.clearing(),
  }[change]();
  if (domain.kind === 'user')
    operation.tell(
      'systemCall',
      `  NtSetSystemInformation(SystemHotpatchInformation, CodeInfo, ${swaps.length} descriptor(s)${change === 'enable' ? ', ACTIVE' : ''})`,
    );
  verifySwaps(domain, swaps);
  return {
    domain,
    swaps,
    stored: () => {
      if (change !== 'clear') changeApplication2003(application, change === 'enable');
    },
  };
}

/** The image room's rules, against the very file that is mapped. */
function refuseForTarget(patch: Patch2003, target: LoadedImage, isSparing: boolean): void {
  // Memory may differ from the file, and the loader's name from the file's. As documented nobody looks at threads.
  const isStatic =
    isSparing || leadsAstray(patch.hotp1, target)
      ? /^(validation\.bytes|target\.name)$/
      : /^(validation\.bytes|target\.name|hook\.coldpatch)$/;
  const findings = validateHotp1(patch.image, target.image).filter(({ rule }) => !isStatic.test(rule));
  refuseFindings(findings, patch.name);
}

/** Would a function that a hotpatch does not cover be led into its routines, because a coldpatch led it over a place of theirs? */
function leadsAstray(hotp1: Hotp1, { image }: LoadedImage): boolean {
  const { hooks } = hotp1;
  const covered = hooks.filter((hook) => hookPlace(hotp1, hook) === 'entry').map(({ hookRva }) => hookRva);
  return (readColdpatch(image)?.places ?? []).some(
    ({ rva, entry, original }) =>
      !covered.includes(entry) &&
      hooks.some(
        (hook) => hook.hookRva < rva + original.length && rva < hook.hookRva + (hookSize(hook) ?? 0),
      ),
  );
}

function loadBeside(
  operation: Operation,
  patch: Patch2003,
  target: LoadedImage,
  dllBase: bigint | undefined,
): LoadedImage {
  const { kernel } = operation;
  const { domain } = target;
  if (domain.kind !== 'user' && kernel.secureKernelRunning)
    throw new HotPatchError({
      rule: 'kernel.secureKernel',
      status: 'STATUS_NOT_SUPPORTED',
      image: patch.name,
      message: `the Secure Kernel protects the code of ${target.baseDllName}: this engine knows no way to have it changed`,
      hint: 'boot without virtualization-based security, as Server 2003 did',
    });
  const loaded = kernel.loadImage(patch.image, {
    domain,
    name: patch.name,
    loadReason: 'PatchImage',
    symbols: patch.symbols,
    dllBase,
  });
  operation.change(
    () => undefined,
    () => {
      // The end of its process has taken it out.
      if (loaded.isMapped) kernel.unloadImage(loaded);
    },
  );
  return loaded;
}

export function isWow64({ process }: ImageDomain): boolean {
  return process?.wow64 === true;
}
