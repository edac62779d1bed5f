import { copyFileSync, existsSync, linkSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { readObject } from '../../image/index.js';
import { MakeError, shortened } from './error.js';
import { run } from './process.js';
import { importLibraries, importLibrary, RUNTIME_LIBRARY, RUNTIME_OBJECTS } from './runtime.js';
import type { Session } from './session.js';
import { LINKER_FLAGS, TARGETS } from './toolchain.js';

/** An object file under the name that symbols and messages shall have for it. */
export interface NamedObject {
  /** Unique in a link: `parser.obj`. */
  readonly name: string;
  readonly file: string;
}

export interface LinkRequest {
  /** Where it is linked; made anew. Relative names keep the image the same wherever the folder is. */
  readonly folder: string;
  /** `cjson.dll` */
  readonly image: string;
  readonly kind: 'dll' | 'driver' | 'exe';
  readonly objects: readonly NamedObject[];
  /** Taken only where something is undefined, as members of an archive are. */
  readonly lazyObjects?: readonly NamedObject[];
  /** Import libraries and archives of others. */
  readonly libraries?: readonly string[];
  /** Module definition file. */
  readonly definition?: string;
  readonly exports?: readonly string[];
  readonly flags?: readonly string[];
  /**
   * What becomes of functions that nothing defines: imports that stop whoever calls them, an error, or only these may be
   * missing.
   */
  readonly missing: 'imports' | 'error' | readonly string[];
}

export interface Linked {
  readonly image: string;
  readonly pdb: string;
  readonly map: string;
  /** Functions that nothing defines, made imports of a DLL that lacks them. */
  readonly missing: readonly string[];
}

/** Links an image with its PDB and map, and with what hotpatching needs. */
export async function link(session: Session, request: LinkRequest): Promise<Linked> {
  const { folder, image, kind } = request;
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  for (const { name, file } of [...request.objects, ...(request.lazyObjects ?? [])])
    place(file, join(folder, name));
  for (const name of [
    ...RUNTIME_OBJECTS,
    RUNTIME_LIBRARY,
    ...importLibraries(session.architecture, session.isDriver),
  ])
    place(join(session.libraries, name), join(folder, name));
  if (request.definition !== undefined) place(request.definition, join(folder, 'program.def'));
  if (request.exports !== undefined)
    writeFileSync(join(folder, 'exports.rsp'), request.exports.map((name) => `"/export:${name}"\n`).join(''));

  let missing: string[] = [];
  let result = await attempt(session, request, missing);
  const mayMiss = request.missing;
  if (result.status !== 0 && mayMiss !== 'error') {
    const undefinedNames = undefinedSymbols(result.text);
    assertFunctions(image, undefinedNames, request);
    missing =
      mayMiss === 'imports' ? undefinedNames : undefinedNames.filter((name) => mayMiss.includes(name));
    if (missing.length > 0) {
      await writeMissing(session, folder, missing);
      result = await attempt(session, request, missing);
    }
  }
  if (result.status !== 0) throw linkError(image, result.text);
  const stem = image.replace(/\.\w+$/, '');
  return {
    image: join(folder, image),
    pdb: join(folder, `${stem}.pdb`),
    map: join(folder, `${stem}.map`),
    missing: kind === 'exe' ? [] : missing,
  };
}

function place(from: string, to: string): void {
  mkdirSync(dirname(to), { recursive: true });
  rmSync(to, { force: true });
  try {
    linkSync(from, to);
  } catch {
    copyFileSync(from, to); // another file system
  }
}

async function attempt(
  session: Session,
  request: LinkRequest,
  missing: readonly string[],
): Promise<{ status: number; text: string }> {
  const { image, objects, lazyObjects = [], flags = [] } = request;
  const target = TARGETS[session.architecture];
  const stem = image.replace(/\.\w+$/, '');
  const args = [
    ...LINKER_FLAGS,
    ...target.linkerFlags,
    // As MinGW's linker has it: names in .drectve without the underscore of x86, constructor lists.
    ...(session.toolchain.sysroot === undefined ? ['-lldmingw', '-exclude-all-symbols'] : []),
    ...kindFlags(session, request),
    ...flags,
    ...(request.exports === undefined ? [] : ['@exports.rsp']),
    ...(request.definition === undefined ? [] : ['/def:program.def']),
    ...objects.map(({ name }) => name),
    ...RUNTIME_OBJECTS,
    ...(lazyObjects.length === 0 ? [] : ['/start-lib', ...lazyObjects.map(({ name }) => name), '/end-lib']),
    ...(request.libraries ?? []),
    RUNTIME_LIBRARY,
    ...importLibraries(session.architecture, session.isDriver),
    ...(missing.length === 0 ? [] : missingLibraries(missing)),
    `/out:${image}`,
    `/pdb:${stem}.pdb`,
    `/pdbaltpath:${stem}.pdb`,
    `/map:${stem}.map`,
    `/implib:${stem}.lib`,
    // What is undefined shall become imports of these very names.
    '/demangle:no',
  ];
  writeFileSync(
    join(request.folder, 'link.rsp'),
    args
      .map((arg) => (/[\s"]/.test(arg) && !arg.startsWith('@') ? `"${arg.replace(/"/g, '')}"` : arg))
      .join('\n'),
  );
  const { status, stdout, stderr } = await run(session.toolchain.tools.lld, ['@link.rsp'], {
    cwd: request.folder,
  });
  return { status, text: stdout + stderr };
}

function kindFlags({ architecture, toolchain }: Session, { kind, objects }: LinkRequest): string[] {
  const target = TARGETS[architecture];
  const { prefix, dllEntrySuffix, driverEntrySuffix } = target;
  const sdk = toolchain.sysroot === undefined ? [] : [`/winsysroot:${toolchain.sysroot}`];
  if (kind === 'driver')
    return [...sdk, '/driver', '/subsystem:native,10.0', `/entry:DriverEntry${driverEntrySuffix}`];
  if (kind === 'exe') return [...sdk, '/subsystem:console', '/entry:mainCRTStartup'];
  const dllMain = `${prefix}DllMain${dllEntrySuffix}`;
  const has = objects.some(({ file }) => defines(file, dllMain));
  return [
    ...sdk,
    '/dll',
    `/entry:_DllMainCRTStartup${dllEntrySuffix}`,
    ...(has ? [] : [`/alternatename:${dllMain}=${prefix}hotpatch_no_dll_main${dllEntrySuffix}`]),
  ];
}

/** Does an object define this symbol for others? */
export function defines(file: string, name: string): boolean {
  return globalSymbols(file).some((symbol) => symbol.name === name);
}

const IMAGE_SYM_CLASS_EXTERNAL = 2;

export interface GlobalDefinition {
  readonly name: string;
  readonly isFunction: boolean;
}

const known = new Map<string, readonly GlobalDefinition[]>();

/** What an object file defines for others. The store names objects by their contents: each is read once. */
export function globalSymbols(file: string): readonly GlobalDefinition[] {
  const found = known.get(file);
  if (found !== undefined) return found;
  const object = readObject(readFileSync(file), { file });
  const symbols = object.symbols
    .filter(
      ({ storageClass, sectionNumber }) => storageClass === IMAGE_SYM_CLASS_EXTERNAL && sectionNumber > 0,
    )
    .map(({ name, type, sectionNumber }) => ({
      name,
      isFunction:
        type >> 4 === 2 || ((object.sections[sectionNumber - 1]?.characteristics ?? 0) & 0x2000_0000) !== 0,
    }));
  if (file.includes('/objects/')) known.set(file, symbols);
  return symbols;
}

const UNDEFINED = /^lld-link\S*: error: undefined symbol: (?:__declspec\(dllimport\) )?(.+)$/gm;

/** Names that lld says nothing defines, as it says them: without the underscore of x86. */
function undefinedSymbols(text: string): string[] {
  return [...new Set([...text.matchAll(UNDEFINED)].map(([, name = '']) => name.trim()))].sort();
}

/**
 * An import that stops whoever calls it can stand for a function only: what reads a variable would read its code.
 * Compilers reach a variable of elsewhere through a pointer of their own, `.refptr.NAME`; tables and types of C++ are told by
 * their mangled names.
 * @throws MakeError `link`
 */
function assertFunctions(
  image: string,
  names: readonly string[],
  { objects, lazyObjects = [] }: LinkRequest,
): void {
  const pointed = new Set(
    [...objects, ...lazyObjects].flatMap(({ file }) =>
      globalSymbols(file).flatMap(({ name }) => /^\.refptr\.(.+)$/.exec(name)?.[1] ?? []),
    ),
  );
  const isVariable = (name: string) =>
    pointed.has(name) || pointed.has(`_${name}`) || /^_{1,2}ZT[ISTV]/.test(name);
  const variables = names.filter(isVariable);
  if (variables.length === 0) return;
  const listed = `${variables.slice(0, 20).join(', ')}${variables.length > 20 ? ` and ${variables.length - 20} more` : ''}`;
  throw new MakeError({
    rule: 'link',
    message: `${image} cannot be linked: nothing defines the variables ${listed}`,
    hint: variables.some((name) => /^_{1,2}Z/.test(name))
      ? 'names with _Z are of C++; streams, locales, threads and files of its standard library are not there'
      : 'give the object or library that has them; only functions may be missing',
  });
}

/** A name of a Windows DLL begins with a capital; one of the C runtime does not (modelled: lld does not know the DLL). */
function dllOf(name: string): 'missing-kernel32' | 'missing-ucrtbase' {
  return /^_?[A-Z]/.test(name.replace(/^__imp_/, '')) ? 'missing-kernel32' : 'missing-ucrtbase';
}

const MISSING_DLLS = { 'missing-kernel32': 'kernel32.dll', 'missing-ucrtbase': 'ucrtbase.dll' } as const;

function missingLibraries(missing: readonly string[]): string[] {
  return [...new Set(missing.map(dllOf))].sort().map((stem) => `${stem}.lib`);
}

async function writeMissing(session: Session, folder: string, missing: readonly string[]): Promise<void> {
  const stems = [...new Set(missing.map(dllOf))];
  const { prefix } = TARGETS[session.architecture];
  for (const stem of stems) {
    const names = missing
      .filter((name) => dllOf(name) === stem)
      .map((name) => name.replace(/^__imp_/, ''))
      .map((name) => (prefix !== '' && name.startsWith(prefix) ? name.slice(prefix.length) : name));
    await importLibrary(
      folder,
      session.architecture,
      session.toolchain,
      MISSING_DLLS[stem],
      `LIBRARY "${MISSING_DLLS[stem]}"\nEXPORTS\n${[...new Set(names)].join('\n')}\n`,
      stem,
    );
  }
}

function linkError(image: string, text: string): MakeError {
  const names = undefinedSymbols(text);
  if (names.length === 0)
    return new MakeError({ rule: 'link', message: `${image} cannot be linked`, output: shortened(text) });
  return new MakeError({
    rule: 'link',
    message: `${image} cannot be linked: nothing defines ${names.slice(0, 20).join(', ')}${names.length > 20 ? ` and ${names.length - 20} more` : ''}`,
    hint: 'give the object or library that has them; hotpatch exports lists what the simulated DLLs have',
    output: shortened(text),
  });
}

/** Is this file a library that lld can read where it lies? */
export function isLibraryFile(path: string): boolean {
  return /\.(?:lib|a)$/i.test(path) && existsSync(path);
}
