import type { ArchitectureName } from '../../cpu/index.js';
import { isModule, type PeImage, readHotp1, validateHotp1 } from '../../image/index.js';
import type { FileSystem, Kernel, LoadedImage } from '../../loader/index.js';
import { HotPatchError, refuseFindings } from '../core/index.js';
import type { LoadPatch2003Options } from './options.js';
import { Patch2003 } from './patch.js';

/** Hotpatch images: where their files are, and the modules that they are for. */
export class PatchFiles {
  /** Files that were handed to the engine, by NT path in lower case, behind their processor. */
  readonly #given = new Map<string, Patch2003>();

  /** @param disk files of hotpatches and coldpatches; undefined: only what the engine is given */
  constructor(
    private readonly kernel: Kernel,
    private readonly disk: () => FileSystem | undefined,
  ) {}

  give(patch: Patch2003): void {
    this.#given.set(keyOf(patch.path, patch.image.architecture), patch);
  }

  /**
   * The hotpatch file at an NT path: what was given to the engine, what is on disk, or what the kernel's files know. Those
   * have one of a name for each processor: the caller's comes first, then the system's.
   */
  open(path: string, caller?: ArchitectureName): Patch2003 | undefined {
    const image = this.disk()?.readImage(path);
    if (image !== undefined) return this.#known(path, image);
    const { architecture } = this.kernel.boot;
    for (const one of new Set([caller ?? architecture, architecture, ...ARCHITECTURES])) {
      const known = this.kernel.files.find(fileOf(path), one)?.image;
      const found = known === undefined ? this.#given.get(keyOf(path, one)) : this.#known(path, known);
      if (found !== undefined) return found;
    }
    return undefined;
  }

  #known(path: string, image: PeImage): Patch2003 {
    const given = this.#given.get(keyOf(path, image.architecture));
    // A file that was written since is another hotpatch, whatever its name.
    if (given !== undefined && Buffer.compare(image.bytes, given.image.bytes) === 0) return given;
    const patch = readPatch2003(image, { name: fileOf(path), path });
    this.give(patch);
    return patch;
  }

  /**
   * Modules that the hotpatch is for, by name and identification, in every address space. Modules of that name and
   * another identification are left alone as long as there is a right one: they were coldpatched.
   */
  targetsOf({ name, hotp1, image }: Patch2003): LoadedImage[] {
    const wanted = hotp1.targetName.toLowerCase();
    const named = this.kernel.domains
      .flatMap(({ images }) => images)
      .filter(
        ({ baseDllName, loadReason, image: { machine } }) =>
          machine === image.machine && baseDllName.toLowerCase() === wanted && loadReason !== 'PatchImage',
      );
    const targets = named.filter((loaded) => isModule(loaded.image, hotp1));
    const [other] = named;
    if (targets.length > 0 || other === undefined) return targets;
    throw new HotPatchError({
      rule: 'target.moduleId',
      status: 'STATUS_REVISION_MISMATCH',
      image: name,
      place: '.hotp1 +0x38',
      message: `${other.baseDllName} in ${other.domain.name} is not the build that the hotpatch is for`,
    });
  }
}

const ARCHITECTURES: readonly ArchitectureName[] = ['x64', 'x86'];

const fileOf = (path: string): string => path.replace(/^.*[\\/]/, '');

const keyOf = (path: string, architecture: string): string => `${architecture} ${path.toLowerCase()}`;

/** Reads and validates a hotpatch image by itself. */
export function readPatch2003(image: PeImage, options: LoadPatch2003Options): Patch2003 {
  const name = options.name ?? image.file?.replace(/^.*[\\/]/, '') ?? 'hotpatch';
  refuseFindings(validateHotp1(image), name);
  const hotp1 = readHotp1(image);
  if (hotp1 === undefined) throw new RangeError('a valid hotpatch has a .hotp1 section');
  return new Patch2003(name, options.path ?? name, image, hotp1, options.symbols);
}
