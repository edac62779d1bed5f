import type { PeImage } from '../image.js';
import { baseName, type DumpModule } from './memory.js';

export interface ImportHook {
  /** Of the slot. */
  readonly rva: number;
  /** `hpimport.dll!imp_add` */
  readonly name: string;
  readonly target: bigint;
}

interface MappedModule {
  readonly module: DumpModule;
  readonly image: PeImage;
}

/**
 * Slots of a module's import address table that lead out of the module that they import from. A slot is left alone when
 * that module is not in the dump, forwards the export, or does not export it (API sets).
 */
export function importHooks(own: DumpModule, image: PeImage, modules: readonly MappedModule[]): ImportHook[] {
  try {
    return image.imports.flatMap(({ module: name, functions }) => {
      const exporter = modules.find(
        ({ module }) => baseName(module.name).toLowerCase() === name.toLowerCase() && module !== own,
      );
      if (exporter === undefined) return [];
      const { base, size } = exporter.module;
      return functions.flatMap((entry) => {
        const exported = exporter.image.exports?.functions.find((candidate) =>
          entry.name === undefined ? candidate.ordinal === entry.ordinal : candidate.name === entry.name,
        );
        if (exported === undefined || exported.forwarder !== undefined) return [];
        const target = image.pointerAt(entry.iatRva, 'import address table');
        const isInside = target >= base && target < base + BigInt(size);
        const label = entry.name ?? `#${entry.ordinal}`;
        return isInside ? [] : [{ rva: entry.iatRva, name: `${name}!${label}`, target }];
      });
    });
  } catch {
    // Imports that were discarded after they had been bound.
    return [];
  }
}
