import { type ArchitectureName, architectureNamed, isExecutable } from '../cpu/index.js';
import { HotPatchError, type Patch } from '../engine/index.js';
import { Lab } from '../lab/index.js';
import type { BootOptions, LoadedImage, Process, Thread } from '../loader/index.js';
import { firstInstruction } from './shapes/first-instructions.js';
import { buildBase, buildPatch } from './shapes/program.js';

/** Something that happens to a system with processes, a DLL and its patches. Numbers choose among what there is. */
export type SystemStep =
  | { readonly kind: ProcessStepKind; readonly which: number }
  | { readonly kind: 'loadPatch'; readonly sequenceNumber: 1 | 2 }
  | { readonly kind: 'unloadPatch' | 'unmapPatch' }
  | PartialStep;

/** An operation with something in between: after `steps` of its steps. Then it is left where it is, or goes on to its end. */
export interface PartialStep {
  readonly kind: 'partly';
  /** What is loaded; undefined: the patch in force is taken back. */
  readonly sequenceNumber?: 1 | 2 | undefined;
  readonly steps: number;
  readonly meanwhile: {
    readonly kind: 'startProcess' | 'endProcess' | 'finishThread';
    readonly which: number;
  };
  readonly isLeft: boolean;
}

export type ProcessStepKind = 'startProcess' | 'endProcess' | 'reloadDll' | 'stopThread' | 'finishThread';

/** The DLL, its patches, and what the function returns with none, the first, the second in force. */
export interface SequenceImages {
  readonly architecture: ArchitectureName;
  readonly base: Awaited<ReturnType<typeof buildBase>>;
  readonly patches: readonly Awaited<ReturnType<typeof buildPatch>>[];
  readonly results: readonly [number, number, number];
}

/** 32-bit ones are for WOW64 processes. */
export async function sequenceImages(architecture: ArchitectureName): Promise<SequenceImages> {
  const shape = firstInstruction(architecture, FIRST_INSTRUCTION);
  const base = await buildBase(architecture, shape.base, 'dll');
  const patches = await Promise.all(
    shape.patches.map((patch, index) => buildPatch(architecture, base, patch, index + 1, 'dll')),
  );
  return { architecture, base, patches, results: shape.results };
}

interface Instance {
  readonly process: Process;
  image: LoadedImage;
}

interface Stopped {
  readonly instance: Instance;
  readonly thread: Thread;
  /** What its call must return: it was stopped in a function of that version. */
  readonly result: number;
}

const MOST_PROCESSES = 4;

/** A system on which steps are performed one after the other, and that knows what must hold after each. */
export class Sequence implements Disposable {
  readonly #instances: Instance[] = [];
  readonly #stopped: Stopped[] = [];
  #count = 0;

  static async create(images: SequenceImages, boot: Partial<BootOptions> = {}): Promise<Sequence> {
    const architecture = architectureNamed(images.architecture).system;
    const lab = await Lab.boot({ architecture, processors: 2, memorySize: 32 * 1024 * 1024, ...boot });
    return new Sequence(lab, images);
  }

  private constructor(
    readonly lab: Lab<'modern'>,
    private readonly images: SequenceImages,
  ) {}

  /** Does nothing where the step makes no sense. Refusals of the engine are results, not errors. */
  perform(step: SystemStep): void {
    const { engine } = this.lab;
    switch (step.kind) {
      case 'startProcess':
        if (this.#instances.length < MOST_PROCESSES) this.#start();
        break;
      case 'endProcess':
        this.#end(step.which);
        break;
      case 'reloadDll':
        this.#reload(step.which);
        break;
      case 'stopThread':
        this.#stop(step.which);
        break;
      case 'finishThread':
        this.#finish(step.which);
        break;
      case 'loadPatch':
        this.#load(step.sequenceNumber);
        break;
      case 'unloadPatch':
        this.#try(this.#applied, (patch) => engine.unload(patch));
        break;
      case 'partly':
        this.#partly(step);
        break;
      case 'unmapPatch':
        this.#try(
          engine.patches.find(({ state }) => state === 'reverted'),
          (patch) => engine.unmapPatch(patch),
        );
    }
  }

  /** Each thing that is not as it must be, as a sentence. */
  violations(): string[] {
    const version = this.#applied?.sequenceNumber ?? 0;
    const wanted = this.images.results[version];
    const found: string[] = [];
    for (const { process, image } of this.#instances) {
      const result = this.#result(process, image);
      if (result !== wanted) found.push(`${process.name} returns ${result}, with patch ${version} in force`);
      const original = Buffer.from(image.codeBytes()).equals(image.codeBytesBeforePatch);
      if (version === 0 && !original) found.push(`${process.name} has not its original code`);
      if (version !== 0 && original) found.push(`${process.name} is not patched`);
    }
    found.push(...this.#strayImages());
    for (const table of this.lab.kernel.machine.pageTables)
      for (const { address, protection } of table.entries())
        if (isExecutable(protection) && /WRITE/.test(protection))
          found.push(`${table.name}: 0x${address.toString(16)} is ${protection}`);
    return found;
  }

  /** Patch images that are mapped for nobody, and applications whose images are gone. */
  #strayImages(): string[] {
    const { engine, kernel } = this.lab;
    const images = new Set(kernel.domains.flatMap((domain) => domain.images));
    const applications = engine.patches.flatMap((patch) => patch.applications);
    const wanted = new Set(applications.flatMap(({ base, loaded }) => [base.image, loaded]));
    const describe = ({ baseDllName, domain }: LoadedImage) => `${baseDllName} in ${domain.name}`;
    return [
      ...engine.patches
        .filter(({ state, applications: own }) => state === 'applied' && own.length === 0)
        .map(({ name }) => `${name} is applied nowhere`),
      ...[...wanted].filter((image) => !images.has(image)).map((image) => `${describe(image)} is gone`),
      ...[...images]
        .filter((image) => image.loadReason === 'PatchImage' && !wanted.has(image))
        .map((image) => `${describe(image)} is mapped for nobody`),
    ];
  }

  get #applied(): Patch | undefined {
    return this.lab.engine.patches.find(
      ({ state, applications }) => state === 'applied' && applications.length > 0,
    );
  }

  #start(): void {
    const wow64 = architectureNamed(this.images.architecture).system !== this.images.architecture;
    const process = this.lab.createProcess({ name: `process${this.#count++}.exe`, wow64 });
    this.#instances.push({ process, image: this.#loadDll(process) });
  }

  #loadDll(process: Process): LoadedImage {
    return process.loadImage(this.images.base.image, { name: 'base.dll' });
  }

  /** A process unloads the DLL, in which no thread stands, and loads it again. */
  #reload(which: number): void {
    const instance = this.#instances[which % Math.max(1, this.#instances.length)];
    if (instance === undefined || this.#stopped.some((stopped) => stopped.instance === instance)) return;
    instance.process.unloadImage(instance.image);
    instance.image = this.#loadDll(instance.process);
  }

  #end(which: number): void {
    const instance = this.#instances[which % Math.max(1, this.#instances.length)];
    if (instance === undefined) return;
    for (let index = this.#stopped.length - 1; index >= 0; index--)
      if (this.#stopped[index]?.instance === instance) this.#stopped.splice(index, 1);
    this.#instances.splice(this.#instances.indexOf(instance), 1);
    instance.process.terminate();
  }

  /** A thread stops behind the first instruction of the function that is in force. */
  #stop(which: number): void {
    const instance = this.#instances[which % Math.max(1, this.#instances.length)];
    if (instance === undefined || this.#stopped.length >= 2) return;
    const { image } = instance;
    const applied = this.#applied;
    const application = applied?.applications.find(({ base }) => base.image === image);
    const target = application?.loaded.symbol('g') ?? image.symbol('f', FIRST_INSTRUCTION);
    const thread = this.lab.kernel.createThread(image.symbol('caller'), [], { domain: image.domain });
    this.lab.run({ until: thread.reaches(target) });
    const result = this.images.results[application?.patch.sequenceNumber ?? 0] ?? -1;
    this.#stopped.push({ instance, thread, result });
  }

  #finish(which: number): void {
    const stopped = this.#stopped[which % Math.max(1, this.#stopped.length)];
    if (stopped === undefined) return;
    this.#stopped.splice(this.#stopped.indexOf(stopped), 1);
    this.lab.run({ until: stopped.thread.returns() });
    if (stopped.thread.result !== stopped.result)
      throw new Error(
        `a thread that began in other code returned ${stopped.thread.result}, not ${stopped.result}`,
      );
  }

  #load(sequenceNumber: 1 | 2): void {
    this.#try(this.images.patches[sequenceNumber - 1], (image) => this.lab.engine.load(image));
  }

  #partly(step: PartialStep): void {
    const { engine } = this.lab;
    const image = this.images.patches[(step.sequenceNumber ?? 0) - 1];
    const applied = this.#applied;
    const operation =
      image !== undefined
        ? engine.loadSteps(image)
        : applied === undefined
          ? undefined
          : engine.unloadSteps(applied);
    this.#try(operation, (steps) => {
      // While all processors are gathered nothing can happen.
      for (let count = 0; count < step.steps || this.lab.kernel.scheduler.gathered; count++)
        if (steps.next().done === true) return;
      this.perform(step.meanwhile);
      for (const { process, image: base } of this.#instances)
        if (!this.images.results.includes(this.#result(process, base)))
          throw new Error(`${process.name} returns what no code does, ${step.steps} step(s) on`);
      if (step.isLeft) steps.return(undefined as never);
      else for (let next = steps.next(); next.done !== true; next = steps.next());
    });
  }

  #result(process: Process, image: LoadedImage): number {
    return Number(process.call64(image.address(this.images.base.rva('caller'))) & 0xffff_ffffn);
  }

  #try<T>(subject: T | undefined, action: (subject: T) => void): void {
    if (subject === undefined) return;
    try {
      action(subject);
    } catch (error) {
      if (!(error instanceof HotPatchError)) throw error;
    }
  }

  [Symbol.dispose](): void {
    this.lab[Symbol.dispose]();
  }
}

/** Bytes of the first instruction of `f`. */
const FIRST_INSTRUCTION = 4;
