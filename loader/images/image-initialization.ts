import { IMAGE_SUBSYSTEM } from '../../image/index.js';
import { hex, KernelError } from '../common/index.js';
import { isProgram } from './image-kind.js';
import { changeImage, type LoadedImage } from './loaded-image.js';
import type { LoaderOwner } from './owners.js';

const DLL_PROCESS_DETACH = 0n;
const DLL_PROCESS_ATTACH = 1n;
const DLL_THREAD_ATTACH = 2n;
const DLL_THREAD_DETACH = 3n;
const STATUS_FAILURE = 0x8000_0000n;

/** Runs an image's first instructions: TLS callbacks and DllMain, or DriverEntry. A program starts with its first thread. */
export function initializeImage(kernel: LoaderOwner, loaded: LoadedImage): void {
  changeImage(loaded, { initialized: true });
  loaded.domain.process?.environment?.ldr.initialize(loaded);
  if (isDriver(loaded)) initializeDriver(kernel, loaded);
  else initializeModule(kernel, loaded);
}

function initializeModule(kernel: LoaderOwner, loaded: LoadedImage): void {
  const { entryPoint, image, domain } = loaded;
  runTlsCallbacks(kernel, loaded, DLL_PROCESS_ATTACH);
  if (entryPoint === undefined || (isProgram(image) && domain.kind === 'user')) return;
  const { returnValue = 0n } = kernel.callThread(entryPoint, [loaded.dllBase, DLL_PROCESS_ATTACH, 0n], {
    domain,
    name: `DllMain of ${loaded.baseDllName}`,
  });
  if ((returnValue & 0xffffffffn) !== 0n) return;
  changeImage(loaded, { initialized: false });
  throw new KernelError({
    rule: 'dllMainFailed',
    status: 'STATUS_DLL_INIT_FAILED',
    image: loaded.baseDllName,
    message: 'DllMain returned 0x0',
  });
}

/** The counterpart, before an image is taken out: DllMain with DLL_PROCESS_DETACH, or the driver's Unload routine. */
export function uninitializeImage(kernel: LoaderOwner, loaded: LoadedImage): void {
  const { entryPoint, image, domain, driverObject } = loaded;
  if (!loaded.initialized) return;
  if (isDriver(loaded)) {
    if (driverObject !== undefined) kernel.io.drivers.unload(domain, driverObject);
    changeImage(loaded, { initialized: false });
    return;
  }
  changeImage(loaded, { initialized: false });
  if (entryPoint !== undefined && !(isProgram(image) && domain.kind === 'user'))
    kernel.callThread(entryPoint, [loaded.dllBase, DLL_PROCESS_DETACH, 0n], { domain });
  runTlsCallbacks(kernel, loaded, DLL_PROCESS_DETACH);
}

function isDriver({ image, domain }: LoadedImage): boolean {
  return (
    image.optionalHeader.subsystem === IMAGE_SUBSYSTEM.NATIVE && (domain.kind !== 'user' || isProgram(image))
  );
}

function initializeDriver(kernel: LoaderOwner, loaded: LoadedImage): void {
  const { entryPoint, domain } = loaded;
  if (entryPoint === undefined) return;
  const { drivers } = kernel.io;
  const { driverObject, registryPath } = drivers.create(loaded, entryPoint);
  changeImage(loaded, { driverObject });
  const { returnValue = 0n } = kernel.callThread(entryPoint, [driverObject, registryPath], {
    domain,
    name: `DriverEntry of ${loaded.baseDllName}`,
  });
  const hasFailed = (returnValue & STATUS_FAILURE) !== 0n;
  drivers.entered(domain, driverObject, registryPath);
  if (!hasFailed) return;
  changeImage(loaded, { initialized: false });
  throw new KernelError({
    rule: 'driverEntryFailed',
    status: 'STATUS_UNSUCCESSFUL',
    image: loaded.baseDllName,
    message: `DriverEntry returned ${hex(returnValue & 0xffffffffn)}`,
  });
}

function runTlsCallbacks(kernel: LoaderOwner, loaded: LoadedImage, reason: bigint): void {
  const { image, domain } = loaded;
  for (const rva of image.tls?.callBacks ?? [])
    kernel.callThread(loaded.address(rva), [loaded.dllBase, reason, 0n], {
      domain,
      name: `TLS callback of ${loaded.baseDllName}`,
    });
}

/** A call of a guest function. */
interface Notification {
  readonly target: bigint;
  readonly arguments: readonly bigint[];
}

/**
 * The calls by which the images of a process hear that a thread has begun (in the order in which they were loaded) or is
 * about to end (the other way round): TLS callbacks, then DllMain (winnt.h, DLL_THREAD_ATTACH, DLL_THREAD_DETACH).
 */
export function threadNotifications(
  images: readonly LoadedImage[],
  when: 'begins' | 'ends',
): readonly Notification[] {
  const reason = when === 'begins' ? DLL_THREAD_ATTACH : DLL_THREAD_DETACH;
  const hearing = images.filter(({ initialized, hearsOfThreads }) => initialized && hearsOfThreads);
  return (when === 'begins' ? hearing : hearing.reverse()).flatMap((loaded) => {
    const { entryPoint, image } = loaded;
    const callbacks = (image.tls?.callBacks ?? []).map((rva) => loaded.address(rva));
    const main = entryPoint === undefined || isProgram(image) ? [] : [entryPoint];
    return [...callbacks, ...main].map((target) => ({
      target,
      arguments: [loaded.dllBase, reason, 0n],
    }));
  });
}
