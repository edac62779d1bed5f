import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { isDecorated, readObject, undecorate } from '../../image/index.js';
import { compilerArguments, compilerEnvironment, storedObject } from './compile.js';
import { MakeError, shortened } from './error.js';
import type { NamedObject } from './link.js';
import { inParallel, run } from './process.js';
import type { ObjectNames, ProductObject } from './product.js';
import { renameReferences } from './references.js';
import { local, type Session } from './session.js';

/** Which functions of which object are compiled for hotpatching: key of the object → IR names. */
export type Marks = ReadonlyMap<string, ReadonlySet<string>>;

export interface MarkedObjects {
  readonly objects: readonly NamedObject[];
  /** `__ref_` symbols that were given a name of their own in some object. */
  readonly renamed: readonly string[];
}

/** Compiles the objects that have marks again with exactly these marks, and takes the others as they are. */
export async function markObjects(
  session: Session,
  folder: string,
  names: ObjectNames,
  objects: readonly ProductObject[],
  marks: Marks,
  jobs?: number,
): Promise<MarkedObjects> {
  mkdirSync(folder, { recursive: true });
  const made = await inParallel(
    objects,
    async (object): Promise<NamedObject> => {
      const name = names.of(object.key);
      const wanted = marks.get(object.key);
      if (wanted === undefined || wanted.size === 0 || object.record === undefined)
        return { name, file: storedObject(session, object.hash) };
      const file = join(folder, name);
      await compileMarked(session, object, [...wanted].sort(), file);
      return { name, file };
    },
    jobs,
  );
  const own = made.filter(({ file }) => file.startsWith(folder));
  return { objects: made, renamed: await renameReferences(session.toolchain.tools.objcopy, own) };
}

async function compileMarked(
  session: Session,
  { record, hash }: ProductObject,
  functions: readonly string[],
  output: string,
): Promise<void> {
  if (record === undefined) return;
  const { status, stderr } = await run(
    session.toolchain.tools.clang,
    [
      ...compilerArguments(
        session,
        record.flags.map((flag) => local(flag, session.tree)),
      ),
      '-c',
      local(record.given, session.tree),
      `-fms-secure-hotpatch-functions-list=${irNames(storedObject(session, hash), functions).join(',')}`,
      '-o',
      output,
    ],
    { cwd: join(session.tree, record.cwd), environment: compilerEnvironment() },
  );
  if (status !== 0)
    throw new MakeError({
      rule: 'compile',
      message: `${record.source} cannot be compiled again for hotpatching`,
      output: shortened(stderr),
    });
}

/**
 * The names that LLVM knows functions of an object by. A decorated one (`isDecorated`) is the linker's already,
 * and has a byte 1 before it.
 */
function irNames(file: string, functions: readonly string[]): string[] {
  const decorated = new Map<string, string>();
  for (const { name } of readObject(readFileSync(file), { file }).symbols)
    if (isDecorated(name)) decorated.set(undecorate(name), name);
  return functions.map((name) => {
    const raw = decorated.get(name) ?? decorated.get(undecorate(name));
    return raw === undefined ? name : `\u0001${raw}`;
  });
}

/** Of the names that were listed, those that the object has no S_HOTPATCHFUNC record of: clang accepts any name. */
export function unmarked(file: string, functions: Iterable<string>): string[] {
  const marked = new Set(readObject(readFileSync(file), { file }).hotPatchFunctions.map(({ name }) => name));
  return [...functions].filter((name) => !marked.has(name) && !marked.has(undecorate(name)));
}

/** Copies what a hotpatch consists of. */
export function copyImage(
  from: { image: string; pdb: string; map: string },
  to: string,
  stem: string,
  extension: string,
  bytes: Uint8Array = readFileSync(from.image),
): string {
  mkdirSync(to, { recursive: true });
  putFile(join(to, `${stem}.pdb`), readFileSync(from.pdb));
  putFile(join(to, `${stem}.map`), readFileSync(from.map));
  return putFile(join(to, `${stem}${extension}`), bytes);
}

/** Whole or not at all. */
function putFile(path: string, bytes: Uint8Array): string {
  const temporary = `${path}.${process.pid}.tmp`;
  try {
    writeFileSync(temporary, bytes);
    renameSync(temporary, path);
  } finally {
    rmSync(temporary, { force: true });
  }
  return path;
}
