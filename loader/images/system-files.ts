import type { ArchitectureName } from '../../cpu/index.js';
import type { PeImage, SymbolTable } from '../../image/index.js';
import { apiSetHost } from './api-set.js';

export interface SystemFile {
  readonly name: string;
  readonly image: PeImage;
  readonly options: { readonly symbols?: SymbolTable };
}

/** The image files that the loader finds by name when an image imports from them: the system directory. */
export class SystemFiles {
  readonly #files: SystemFile[] = [];

  /** Adds a file; a later one of the same name and processor replaces it. */
  add(name: string, image: PeImage, options: SystemFile['options'] = {}): void {
    const known = this.#find(name, image.architecture);
    if (known >= 0) this.#files.splice(known, 1);
    this.#files.push({ name, image, options });
  }

  find(module: string, architecture: ArchitectureName): SystemFile | undefined {
    const index = this.#find(module, architecture);
    return this.#files[index] ?? this.#files[this.#find(apiSetHost(module), architecture)];
  }

  #find(module: string, architecture: ArchitectureName): number {
    const wanted = module.toLowerCase();
    return this.#files.findIndex(
      ({ name, image }) => name.toLowerCase() === wanted && image.architecture === architecture,
    );
  }
}
