import type { ImportModule, PeImage } from '../../image/index.js';
import { KernelError } from '../common/index.js';
import type { ImageDomain } from './image-domain.js';
import type { LoadedImage } from './loaded-image.js';

/** How one import was bound. `missing` ones lead to a trap that names itself when it is called. */
export interface BoundImport {
  readonly module: string;
  /** `#12` for an import by ordinal. */
  readonly name: string;
  readonly iatRva: number;
  readonly address: bigint;
  readonly origin: 'image' | 'simulated' | 'missing';
}

/** An export by name or by ordinal. */
export type WantedExport = { readonly name: string } | { readonly ordinal: number };

const LONGEST_FORWARD_CHAIN = 16;

/**
 * Finds the address of every import: first among the loaded images, then among the simulated exports.
 * @throws KernelError `entryPointNotFound` when the image that it is imported from is loaded, and does not export it
 */
export function resolveImports(image: PeImage, domain: ImageDomain): BoundImport[] {
  return image.imports.flatMap((module) => {
    const bound = resolveModule(module, domain);
    const exporter = domain.findImage(module.module);
    const missing = bound.find(({ origin }) => origin === 'missing');
    if (missing === undefined || exporter === undefined) return bound;
    throw new KernelError({
      rule: 'entryPointNotFound',
      status: 'STATUS_ENTRYPOINT_NOT_FOUND',
      image: image.file?.replace(/^.*[\\/]/, '') ?? 'image',
      place: `import ${module.module}!${missing.name}`,
      message: `it imports ${missing.name} from ${exporter.baseDllName}, which is loaded and does not export it`,
      hint: `load the ${exporter.baseDllName} that the image was linked with`,
    });
  });
}

function resolveModule(imported: ImportModule, domain: ImageDomain): BoundImport[] {
  return imported.functions.map((entry) => {
    const wanted = entry.name !== undefined ? { name: entry.name } : { ordinal: entry.ordinal ?? -1 };
    const { address, origin } = resolveImport(imported.module, wanted, domain);
    return { module: imported.module, name: nameOf(wanted), iatRva: entry.iatRva, address, origin };
  });
}

/** Where one import leads; never fails: what nobody exports is a trap. */
export function resolveImport(
  module: string,
  wanted: WantedExport,
  domain: ImageDomain,
): { readonly address: bigint; readonly origin: BoundImport['origin'] } {
  const image = domain.findImage(module);
  const exported = image === undefined ? undefined : findExport(image, wanted, domain);
  if (exported !== undefined) return { address: exported, origin: 'image' };
  const { services } = domain;
  const simulated = services.resolve(module, nameOf(wanted));
  if (simulated !== undefined) return { address: simulated, origin: 'simulated' };
  return { address: services.trap(module, nameOf(wanted)), origin: 'missing' };
}

/** Address of an image's export, through forwarders (`module.name`, `module.#ordinal`). */
export function findExport(
  image: LoadedImage,
  wanted: WantedExport,
  domain: ImageDomain = image.domain,
  depth = 0,
): bigint | undefined {
  if (depth > LONGEST_FORWARD_CHAIN)
    throw new KernelError({
      rule: 'forwarderCycle',
      status: 'STATUS_INVALID_IMAGE_FORMAT',
      image: image.baseDllName,
      message: `forwarders of '${nameOf(wanted)}' lead in a circle`,
    });
  const entry = image.image.exports?.functions.find((candidate) =>
    'name' in wanted ? candidate.name === wanted.name : candidate.ordinal === wanted.ordinal,
  );
  if (entry === undefined) return undefined;
  if (entry.forwarder === undefined) return image.address(entry.rva);
  const dot = entry.forwarder.lastIndexOf('.');
  const module = entry.forwarder.slice(0, dot);
  const name = entry.forwarder.slice(dot + 1);
  const next = name.startsWith('#') ? { ordinal: Number(name.slice(1)) } : { name };
  const target = domain.findImage(module);
  if (target !== undefined) return findExport(target, next, domain, depth + 1);
  const file = /\.[a-z]{3}$/i.test(module) ? module : `${module}.dll`;
  return domain.services.resolve(file, nameOf(next)) ?? domain.services.trap(file, nameOf(next));
}

/** Stores the addresses into the image's import address table. */
export function bindImports(loaded: LoadedImage, imports: readonly BoundImport[]): void {
  for (const { iatRva, address } of imports) loaded.writePointer(iatRva, address);
}

function nameOf(wanted: WantedExport): string {
  return 'name' in wanted ? wanted.name : `#${wanted.ordinal}`;
}
