import type { ImportModule, PeImage } from '../image/index.js';
import { KernelError } from './error.js';
import type { ImageDomain } from './image-domain.js';
import type { LoadedImage } from './loaded-image.js';
import type { ServiceTable } from './services.js';

/** How one import was bound. `missing` ones lead to a trap that names itself when it is called. */
export interface BoundImport {
  readonly module: string;
  readonly name: string;
  readonly iatRva: number;
  readonly address: bigint;
  readonly origin: 'image' | 'simulated' | 'missing';
}

const LONGEST_FORWARD_CHAIN = 16;

/** Finds the address of every import: first among the loaded images, then among the simulated exports. */
export function resolveImports(image: PeImage, domain: ImageDomain, services: ServiceTable): BoundImport[] {
  return image.imports.flatMap((module) => resolveModule(module, domain, services));
}

function resolveModule(imported: ImportModule, domain: ImageDomain, services: ServiceTable): BoundImport[] {
  const image = domain.findImage(imported.module);
  return imported.functions.map((entry) => {
    const name = entry.name ?? `#${entry.ordinal}`;
    const base = { module: imported.module, name, iatRva: entry.iatRva };
    const exported =
      image === undefined
        ? undefined
        : findExport(
            image,
            entry.name !== undefined ? { name: entry.name } : { ordinal: entry.ordinal ?? -1 },
            domain,
            services,
          );
    if (exported !== undefined) return { ...base, address: exported, origin: 'image' };
    const simulated = services.resolve(imported.module, name);
    if (simulated !== undefined) return { ...base, address: simulated, origin: 'simulated' };
    return { ...base, address: services.trap(imported.module, name), origin: 'missing' };
  });
}

/** Address of an export, through forwarders (`module.name`, `module.#ordinal`). */
export function findExport(
  image: LoadedImage,
  wanted: { name: string } | { ordinal: number },
  domain: ImageDomain,
  services: ServiceTable,
  depth = 0,
): bigint | undefined {
  if (depth > LONGEST_FORWARD_CHAIN)
    throw new KernelError({
      rule: 'forwarderCycle',
      status: 'STATUS_INVALID_IMAGE_FORMAT',
      image: image.baseDllName,
      message: `forwarders of '${'name' in wanted ? wanted.name : `#${wanted.ordinal}`}' lead in a circle`,
    });
  const entry = image.image.exports?.functions.find((candidate) =>
    'name' in wanted ? candidate.name === wanted.name : candidate.ordinal === wanted.ordinal,
  );
  if (entry === undefined) return undefined;
  if (entry.forwarder === undefined) return image.address(entry.rva);
  const dot = entry.forwarder.lastIndexOf('.');
  const module = entry.forwarder.slice(0, dot);
  const name = entry.forwarder.slice(dot + 1);
  const target = domain.findImage(module);
  if (target === undefined) return services.resolve(`${module}.dll`, name) ?? services.trap(module, name);
  const next = name.startsWith('#') ? { ordinal: Number(name.slice(1)) } : { name };
  return findExport(target, next, domain, services, depth + 1);
}
