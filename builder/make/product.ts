import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { basename, extname, join, resolve } from 'node:path';
import { readArchive } from '../../image/index.js';
import { inTree, keep, storedObject } from './compile.js';
import { MakeError } from './error.js';
import type { NamedObject } from './link.js';
import type { BuildRecord, CompileRecord, LinkRecord, Session } from './session.js';
import { hashFile } from './tree.js';

/** One object of a product, and what is known about how it was made. */
export interface ProductObject {
  /** Where the build put it; what ties the objects of two builds together. */
  readonly key: string;
  /** SHA-256 of its contents, under which the store has it. */
  readonly hash: string;
  /** Undefined: something else than a wrapper made it. */
  readonly record?: CompileRecord;
  /** Member of an archive that was linked against: taken only where it is needed. */
  readonly isLazy: boolean;
}

/** What a build makes, as far as a hotpatch is to be made of it. */
export interface Product {
  /** Where the build put it, or what it would be called. */
  readonly path: string;
  readonly objects: readonly ProductObject[];
  /** Import libraries and the like, in the store. */
  readonly libraries: readonly string[];
  /** A module definition file, in the store. */
  readonly definition?: string;
  readonly flags: readonly string[];
}

export interface ProductChoice {
  /** Names or paths of the DLLs, archives or programs that are wanted; objects of several become one image. */
  readonly products?: readonly string[];
}

const TRIAL =
  /(?:^|\/)(?:conftest[^/]*|cmTC_[^/]*|a\.out|CMakeC\w*CompilerId[^/]*)$|(?:^|\/)(?:CMakeScratch|CMakeTmp|CompilerId\w*|meson-private)\//;

/**
 * Finds what the build made: the one DLL, else the one archive, else the one program, else all objects.
 * @throws MakeError `product`, when there is nothing or several, with their names
 */
export function chooseProduct(
  session: Session,
  records: readonly BuildRecord[],
  choice: ProductChoice,
): Product {
  const compiled = new Map<string, CompileRecord>();
  const links = new Map<string, LinkRecord>();
  for (const record of records) {
    if (TRIAL.test(record.output)) continue;
    if (record.kind === 'compile') compiled.set(record.output, record);
    else links.set(record.output, record);
  }
  if (compiled.size === 0)
    throw new MakeError({
      rule: 'product',
      message: 'the build compiled nothing with hotpatch-cc or hotpatch-c++',
      hint: 'pass the wrappers to the build: make CC=hotpatch-cc, ./configure CC=hotpatch-cc, cmake (they are in CC, CXX and the toolchain file)',
    });
  const finder = new ObjectFinder(session, [...compiled.values()]);
  const dlls = [...links.values()].filter(({ isDll }) => isDll);
  const programs = [...links.values()].filter(({ isDll }) => !isDll);
  const archives = finder.archives();
  const { products = [] } = choice;
  if (products.length > 0) {
    const found = products.map((wanted) => {
      const isWanted = (path: string) => path === wanted || basename(path) === wanted;
      const link = [...dlls, ...programs].find(({ output }) => isWanted(output));
      if (link !== undefined) return finder.ofLink(link);
      const archive = archives.find(isWanted);
      if (archive !== undefined) return finder.ofArchive(archive);
      throw severalProducts(`the build makes no ${wanted}`, [...dlls, ...programs], archives);
    });
    return together(found);
  }
  const [dll, otherDll] = dlls;
  if (dll !== undefined && otherDll === undefined) return finder.ofLink(dll);
  if (dll !== undefined) throw severalProducts('the build makes several DLLs', dlls, []);
  const [archive, otherArchive] = archives;
  if (archive !== undefined && otherArchive === undefined) return finder.ofArchive(archive);
  if (archive !== undefined) throw severalProducts('the build makes several libraries', [], archives);
  const [program, otherProgram] = programs;
  if (program !== undefined && otherProgram === undefined) return finder.ofLink(program);
  if (program !== undefined) throw severalProducts('the build makes several programs', programs, []);
  return finder.ofAll();
}

/** One image of the objects of several; the first gives it its name. */
function together(products: readonly Product[]): Product {
  const objects = new Map<string, ProductObject>();
  for (const object of products.flatMap((product) => product.objects)) {
    const known = objects.get(object.key);
    objects.set(
      object.key,
      known === undefined ? object : { ...object, isLazy: known.isLazy && object.isLazy },
    );
  }
  const definition = products.find((product) => product.definition !== undefined)?.definition;
  return {
    path: products[0]?.path ?? '',
    objects: [...objects.values()],
    libraries: [...new Set(products.flatMap(({ libraries }) => libraries))],
    ...(definition === undefined ? {} : { definition }),
    flags: [...new Set(products.flatMap(({ flags }) => flags))],
  };
}

function severalProducts(
  message: string,
  links: readonly LinkRecord[],
  archives: readonly string[],
): MakeError {
  const names = [...links.map(({ output }) => output), ...archives];
  return new MakeError({
    rule: 'product',
    message: `${message}: ${names.join(', ')}`,
    hint: 'say which with --product NAME; given several times, their objects become one image',
  });
}

class ObjectFinder {
  readonly #byHash = new Map<string, CompileRecord>();

  constructor(
    private readonly session: Session,
    private readonly compiled: readonly CompileRecord[],
  ) {
    for (const record of compiled)
      if (!this.#byHash.has(record.object)) this.#byHash.set(record.object, record);
  }

  ofAll(): Product {
    const [first] = this.compiled;
    return {
      path: first?.output ?? '',
      objects: this.compiled.map((record) => ({
        key: record.output,
        hash: record.object,
        record,
        isLazy: false,
      })),
      libraries: [],
      flags: [],
    };
  }

  ofArchive(path: string): Product {
    return { path, objects: this.#members(path, false), libraries: [], flags: [] };
  }

  ofLink({ output, inputs, flags }: LinkRecord): Product {
    const objects: ProductObject[] = [];
    const libraries: string[] = [];
    let definition: string | undefined;
    for (const input of inputs) {
      const file = resolve(this.session.tree, input);
      if (!existsSync(file)) {
        // Compiled and linked in one command: the object was a temporary one.
        const record = this.compiled.find((entry) => entry.output === input);
        if (record !== undefined) objects.push({ key: input, hash: record.object, record, isLazy: false });
        continue;
      }
      if (/\.def$/i.test(input)) definition = this.#stored(file);
      else if (/\.(?:a|lib)$/i.test(input)) {
        const members = this.#members(input, true);
        if (members.some(({ record }) => record !== undefined)) objects.push(...members);
        else libraries.push(this.#stored(file));
      } else objects.push(this.#object(input, readFileSync(file), false));
    }
    return { path: output, objects, libraries, ...(definition === undefined ? {} : { definition }), flags };
  }

  /** Archives of the tree that hold objects which the build compiled. */
  archives(): string[] {
    const found: string[] = [];
    const walk = (folder: string) => {
      for (const entry of readdirSync(folder, { withFileTypes: true })) {
        const path = join(folder, entry.name);
        if (entry.isDirectory()) walk(path);
        else if (entry.isFile() && /\.(?:a|lib)$/i.test(entry.name)) found.push(path);
      }
    };
    walk(this.session.tree);
    return found
      .map((path) => inTree(path, this.session.tree))
      .filter(
        (path) => !TRIAL.test(path) && this.#members(path, false).some(({ record }) => record !== undefined),
      )
      .sort();
  }

  #members(path: string, isLazy: boolean): ProductObject[] {
    try {
      return readArchive(readFileSync(resolve(this.session.tree, path)), { file: path })
        .filter(({ shortImport }) => shortImport === undefined)
        .map(({ name, data }) => this.#object(`${path}(${name})`, data, isLazy));
    } catch {
      return []; // An archive of something else: of this machine's own objects, for a tool of the build.
    }
  }

  #object(path: string, contents: Uint8Array, isLazy: boolean): ProductObject {
    const hash = createHash('sha256').update(contents).digest('hex');
    const record = this.#byHash.get(hash);
    if (record !== undefined) return { key: record.output, hash, record, isLazy };
    const file = resolve(this.session.tree, path);
    if (existsSync(file)) keep(this.session, file, hash);
    return { key: path, hash, isLazy };
  }

  #stored(file: string): string {
    const hash = hashFile(file);
    keep(this.session, file, hash);
    return storedObject(this.session, hash);
  }
}

/** `libcjson.so.1.7.15`, `libcjson.a` → `cjson`. */
export function stemOf(path: string): string {
  const name = basename(path)
    .replace(/\.so(?:\.\d+)*$/, '')
    .replace(/\.dll\.a$/, '')
    .replace(/\.(?:a|lib|dll|exe|sys|o|obj|lo)$/i, '');
  return name.replace(/^lib(?=.)/, '').replace(/[^\w.-]/g, '_');
}

/** Short names for objects that no two share: `parser.obj`, or `src_dec_vp8l.obj` where there are two of `vp8l`. */
export class ObjectNames {
  readonly #names = new Map<string, string>();
  readonly #taken = new Set<string>();

  constructor(keys: readonly string[]) {
    const stems = keys.map((key) => shortStem(key));
    for (const [index, key] of keys.entries()) {
      const stem = stems[index] ?? '';
      const isUnique = stems.filter((other) => other.toLowerCase() === stem.toLowerCase()).length === 1;
      this.#add(key, isUnique ? stem : longStem(key));
    }
  }

  of(key: string): string {
    return this.#names.get(key) ?? this.#add(key, shortStem(key));
  }

  #add(key: string, wanted: string): string {
    let name = `${wanted}.obj`;
    for (let i = 2; this.#taken.has(name.toLowerCase()); i++) name = `${wanted}-${i}.obj`;
    this.#taken.add(name.toLowerCase());
    this.#names.set(key, name);
    return name;
  }
}

function withoutExtension(path: string): string {
  const extension = extname(path);
  return extension === '' ? path : path.slice(0, -extension.length);
}

function shortStem(key: string): string {
  const stem = withoutExtension(basename(key).replace(/\)$/, ''));
  return stem.replace(/\.(?:c|cc|cpp|cxx)$/i, '').replace(/[^\w.+-]/g, '_');
}

function longStem(key: string): string {
  return withoutExtension(key).replace(/[^\w.+-]+/g, '_');
}

export function named(session: Session, names: ObjectNames, { key, hash }: ProductObject): NamedObject {
  return { name: names.of(key), file: storedObject(session, hash) };
}
