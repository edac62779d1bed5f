import { assemble } from '../cpu/index.js';
import {
  type BuiltImage,
  type ImageArchitecture,
  ImageBuilder,
  type ImageBuilderOptions,
  ImageError,
  type PeImage,
  readImage,
} from '../image/index.js';
import { type BuildInput, type BuiltHotPatch, buildHotPatch } from './build.js';

/** A program in assembly: what one image consists of. Names may be used in all of it. */
export interface AssemblyProgram {
  /** `lesson.sys` or `lesson.dll`, which decides between driver and DLL. */
  readonly name: string;
  /** Functions by name: Intel syntax for x64 and x86, A64 syntax for ARM64. Each is padded as a linker does it. */
  readonly code: Readonly<Record<string, string>>;
  /** Variables by name, in `.data`. */
  readonly data?: Readonly<Record<string, Uint8Array | readonly number[]>>;
  /** Constants by name, in `.rdata`. */
  readonly constants?: Readonly<Record<string, Uint8Array | readonly number[]>>;
  /** Variables that get a `__ref_NAME` pointer, as a compiler makes them for code that is to run in a patch image. */
  readonly references?: readonly string[];
  /** Constant arrays of pointers by name. */
  readonly pointers?: Readonly<Record<string, readonly string[]>>;
  /** Imported functions by module; their slots are called `__imp_NAME`. */
  readonly imports?: Readonly<Record<string, readonly string[]>>;
  readonly exports?: readonly string[];
  /** DriverEntry or DllMain. */
  readonly entryPoint?: string;
  readonly options?: ImageBuilderOptions;
}

export interface AssembledPatch {
  readonly base: BuiltImage;
  readonly fixed: BuiltImage;
  readonly patch: BuiltHotPatch;
  readonly patchImage: PeImage;
}

/**
 * Assembles an image.
 *
 * @example
 * ```ts
 * const lesson = await assembleImage('x64', {
 *   name: 'lesson.sys',
 *   code: { answer: 'mov eax, dword ptr [rip + value]; ret' },
 *   data: { value: [42, 0, 0, 0] },
 *   exports: ['answer'],
 * });
 * ```
 * @throws AssemblerError with the line that is wrong
 */
export async function assembleImage(
  architecture: ImageArchitecture,
  program: AssemblyProgram,
): Promise<BuiltImage> {
  const base = program.options?.imageBase ?? DEFAULT_BASE[architecture];
  // Code and layout depend on each other: assemble at the addresses of the last round until nothing moves.
  let code = new Map<string, Assembled>(Object.keys(program.code).map((name) => [name, EMPTY]));
  let built = layOut(architecture, program, code, base);
  for (let round = 0; round < MOST_ROUNDS; round++) {
    const next = await assembleAll(architecture, program, built);
    if (isSame(code, next)) return built;
    code = next;
    built = layOut(architecture, program, code, base);
  }
  throw new ImageError({
    rule: 'build.address',
    status: 'STATUS_INVALID_PARAMETER',
    file: program.name,
    place: 'code',
    message: `addresses do not settle in ${MOST_ROUNDS} rounds`,
    hint: "does one function's length depend on where another one lies, and that one's on it?",
  });
}

/**
 * Assembles a base and its fix, and makes the hotpatch: everything that a lesson needs, without a compiler.
 * `fixed` names only what differs; code, data and so on that it does not name are the base's.
 *
 * @example
 * ```ts
 * const { base, patchImage } = await assemblePatch('x64', {
 *   base: { name: 'lesson.sys', code: { answer: 'mov eax, 41; ret' } },
 *   fixed: { code: { answer: 'mov eax, 42; ret' } },
 * });
 * ```
 * @throws AssemblerError, BuildError
 */
export async function assemblePatch(
  architecture: ImageArchitecture,
  programs: { readonly base: AssemblyProgram; readonly fixed: Partial<AssemblyProgram> },
  options: Omit<BuildInput, 'base' | 'fixed'> = {},
): Promise<AssembledPatch> {
  const base = await assembleImage(architecture, programs.base);
  const fixed = await assembleImage(architecture, merged(programs.base, programs.fixed));
  const patch = buildHotPatch({ ...options, base, fixed });
  const file = programs.base.name.replace(/(\.\w+)?$/, `_hp${patch.sequenceNumber}$1`);
  return { base, fixed, patch, patchImage: readImage(patch.bytes, { file }) };
}

interface Assembled {
  readonly bytes: Uint8Array;
  /** Offsets of absolute addresses. */
  readonly relocations: readonly number[];
}

const EMPTY: Assembled = { bytes: new Uint8Array(0), relocations: [] };
const MOST_ROUNDS = 16;
const DEFAULT_BASE = { x64: 0x1_8000_0000n, arm64: 0x1_8000_0000n, x86: 0x1000_0000n } as const;
const SHIFT = 0x10000n;

function merged(base: AssemblyProgram, fixed: Partial<AssemblyProgram>): AssemblyProgram {
  const both = <T>(a: Readonly<Record<string, T>> = {}, b: Readonly<Record<string, T>> = {}) => ({
    ...a,
    ...b,
  });
  return {
    ...base,
    ...fixed,
    code: both(base.code, fixed.code),
    data: both(base.data, fixed.data),
    constants: both(base.constants, fixed.constants),
    pointers: both(base.pointers, fixed.pointers),
    imports: both(base.imports, fixed.imports),
  };
}

function layOut(
  architecture: ImageArchitecture,
  program: AssemblyProgram,
  code: ReadonlyMap<string, Assembled>,
  imageBase: bigint,
): BuiltImage {
  const {
    name,
    data = {},
    constants = {},
    references = [],
    pointers = {},
    imports = {},
    exports = [],
  } = program;
  const builder = new ImageBuilder(architecture, {
    name,
    dll: name.endsWith('.dll'),
    imageBase,
    ...program.options,
  })
    .hotPatchCompatible()
    .loadConfig();
  for (const [part, { bytes, relocations }] of code) builder.code(part, bytes, { relocations });
  for (const [part, bytes] of Object.entries(data)) builder.data(part, bytes);
  for (const [part, bytes] of Object.entries(constants)) builder.constant(part, bytes);
  for (const part of references) builder.pointers(`__ref_${part}`, [part]);
  for (const [part, targets] of Object.entries(pointers)) builder.pointers(part, targets);
  for (const [module, functions] of Object.entries(imports)) builder.import(module, functions);
  for (const part of exports) builder.export(part);
  if (program.entryPoint !== undefined) builder.entryPoint(program.entryPoint);
  return builder.build();
}

async function assembleAll(
  architecture: ImageArchitecture,
  program: AssemblyProgram,
  built: BuiltImage,
): Promise<Map<string, Assembled>> {
  const at = (shift: bigint) =>
    new Map(built.symbols.all.map(({ name }) => [name, built.address(name) + shift] as const));
  const symbols = at(0n);
  const shifted = at(SHIFT);
  const result = new Map<string, Assembled>();
  for (const [name, source] of Object.entries(program.code)) {
    const address = built.address(name);
    const bytes = await assemble(architecture, source, { address, symbols });
    const elsewhere = await assemble(architecture, source, { address: address + SHIFT, symbols: shifted });
    result.set(name, { bytes, relocations: absoluteFields(bytes, elsewhere) });
  }
  return result;
}

/** Where code differs that was assembled 64 KB higher: the third byte of each absolute address. */
function absoluteFields(bytes: Uint8Array, elsewhere: Uint8Array): number[] {
  const fields: number[] = [];
  for (let i = 0; i < bytes.length; i++)
    if (bytes[i] !== elsewhere[i]) {
      fields.push(i - 2);
      i++;
    }
  return fields;
}

function isSame(a: ReadonlyMap<string, Assembled>, b: ReadonlyMap<string, Assembled>): boolean {
  return [...b].every(([name, { bytes }]) => {
    const before = a.get(name)?.bytes;
    return (
      before !== undefined && before.length === bytes.length && before.every((byte, i) => byte === bytes[i])
    );
  });
}
