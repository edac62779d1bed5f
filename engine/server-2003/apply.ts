import { validateHotp1 } from '../../image/index.js';
import type { ImageDomain, LoadedImage } from '../../loader/index.js';
import { type EngineStep, HotPatchError, type Operation, refuseFindings } from '../core/index.js';
import { Chain } from './chain.js';
import type { ApplyContext } from './context.js';
import type { LoadPatch2003Options } from './options.js';
import {
  Application2003,
  type AppliedHook,
  changePatch2003,
  forgetApplication,
  type Patch2003,
} from './patch.js';
import { Planner } from './plan.js';
import { swapCode, verifySwaps } from './swap.js';

/**
 * One hotpatch for one target: load the hotpatch image beside it, apply the fixups, compare, enter it into the module's
 * patch list, and put it in force. The same work whoever does it: MmHotPatchRoutine in kernel space,
 * LdrHotPatchRoutine in a process.
 */
export function* applyToTarget(
  context: ApplyContext,
  patch: Patch2003,
  target: LoadedImage,
  { active = true, dllBase }: LoadPatch2003Options,
): Generator<EngineStep, Application2003> {
  const { operation, lists, options } = context;
  refuseForTarget(patch, target);
  const loaded = loadBeside(operation, patch, target, dllBase);
  context.host?.mapped?.(patch.path, loaded);
  const planner = new Planner({
    hotp1: patch.hotp1,
    name: patch.name,
    target,
    loaded,
    applications: lists.of(target),
    checkEntries: options.checkEntries ?? true,
  });
  for (const { target: kind, location: address, bytes } of planner.fixups()) {
    const symbol = loaded.describe(address);
    yield operation.store({ domain: loaded.domain, image: loaded, target: kind, address, bytes, symbol });
  }
  planner.validate();
  if (options.spareOccupiedPadding !== false) planner.checkColdpatch();
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
  if (active) yield* enable(context, application);
  return application;
}

/** Puts the hooks in force. */
export function* enable(context: ApplyContext, application: Application2003): Generator<EngineStep, void> {
  const chain = new Chain(context.lists, application);
  chain.refuseCovered();
  chain.refuseShared(context.operation.kernel, context.options.spareOccupiedPadding !== false);
  yield* swap(context, application, chain, true);
}

/** Gives every place what the hotpatches that stay in force have there, else its original bytes. */
export function* disable(context: ApplyContext, application: Application2003): Generator<EngineStep, void> {
  const chain = new Chain(context.lists, application);
  chain.refuseCovered();
  yield* swap(context, application, chain, false);
}

/** Hooks that disabled hotpatches left in the application's module, tried again. */
export function* clearLeftHooks(
  context: ApplyContext,
  application: Application2003,
): Generator<EngineStep, void> {
  yield* swap(context, application, new Chain(context.lists, application), application.active, true);
}

function* swap(
  context: ApplyContext,
  application: Application2003,
  chain: Chain,
  active: boolean,
  onlyLeft = false,
): Generator<EngineStep, void> {
  const { operation, options } = context;
  const { domain } = application.target;
  operation.change(() => undefined, chain.snapshot());
  const swaps = onlyLeft ? chain.clearing() : active ? chain.enabling() : chain.disabling();
  if (domain.kind === 'user')
    operation.tell(
      'systemCall',
      `  NtSetSystemInformation(SystemHotpatchInformation, CodeInfo, ${swaps.length} descriptor(s)${active && !onlyLeft ? ', ACTIVE' : ''})`,
    );
  verifySwaps(domain, swaps);
  yield* swapCode(operation, domain, swaps, options);
  application.active = active;
}

/** The image room's rules, against the very file that is mapped. */
function refuseForTarget(patch: Patch2003, target: LoadedImage): void {
  // Memory may differ from the file, and the loader's name from the file's.
  const isStatic = /^(validation\.bytes|target\.name)$/;
  const findings = validateHotp1(patch.image, target.image).filter(({ rule }) => !isStatic.test(rule));
  refuseFindings(findings, patch.name);
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
    () => kernel.unloadImage(loaded),
  );
  return loaded;
}

export function isWow64({ process }: ImageDomain): boolean {
  return process?.wow64 === true;
}
