import { validateHotp1 } from '../../image/index.js';
import type { ImageDomain, LoadedImage } from '../../loader/index.js';
import { HotPatchError } from '../core/error.js';
import type { EngineStep } from '../core/steps.js';
import { refuseFindings } from '../modern/refusals.js';
import type { ApplyContext } from './context.js';
import type { LoadPatch2003Options } from './options.js';
import {
  Application2003,
  type AppliedHook,
  changePatch2003,
  forgetApplication,
  type Patch2003,
  type PatchList,
} from './patch.js';
import { Planner } from './plan.js';
import type { Operation } from './stores.js';
import { swapCode, swapsOf, verifySwaps } from './swap.js';

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
    yield operation.store({ domain: loaded.domain, target: kind, address, bytes, symbol });
  }
  planner.validate();
  operation.tell(
    'validated',
    `  ${patch.name} fits ${target.baseDllName}: ${patch.hotp1.validations.length} validation(s), ${patch.hotp1.fixupRegions.length} fixup region(s), ${patch.hotp1.hooks.length} hook(s)`,
  );
  const hooks = planner.hooks().map(
    (hook): AppliedHook => ({
      ...hook,
      original: hook.bytes,
      overJump: false,
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

/** Puts the hooks in force. What they replace is what the hotpatches below them in the patch list left there. */
export function* enable(context: ApplyContext, application: Application2003): Generator<EngineStep, void> {
  refuseCovered(context, application);
  refuseCrossed(context, application);
  const older = olderHooks(context, application);
  for (const hook of application.hooks) {
    hook.original = below(application, hook, older);
    hook.overJump = older.some(({ location }) => location === hook.leaveWhile?.start);
  }
  yield* swap(context, application, true);
}

/** Gives every place its original bytes back. */
export function* disable(context: ApplyContext, application: Application2003): Generator<EngineStep, void> {
  refuseCovered(context, application);
  yield* swap(context, application, false);
}

function* swap(
  context: ApplyContext,
  application: Application2003,
  active: boolean,
): Generator<EngineStep, void> {
  const { operation, options } = context;
  const { domain } = application.target;
  const before = application.hooks.map(({ left }) => left);
  const was = application.active;
  operation.change(
    () => undefined,
    () => {
      application.active = was;
      for (const [index, hook] of application.hooks.entries()) hook.left = before[index] ?? false;
    },
  );
  const swaps = swapsOf(application, active);
  if (domain.kind === 'user')
    operation.tell(
      'systemCall',
      `  NtSetSystemInformation(SystemHotpatchInformation, CodeInfo, ${swaps.length} descriptor(s)${active ? ', ACTIVE' : ''})`,
    );
  verifySwaps(swaps);
  yield* swapCode(operation, swaps, options);
  application.active = active;
}

/** The file's bytes, with what older hotpatches make of them now; data keeps what it holds. */
function below(
  { target }: Application2003,
  { location, bytes, pristine }: AppliedHook,
  older: readonly AppliedHook[],
): Uint8Array {
  if (pristine === undefined) return target.domain.addressSpace.read(location, bytes.length);
  const found = Uint8Array.from(pristine);
  // A Uint8Array ignores stores outside of it.
  for (const other of older)
    for (const [i, byte] of other.bytes.entries()) found[Number(other.location - location) + i] = byte;
  return found;
}

/** Hooks in force of the hotpatches below this one in the patch list. */
function olderHooks({ lists }: ApplyContext, application: Application2003): AppliedHook[] {
  const list = lists.of(application.target);
  return list.slice(0, list.indexOf(application)).flatMap(({ hooksInForce }) => hooksInForce);
}

/** A newer hotpatch whose hooks in force lie over those of an older one. */
export function coverOf(lists: PatchList, application: Application2003): Application2003 | undefined {
  const list = lists.of(application.target);
  return list
    .slice(list.indexOf(application) + 1)
    .find((newer) => application.hooks.some(({ location, bytes }) => newer.covers(location, bytes.length)));
}

/** The newest goes first. */
function refuseCovered({ lists }: ApplyContext, application: Application2003): void {
  const { patch, target } = application;
  const newer = coverOf(lists, application);
  if (newer === undefined) return;
  throw new HotPatchError({
    rule: 'chain.covered',
    status: 'STATUS_REQUEST_OUT_OF_SEQUENCE',
    image: patch.name,
    message: `${newer.patch.name} was applied over its hooks in ${target.baseDllName} and ${newer.active ? 'is in force' : 'left one there, because a thread stood in it'}`,
    hint: newer.active ? `disable ${newer.patch.name} first` : 'restore the hooks that were left first',
  });
}

/**
 * Modelled: a jump may take the place of an older hotpatch's jump, but not of a part of it, as a near jump would of one
 * through a pointer: a thread that stands at the older one would execute the rest of it.
 */
function refuseCrossed({ lists, options }: ApplyContext, application: Application2003): void {
  if (options.spareOccupiedPadding === false) return;
  const { patch, target, hooks } = application;
  for (const other of lists.of(target)) {
    const crossing = hooks.find((hook) => other.hooksInForce.some((one) => crosses(hook, one)));
    if (crossing === undefined) continue;
    throw new HotPatchError({
      rule: 'chain.crossed',
      status: 'STATUS_CONFLICTING_ADDRESSES',
      image: patch.name,
      place: crossing.place,
      message: `the ${crossing.target} of ${crossing.symbol} would replace a part of what ${other.patch.name} has there: a thread could stand at it`,
      hint: other.active ? `disable ${other.patch.name} first` : 'restore the hooks that were left first',
    });
  }
}

function crosses(one: AppliedHook, other: AppliedHook): boolean {
  if (one.location === other.location) return false;
  const end = ({ location, bytes }: AppliedHook) => location + BigInt(bytes.length);
  return one.location < end(other) && other.location < end(one);
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
      message: `the Secure Kernel protects the code of ${target.baseDllName}: this generation knows no way to have it changed`,
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
