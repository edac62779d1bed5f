import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { Lab } from 'hotpatch-lab';
import { findSymbols, type PeImage, readImage } from 'hotpatch-lab/image';
import { type BuildSource, type BuiltHotPatch, buildHotPatch } from '../../builder/index.js';
import type { Patch } from '../../engine/index.js';
import { GuestCrash, type LoadedImage, type Thread } from '../../loader/index.js';
import type { CorpusCase } from './case.js';
import type { Architecture } from './toolchain.js';

const IMAGES = fileURLToPath(new URL('images/', import.meta.url));

/** `labels.dll`, `frames.sys`. */
export function imageName({ name, kind }: CorpusCase): string {
  return `${name}.${kind === 'dll' ? 'dll' : 'sys'}`;
}

/** A checked-in build of a corpus program: 0 is the base, others the value of HP_FIX. */
export function corpusSource(definition: CorpusCase, architecture: Architecture, fix: number): BuildSource {
  const folder = `${IMAGES}${architecture}/${definition.name}/`;
  return readSource(`${folder}${fix === 0 ? 'base' : `fix${fix}`}/${imageName(definition)}`);
}

export function readSource(path: string): BuildSource {
  if (!existsSync(path)) throw new Error(`${path} is not there: build it with npx tsx test/corpus/build.ts`);
  const image = readImage(new Uint8Array(readFileSync(path)), { file: path });
  const found = findSymbols({ image, path });
  return { image, symbols: found.table, pdb: found.pdb };
}

/** The hotpatches of a case, each made from the base and one fixed build, cumulative. */
export function buildPatches(definition: CorpusCase, architecture: Architecture): BuiltHotPatch[] {
  const built: BuiltHotPatch[] = [];
  let previous: { image: PeImage } | undefined;
  for (const fix of definition.fixes ?? [1]) {
    const patch = buildHotPatch({
      base: corpusSource(definition, architecture, 0),
      fixed: corpusSource(definition, architecture, fix),
      ...(definition.allow === undefined ? {} : { allow: definition.allow }),
      ...(previous === undefined ? {} : { previous }),
    });
    previous = { image: readImage(patch.bytes, { file: `${definition.name}_hp${fix}` }) };
    built.push(patch);
  }
  return built;
}

/** A machine with the base of a corpus program loaded, a DLL in a process, a driver in the kernel, and a way to call it. */
export class Victim implements Disposable {
  readonly #applied: Patch[] = [];

  private constructor(
    readonly lab: Lab<'modern'>,
    readonly base: LoadedImage,
    private readonly fixedSymbols: BuildSource['symbols'] | undefined,
  ) {}

  static async boot(source: BuildSource, name: string, fixed?: BuildSource): Promise<Victim> {
    const lab = await Lab.boot({ architecture: source.image.architecture, processors: 2 });
    const options = { name, symbols: source.symbols };
    const base = name.endsWith('.dll')
      ? lab.createProcess('victim.exe').loadImage(source.image, options)
      : lab.kernel.loadImage(source.image, options);
    return new Victim(lab, base, fixed?.symbols);
  }

  apply(patch: BuiltHotPatch, name: string): Patch {
    const image = readImage(patch.bytes, { file: name });
    const applied = this.lab.engine.load(image, {
      name,
      ...(this.fixedSymbols === undefined ? {} : { symbols: this.fixedSymbols }),
    });
    this.#applied.push(applied);
    return applied;
  }

  /** Takes every hotpatch back, the newest first. */
  rollBack(): void {
    for (const patch of [...this.#applied].reverse())
      if (patch.state === 'applied') this.lab.unloadHotPatch(patch);
    this.#applied.length = 0;
  }

  /** The result as a C `int`, or `crashed: STATUS_…`. */
  call(name: string, ...parameters: (bigint | number)[]): number | string {
    try {
      return this.lab.call(this.base.symbol(name), parameters);
    } catch (error) {
      if (error instanceof GuestCrash) return `crashed: ${error.status.name}`;
      throw error;
    }
  }

  start(name: string, ...parameters: (bigint | number)[]): Thread {
    return this.lab.startThread(this.base.symbol(name), parameters);
  }

  /** Runs a thread until it is about to execute the first instruction of a function of the base. */
  runTo(thread: Thread, name: string): void {
    this.lab.run({ until: thread.reaches(this.base.symbol(name)) });
  }

  finish(thread: Thread): number | undefined {
    this.lab.run({ until: thread.returns() });
    return thread.result;
  }

  /** Memory of its own for bytes, or for a NUL-terminated string. */
  put(contents: Uint8Array | string): bigint {
    return this.lab.allocate(contents, this.base);
  }

  read(address: bigint, size: number): Uint8Array {
    return this.base.domain.addressSpace.read(address, size);
  }

  write(address: bigint, contents: Uint8Array): void {
    this.base.domain.addressSpace.write(address, contents);
  }

  /** The last line that the guest sent to the debugger. */
  get lastDebugPrint(): string | undefined {
    return this.lab.events.findLast(({ kind }) => kind === 'debugPrint')?.text;
  }

  [Symbol.dispose](): void {
    this.lab[Symbol.dispose]();
  }
}
