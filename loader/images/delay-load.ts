import { resolveImport } from './bind-imports.js';
import type { ImageLoader } from './image-loader.js';
import type { LoadedImage } from './loaded-image.js';
import type { SystemFiles } from './system-files.js';

/** The kernel, as far as delay-loaded imports need it. */
export interface DelayLoadOwner {
  readonly files: SystemFiles;
  readonly loader: Pick<ImageLoader, 'load'>;
}

/**
 * Binds one delay-loaded import: loads its module when it is not there, stores the address into the slot and returns it.
 * Undefined when the image has no delay import with this slot.
 */
export function findDelayImport(
  { files, loader }: DelayLoadOwner,
  loaded: LoadedImage,
  slotRva: number,
): bigint | undefined {
  const { domain, image } = loaded;
  for (const { module, functions } of image.delayImports) {
    const entry = functions.find(({ iatRva }) => iatRva === slotRva);
    if (entry === undefined) continue;
    const file = files.find(module, domain.architecture.name);
    if (domain.findImage(module) === undefined && file !== undefined)
      loader.load(domain, file.image, { ...file.options, name: file.name });
    const wanted = entry.name !== undefined ? { name: entry.name } : { ordinal: entry.ordinal ?? -1 };
    const { address } = resolveImport(module, wanted, domain);
    loaded.writePointer(slotRva, address);
    return address;
  }
  return undefined;
}
