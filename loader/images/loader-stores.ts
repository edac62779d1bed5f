import { isWritable, type PeImage } from '../../image/index.js';
import { hex, KernelError } from '../common/index.js';

/** A place that the loader itself stores into while it loads an image, whatever the page's protection. */
interface LoaderStore {
  readonly what: string;
  readonly rva: number;
  readonly size: number;
  /** Is the place the program's own variable, so that its section must be writable? */
  readonly isVariable?: boolean;
}

/**
 * Refuses an image that would have the loader store anywhere but into a section of the image itself: what lies behind its
 * end belongs to others.
 */
export function refuseStoresElsewhere(image: PeImage, name: string): void {
  for (const { what, rva, size, isVariable = false } of storesOf(image)) {
    const section = image.sectionAt(rva);
    const isInside = section !== undefined && section === image.sectionAt(rva + size - 1);
    if (isInside && (!isVariable || isWritable(section))) continue;
    throw new KernelError({
      rule: 'loaderStore',
      status: 'STATUS_INVALID_IMAGE_FORMAT',
      image: name,
      place: what,
      message: isInside
        ? `${what}: the loader would store to RVA ${hex(rva)}, in section ${section.name}, which is not writable`
        : `${what}: the loader would store to RVA ${hex(rva)}, which lies in no section of the image`,
    });
  }
}

function* storesOf(image: PeImage): Iterable<LoaderStore> {
  const size = image.pointerSize;
  for (const [kind, modules] of [
    ['import', image.imports],
    ['delay import', image.delayImports],
  ] as const)
    for (const { module, functions } of modules)
      for (const { name, ordinal, iatRva } of functions)
        yield { what: `${kind} ${module}!${name ?? `#${ordinal}`}`, rva: iatRva, size };
  const { tls, loadConfig } = image;
  if (tls !== undefined) {
    const rva = image.vaToRva(tls.addressOfIndex, 'TLS directory, AddressOfIndex');
    yield { what: 'TLS directory, AddressOfIndex', rva, size: 4, isVariable: true };
  }
  if (loadConfig === undefined) return;
  const fields = [
    ['securityCookie', loadConfig.securityCookie],
    ['guardCFCheckFunctionPointer', loadConfig.guardCFCheckFunctionPointer],
    ['guardCFDispatchFunctionPointer', loadConfig.guardCFDispatchFunctionPointer],
    ['guardXFGCheckFunctionPointer', loadConfig.guardXFGCheckFunctionPointer],
    ['guardXFGDispatchFunctionPointer', loadConfig.guardXFGDispatchFunctionPointer],
    ['guardXFGTableDispatchFunctionPointer', loadConfig.guardXFGTableDispatchFunctionPointer],
  ] as const;
  for (const [field, pointer] of fields) {
    if (!loadConfig.has(field) || pointer === 0n) continue;
    const what = `load config, ${field}`;
    yield { what, rva: image.vaToRva(pointer, what), size, isVariable: field === 'securityCookie' };
  }
}
