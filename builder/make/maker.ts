import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { basename, extname, join, resolve } from 'node:path';
import { readObject } from '../../image/index.js';
import { attemptHotPatch } from '../build.js';
import { inlinedFunctions } from '../pdb-facts.js';
import type { BuildSource } from '../program.js';
import { type Base, type BaseInput, buildBase, openBase, rememberPatch, restore } from './base.js';
import { build } from './build-command.js';
import { compile } from './compile.js';
import { MakeError } from './error.js';
import { defaultExports, exportsOf } from './exports.js';
import { firstChanges } from './first-change.js';
import { type Linked, link, type NamedObject } from './link.js';
import { copyImage, type Marks, markObjects, unmarked } from './marks.js';
import {
  chooseProduct,
  named,
  ObjectNames,
  type Product,
  type ProductChoice,
  type ProductObject,
  stemOf,
} from './product.js';
import { mayReplay, recompile, searchFlags } from './replay.js';
import type { MadeBase, MadeHotPatch, MakeInput, MakeStage } from './request.js';
import { type Fixed, noChange, type Round, readSource, type Shape, wantedMarks } from './round.js';
import { type CompileRecord, readRecords, type Session } from './session.js';
import { applyPatches, type PatchedFile } from './tree.js';

/** One architecture. */
export class Maker {
  readonly #milliseconds: Partial<Record<MakeStage, number>> = {};
  readonly #out: string;
  readonly #work: string;
  #stage: MakeStage = 'base';

  constructor(
    private readonly input: MakeInput,
    private readonly baseInput: BaseInput,
    out: string,
  ) {
    this.#out = join(out, baseInput.architecture);
    this.#work = join(out, 'work', baseInput.architecture);
  }

  async make(): Promise<{ made: MadeHotPatch; patchedFiles: readonly PatchedFile[] }> {
    return this.#inWork(async () => {
      const base = await this.#timed('base', () => this.#base());
      try {
        const shape = await this.#shape(base, await this.#harness(base.session, base));
        const baseLinked = await this.#timed('base', () =>
          this.#link(base.session, shape, 'base', shape.baseObjects),
        );
        const fixed = await this.#timed('fixed', () => this.#fixed(base));
        return { made: await this.#finish(base, shape, baseLinked, fixed), patchedFiles: fixed.files };
      } finally {
        restore(base.folder, base.session.tree);
      }
    });
  }

  async makeBase(): Promise<MadeBase> {
    return this.#inWork(async () => {
      const base = await this.#timed('base', () => this.#base());
      const shape = await this.#shape(base, await this.#harness(base.session, base));
      const linked = await this.#link(base.session, shape, 'base', shape.baseObjects);
      const stem = shape.image.replace(/\.\w+$/, '');
      const path = copyImage(linked, this.#out, stem, extname(shape.image));
      this.input.onWritten?.(path);
      const { architecture } = base.session;
      return { architecture, base: path, baseWasCached: base.wasCached, exports: shape.exports };
    });
  }

  /** Its folder of objects, logs and links is there meanwhile. */
  async #inWork<T>(work: () => Promise<T>): Promise<T> {
    const { input } = this;
    mkdirSync(this.#out, { recursive: true });
    if (input.from === undefined) rmSync(this.#work, { recursive: true, force: true });
    mkdirSync(this.#work, { recursive: true });
    try {
      return await work();
    } finally {
      if (input.keepWork !== true) rmSync(join(this.#work, '..'), { recursive: true, force: true });
    }
  }

  #tell(text: string): void {
    this.input.onProgress?.({ architecture: this.baseInput.architecture, stage: this.#stage, text });
  }

  async #timed<T>(stage: MakeStage, work: () => Promise<T>): Promise<T> {
    this.#stage = stage;
    const start = performance.now();
    const result = await work();
    this.#milliseconds[stage] = (this.#milliseconds[stage] ?? 0) + (performance.now() - start);
    return result;
  }

  #jobs(): { jobs?: number } {
    return this.input.jobs === undefined ? {} : { jobs: this.input.jobs };
  }

  async #base(): Promise<Base> {
    this.#tell('building the base');
    const { from } = this.input;
    if (from === 'fixed' || from === 'marks') return openBase(this.baseInput, this.#state().base);
    const input = from === 'base' ? { ...this.baseInput, anew: true } : this.baseInput;
    return buildBase(input, { onLine: (line) => this.#tell(line), ...this.#jobs() });
  }

  /** What an earlier run has left. */
  #state(): MakeState {
    try {
      return JSON.parse(readFileSync(this.#stateFile(), 'utf8')) as MakeState;
    } catch {
      throw new MakeError({
        rule: 'stage',
        message: `--from ${this.input.from}: there is nothing of an earlier run in ${this.#work}`,
        hint: 'run it once with --keep and the same --out',
      });
    }
  }

  #stateFile(): string {
    return join(this.#work, 'state.json');
  }

  /** The harness's objects; compiled as the program's first source is. */
  async #harness(session: Session, base: Base): Promise<NamedObject[]> {
    const [first] = base.product.objects.flatMap(({ record }) => record ?? []);
    const flags = first === undefined ? [] : searchFlags(first, session.tree);
    const cwd = join(session.tree, first?.cwd ?? '.');
    const objects: NamedObject[] = [];
    for (const file of this.input.harness ?? []) {
      const output = join(this.#work, 'harness', `${objects.length}.obj`);
      const made = await compile(
        session,
        { flags: ['-O2', ...flags, `-I${session.tree}`] },
        resolve(file),
        output,
        cwd,
      );
      if (made.status !== 0)
        throw new MakeError({ rule: 'compile', message: `${file} cannot be compiled`, output: made.output });
      objects.push({ name: `harness-${basename(file).replace(/\.\w+$/, '')}.obj`, file: output });
    }
    return objects;
  }

  async #shape(base: Base, harness: readonly NamedObject[]): Promise<Shape> {
    const { product, session } = base;
    const names = new ObjectNames(product.objects.map(({ key }) => key));
    const { isDriver = false } = this.input;
    const extension = isDriver ? '.sys' : '.dll';
    const image = this.input.image ?? `${stemOf(product.path)}${extension}`;
    const given = this.input.exports;
    const own = given ?? (isDriver ? [] : defaultExports(session, product));
    const harnessExports = exportsOf(
      session,
      harness.map(({ file }) => file),
    );
    const exports = [...new Set([...own, ...harnessExports])];
    return { names, image, exports, harness, baseObjects: product.objects, product };
  }

  async #link(
    session: Session,
    shape: Shape,
    folder: string,
    objects: readonly ProductObject[],
    made?: readonly NamedObject[],
  ): Promise<Linked> {
    this.#tell(`linking ${shape.image}`);
    const files = made ?? objects.map((object) => named(session, shape.names, object));
    const isLazy = new Map(objects.map((object) => [shape.names.of(object.key), object.isLazy]));
    const { product } = shape;
    return link(session, {
      folder: join(this.#work, folder),
      image: shape.image,
      kind: this.input.isDriver === true ? 'driver' : 'dll',
      objects: [...files.filter(({ name }) => isLazy.get(name) !== true), ...shape.harness],
      lazyObjects: files.filter(({ name }) => isLazy.get(name) === true),
      libraries: product.libraries,
      ...(product.definition === undefined ? {} : { definition: product.definition }),
      exports: shape.exports,
      flags: product.flags,
      missing: 'imports',
    });
  }

  /** Applies the patch to the base's tree and builds what it changes. */
  async #fixed(base: Base): Promise<Fixed> {
    const { session, folder } = base;
    this.#tell('applying the patch');
    const files = applyPatches(session.tree, this.input.patches);
    rememberPatch(folder, files);
    const changed = new Set(files.map(({ path }) => path));
    const affected = base.product.objects.filter(
      ({ record }) => record?.dependencies.some((path) => changed.has(path)) ?? false,
    );
    const objects =
      this.input.from === 'marks'
        ? this.#state().fixedObjects
        : mayReplay(base, files, this.baseInput.how)
          ? await this.#replay(base, affected)
          : await this.#buildAgain(base);
    writeFileSync(
      this.#stateFile(),
      JSON.stringify({ base: folder, fixedObjects: objects } satisfies MakeState),
    );
    return { files, objects };
  }

  async #replay(base: Base, affected: readonly ProductObject[]): Promise<ProductObject[]> {
    const { session } = base;
    const again = new Map<string, CompileRecord>();
    for (const { key, record } of affected) {
      if (record === undefined || again.has(key)) continue;
      this.#tell(`compiling ${record.source}`);
      again.set(
        key,
        await recompile(session, record, join(this.#work, 'fixed-objects', `${again.size}.obj`)),
      );
    }
    return base.product.objects.map((object) => {
      const record = again.get(object.key);
      return record === undefined
        ? object
        : { ...object, hash: record.object, record: { ...record, output: object.key } };
    });
  }

  async #buildAgain(base: Base): Promise<readonly ProductObject[]> {
    const session = { ...base.session, records: join(base.folder, 'records-fixed') };
    rmSync(session.records, { recursive: true, force: true });
    await build(session, this.baseInput.how, this.baseInput.source, {
      log: join(base.folder, 'build', 'fixed.log'),
      onLine: (line) => this.#tell(line),
      ...this.#jobs(),
    });
    const records = [...base.records, ...readRecords(session.records)];
    const { choice } = this.baseInput;
    return chooseProduct(session, records, choice.products?.length ? choice : chosen(base.product)).objects;
  }

  async #finish(base: Base, shape: Shape, baseLinked: Linked, fixed: Fixed): Promise<MadeHotPatch> {
    const { session } = base;
    const before = new Map(shape.baseObjects.map((object) => [object.key, object.hash]));
    const changed = fixed.objects.filter(({ key, hash }) => before.get(key) !== hash);
    if (changed.length === 0 && fixed.objects.length === shape.baseObjects.length)
      throw noChange(shape, fixed);
    const stem = shape.image.replace(/\.\w+$/, '');
    const extension = extname(shape.image);
    const basePath = copyImage(baseLinked, this.#out, stem, extension);
    const baseSource = readSource(basePath);

    const attempts = await this.#timed('marks', () => this.#mark(base, shape, fixed, baseSource));
    const { plain, last } = attempts;
    const fixedPath = copyImage(plain.linked, join(this.#out, 'fixed'), stem, extension);
    const { built, report, functions } = last.attempt;
    const hotPatchPath =
      built === undefined
        ? undefined
        : copyImage(last.linked, this.#out, `${stem}_hp`, extension, built.bytes);
    for (const path of [basePath, fixedPath, hotPatchPath])
      if (path !== undefined) this.input.onWritten?.(path);
    const sources = new Map(fixed.objects.map(({ key, record }) => [key, record?.source ?? key]));
    return {
      architecture: session.architecture,
      verdict: built === undefined ? 'refused' : 'patched',
      base: basePath,
      fixed: fixedPath,
      ...(hotPatchPath === undefined ? {} : { hotPatch: hotPatchPath }),
      baseWasCached: base.wasCached,
      changedSources: [...new Set(changed.map(({ key }) => sources.get(key) ?? key))],
      marked: [...last.marks].map(([key, names]) => ({
        object: shape.names.of(key),
        source: sources.get(key) ?? key,
        functions: [...names].sort(),
      })),
      renamedReferences: last.renamed,
      missingImports: [...new Set([...baseLinked.missing, ...last.linked.missing])].sort(),
      rounds: last.round,
      report,
      functions,
      firstChanges: await firstChanges(baseSource, plain.source, plain.attempt.functions),
      sizes: {
        base: readFileSync(basePath).length,
        ...(hotPatchPath === undefined ? {} : { hotPatch: readFileSync(hotPatchPath).length }),
      },
      milliseconds: this.#milliseconds,
    };
  }

  /** Compiles changed objects for hotpatching, until the builder asks for nothing more. */
  async #mark(
    base: Base,
    shape: Shape,
    fixed: Fixed,
    baseSource: BuildSource,
  ): Promise<{ plain: Round; last: Round }> {
    const MOST_ROUNDS = 8;
    let marks: Marks = new Map();
    const plain = await this.#round(base, shape, fixed, baseSource, marks, 0);
    this.#assertKnown(shape, plain);
    this.#assertChange(shape, fixed, plain);
    let last = plain;
    for (let round = 1; round <= MOST_ROUNDS; round++) {
      const wanted = wantedMarks(shape, fixed.objects, last, marks);
      if (wanted === undefined) break;
      marks = wanted;
      last = await this.#round(base, shape, fixed, baseSource, marks, round);
    }
    return { plain, last };
  }

  async #round(
    base: Base,
    shape: Shape,
    fixed: Fixed,
    baseSource: BuildSource,
    marks: Marks,
    round: number,
  ): Promise<Round> {
    const { session } = base;
    this.#tell(
      round === 0
        ? 'comparing'
        : `marking ${[...marks.values()].reduce((sum, { size }) => sum + size, 0)} functions, round ${round}`,
    );
    const folder = join(this.#work, `marked-${round}`);
    const { objects, renamed } = await markObjects(
      session,
      folder,
      shape.names,
      fixed.objects,
      marks,
      this.input.jobs,
    );
    const linked = await this.#link(session, shape, `link-${round}`, fixed.objects, objects);
    const own = objects.filter(({ file }) => file.startsWith(folder));
    const source: BuildSource = {
      ...readSource(linked.image),
      objects: own.map(({ file }) => readObject(readFileSync(file), { file })),
    };
    const attempt = attemptHotPatch({
      base: baseSource,
      fixed: source,
      ...(this.input.allow === undefined ? {} : { allow: this.input.allow }),
      ...(this.input.sequenceNumber === undefined ? {} : { sequenceNumber: this.input.sequenceNumber }),
      onProgress: (done, all) => this.#tell(`${done} of ${all} functions compared`),
    });
    const ignored = own.flatMap(({ name, file }) => {
      const key = fixed.objects.find((object) => shape.names.of(object.key) === name)?.key ?? '';
      return unmarked(file, marks.get(key) ?? []);
    });
    return { marks, linked, source, attempt, renamed, round, ignored };
  }

  /** A name that the user gave must mean something: a function of the fixed build, or one that was inlined in it. */
  #assertKnown(shape: Shape, { attempt, linked }: Round): void {
    const wanted = this.input.functions ?? [];
    if (wanted.length === 0) return;
    const { pdb } = readSource(linked.image);
    const inlined = pdb === undefined ? [] : [...inlinedFunctions(pdb).values()];
    const names = new Set([
      ...attempt.functions.map(({ name }) => name),
      ...inlined.flatMap((copies) => [...copies]),
    ]);
    const unknown = wanted.find((name) => !names.has(name));
    if (unknown !== undefined)
      throw new MakeError({
        rule: 'function.unknown',
        message: `--functions ${unknown}: ${shape.image} has no function of this name, and no function holds a copy of one`,
        hint: 'check the spelling; leave --functions out to have every change found',
      });
  }

  /** Other bytes in the objects may come from comments and line numbers only. */
  #assertChange(shape: Shape, fixed: Fixed, { attempt }: Round): void {
    const refusals = attempt.report.findings.filter(({ severity }) => severity === 'refusal');
    if (refusals.length === 0 || refusals.some(({ rule }) => rule !== 'patch.empty')) return;
    throw noChange(shape, fixed);
  }
}

/** The same product once more, unless it is all objects. */
function chosen({ path }: Product): ProductChoice {
  return /\.(?:o|obj|lo)$/i.test(path) ? {} : { products: [path] };
}

/** What a run leaves for `from` of a later one. */
interface MakeState {
  /** Folder of the base in the cache. */
  readonly base: string;
  readonly fixedObjects: readonly ProductObject[];
}
