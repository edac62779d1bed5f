import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ImageArchitecture } from '../../image/index.js';
import { compilerArguments, compilerEnvironment } from './compile.js';
import { MakeError, shortened } from './error.js';
import { type Linked, link } from './link.js';
import { run } from './process.js';
import { prepareLibraries } from './runtime.js';
import type { Session } from './session.js';
import { findToolchain, type Toolchain } from './toolchain.js';

/** One C file that becomes a DLL. */
export interface SingleProgram {
  /** `program.dll` */
  readonly image: string;
  readonly text: string;
  /** The program's own flags: `-O2`. */
  readonly flags: readonly string[];
  readonly linkerFlags?: readonly string[];
  /** IR names of functions that are compiled for a hotpatch. */
  readonly marked?: readonly string[];
  /** Where it is built; made if needed. Two programs in folders of one name get the same bytes for the same text. */
  readonly folder: string;
}

/** Compiles and links programs of one file, as `hotpatch make` does with those of many: hotpatchable and reproducible. */
export class SingleBuilder {
  private constructor(
    private readonly architecture: ImageArchitecture,
    private readonly toolchain: Toolchain,
    private readonly libraries: string,
    private readonly cache: string,
  ) {}

  /**
   * @param cache where the runtime and the import libraries are kept
   * @throws MakeError `toolchain.missing`, `headers.missing`
   */
  static async create(architecture: ImageArchitecture, cache: string): Promise<SingleBuilder> {
    const toolchain = findToolchain();
    const libraries = await prepareLibraries(cache, architecture, toolchain, false);
    return new SingleBuilder(architecture, toolchain, libraries, cache);
  }

  /** @throws MakeError `compile`, `link` */
  async build(program: SingleProgram): Promise<Linked> {
    const { folder, image, text, flags, linkerFlags = [], marked = [] } = program;
    const session: Session = {
      architecture: this.architecture,
      toolchain: this.toolchain,
      tree: folder,
      records: join(folder, 'records'),
      store: join(this.cache, 'store'),
      libraries: this.libraries,
      isDriver: false,
      flags: [],
    };
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, 'program.c'), text);
    const marks = marked.length === 0 ? [] : [`-fms-secure-hotpatch-functions-list=${marked.join(',')}`];
    const args = [...compilerArguments(session, flags), ...marks, '-c', 'program.c', '-o', 'program.obj'];
    const { status, stdout, stderr } = await run(this.toolchain.tools.clang, args, {
      cwd: folder,
      environment: compilerEnvironment(),
    });
    if (status !== 0)
      throw new MakeError({
        rule: 'compile',
        message: `program.c cannot be compiled: clang ended with ${status}`,
        output: shortened(stdout + stderr),
      });
    return link(session, {
      folder: join(folder, 'image'),
      image,
      kind: 'dll',
      objects: [{ name: 'program.obj', file: join(folder, 'program.obj') }],
      flags: linkerFlags,
      missing: 'error',
    });
  }
}
