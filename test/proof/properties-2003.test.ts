import fc from 'fast-check';
import { HotPatchError, type LoadedImage, type Patch2003, type Process, type Thread } from 'hotpatch-lab';
import type { PeImage } from 'hotpatch-lab/image';
import { describe, expect, it } from 'vitest';
import {
  buildPatch,
  indirectHooks,
  type Processor,
  type Running,
  run,
} from '../engine/server-2003/support.js';

type Step =
  | {
      readonly kind: 'load' | 'enable' | 'disable' | 'start' | 'end' | 'stand' | 'goOn';
      readonly which: number;
    }
  | { readonly kind: 'restoreLeft' }
  | PartialStep;

/** An operation with something in between: after `steps` of its steps. Then it is left where it is, or goes on to its end. */
interface PartialStep {
  readonly kind: 'partly';
  readonly what: 'load' | 'enable' | 'disable';
  readonly which: number;
  readonly steps: number;
  readonly meanwhile: { readonly kind: 'start' | 'end' | 'goOn'; readonly which: number };
  readonly isLeft: boolean;
}

interface Member {
  readonly process: Process;
  readonly module: LoadedImage;
}

/** What `f` returns without a hotpatch; each hotpatch has a result of its own. */
const ORIGINAL = 1;
const RESULTS = [9, 17, 33] as const;
const MOST_PROCESSES = 3;

/** A server with processes that have the module, hotpatches for it, and threads that stand in jumps before its function. */
class Sequence implements Disposable {
  readonly #members: Member[] = [];
  readonly #standing: { readonly thread: Thread; readonly member: Member }[] = [];
  readonly #patches: (Patch2003 | undefined)[] = RESULTS.map(() => undefined);
  #count = 0;

  private constructor(
    private readonly running: Running,
    private readonly processor: Processor,
    private readonly images: readonly PeImage[],
  ) {}

  static async create(processor: Processor): Promise<Sequence> {
    const running = await run({ processor, processes: 0 });
    const { target } = running;
    const images = RESULTS.map((result, index) =>
      buildPatch(target, {
        processor,
        result,
        name: `fix${result}.dll`,
        // The last one of x64 jumps through a pointer.
        ...(processor === 'x64' && index === 2
          ? {
              section: ({ good, layout }) => ({
                ...good,
                hooks: indirectHooks(target.rva('f'), layout.rva('g'), target.rva('cells')),
              }),
            }
          : {}),
      }),
    );
    return new Sequence(running, processor, images);
  }

  /** Does nothing where the step makes no sense. A refusal is a result, and changes no code. */
  perform(step: Step): void {
    const { engine } = this.running;
    switch (step.kind) {
      case 'load': {
        const index = step.which % RESULTS.length;
        const image = this.images[index];
        if (image === undefined || this.#patches[index] !== undefined) return;
        this.#try(() => {
          this.#patches[index] = engine.load(image);
        });
        return;
      }
      case 'enable':
      case 'disable': {
        const patch = this.#patches[step.which % RESULTS.length];
        const { kind } = step;
        if (patch !== undefined)
          this.#try(() => (kind === 'enable' ? engine.enable(patch) : engine.unload(patch)));
        return;
      }
      case 'restoreLeft':
        this.#try(() => engine.restoreLeftHooks());
        return;
      case 'start':
        if (this.#members.length < MOST_PROCESSES) this.#start();
        return;
      case 'end':
        this.#end(pick(this.#members, step.which));
        return;
      case 'stand':
        this.#stand(pick(this.#members, step.which));
        return;
      case 'goOn':
        this.#goOn(step.which);
        return;
      case 'partly':
        this.#partly(step);
    }
  }

  violations(): string[] {
    return this.#members.flatMap((member) => {
      const { process, module } = member;
      const list = this.running.engine.patchList(module);
      const newest = list.findLast(({ active }) => active);
      const wanted = newest === undefined ? ORIGINAL : RESULTS[this.#patches.indexOf(newest.patch)];
      const result = Number(process.call64(module.symbol('f')));
      const isOriginal = Buffer.from(module.codeBytes()).equals(module.codeBytesBeforePatch);
      const inForce = list.some(({ hooksInForce }) => hooksInForce.length > 0);
      const images = process.images.filter(({ loadReason }) => loadReason === 'PatchImage');
      return [
        ...(result === wanted ? [] : [`${process.name} returns ${result}, not ${wanted}`]),
        ...(isOriginal === !inForce
          ? []
          : [`${process.name}: original is ${isOriginal}, hooks are ${inForce}`]),
        ...(images.length === list.length ? [] : [`${process.name} has ${images.length} patch image(s)`]),
      ];
    });
  }

  #start(): void {
    const { lab, target } = this.running;
    const process = lab.createProcess({ name: `p${this.#count++}.exe`, wow64: this.processor === 'x86' });
    const module = process.loadImage(target.image, { symbols: target.symbols, initialize: false });
    this.#members.push({ process, module });
  }

  #end(member: Member | undefined): void {
    if (member === undefined) return;
    this.#members.splice(this.#members.indexOf(member), 1);
    for (const one of this.#standing.filter((other) => other.member === member))
      this.#standing.splice(this.#standing.indexOf(one), 1);
    member.process.terminate();
  }

  /** A thread stands at the jump before the function, where there is one. */
  #stand(member: Member | undefined): void {
    if (member === undefined || this.#standing.length >= 2) return;
    const { module } = member;
    const hooks = this.running.engine.patchList(module).flatMap(({ hooksInForce }) => hooksInForce);
    const jump = hooks.findLast(({ target }) => target === 'padding');
    if (jump === undefined) return;
    const thread = this.running.lab.kernel.createThread(jump.location, [], { domain: module.domain });
    this.#standing.push({ thread, member });
  }

  /** It returns what some code returned, old or new. */
  #goOn(which: number): void {
    const one = pick(this.#standing, which);
    if (one === undefined) return;
    this.#standing.splice(this.#standing.indexOf(one), 1);
    const { thread } = one;
    this.running.lab.run({ until: thread.returns() });
    expect([ORIGINAL, ...RESULTS]).toContain(thread.result);
  }

  #partly(step: PartialStep): void {
    const { engine } = this.running;
    const index = step.which % RESULTS.length;
    const [image, patch] = [this.images[index], this.#patches[index]];
    const begin = () => {
      if (step.what === 'enable') return patch && engine.enableSteps(patch);
      if (step.what === 'disable') return patch && engine.unloadSteps(patch);
      return patch === undefined && image !== undefined ? engine.loadSteps(image) : undefined;
    };
    this.#try(() => {
      const steps = begin();
      if (steps === undefined) return;
      let isSettled = false;
      for (let count = 0; count < step.steps; count++) {
        const next = steps.next();
        if (next.done === true) return;
        isSettled ||= next.value.kind === 'rendezvous' && next.value.phase === 'end';
      }
      this.perform(step.meanwhile);
      for (const { process, module } of this.#members)
        expect([ORIGINAL, ...RESULTS]).toContain(Number(process.call64(module.symbol('f'))));
      if (step.isLeft) throw new Left(steps, isSettled);
      while (steps.next().done !== true);
    });
    this.#patches[index] = engine.patches.find((known) => known.image === image);
  }

  #try(action: () => void): void {
    const known = [...this.#members];
    const code = () =>
      known
        .filter((member) => this.#members.includes(member))
        .map(
          ({ process, module }) => [process.name, Buffer.from(module.codeBytes()).toString('hex')] as const,
        );
    const before = code();
    try {
      action();
    } catch (error) {
      if (error instanceof Left) {
        error.steps.return(undefined as never);
        // The processors were let go: it is done, and `violations` sees what it has come to.
        if (error.isSettled) return;
      } else if (!(error instanceof HotPatchError)) throw error;
      expect(code()).toEqual(
        before.filter(([name]) => this.#members.some(({ process }) => process.name === name)),
      );
    }
  }

  [Symbol.dispose](): void {
    this.running[Symbol.dispose]();
  }
}

/** An operation is left where it is. */
class Left extends Error {
  constructor(
    readonly steps: Generator<unknown, unknown>,
    readonly isSettled: boolean,
  ) {
    super();
  }
}

function pick<T>(list: readonly T[], which: number): T | undefined {
  return list[which % Math.max(1, list.length)];
}

const which = fc.nat({ max: 2 });
const oneOf = (...kinds: Exclude<Step['kind'], 'restoreLeft' | 'partly'>[]) =>
  fc.record({ kind: fc.constantFrom(...kinds), which });
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 3, arbitrary: oneOf('start', 'load') },
  { weight: 4, arbitrary: oneOf('enable', 'disable') },
  { weight: 2, arbitrary: oneOf('stand', 'goOn') },
  { weight: 1, arbitrary: oneOf('end') },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant('partly' as const),
      what: fc.constantFrom('load' as const, 'enable' as const, 'disable' as const),
      which,
      steps: fc.nat({ max: 24 }),
      meanwhile: oneOf('start', 'end', 'goOn') as fc.Arbitrary<PartialStep['meanwhile']>,
      isLeft: fc.boolean(),
    }),
  },
  { weight: 1, arbitrary: fc.constant({ kind: 'restoreLeft' as const }) },
);

const { HOTPATCH_PROOF, HOTPATCH_SEED = '20', HOTPATCH_PATH } = process.env;
const parameters = {
  numRuns: HOTPATCH_PROOF === 'all' ? 2000 : 30,
  seed: Number(HOTPATCH_SEED),
  ...(HOTPATCH_PATH === undefined ? {} : { path: HOTPATCH_PATH }),
};

describe.each(['x86', 'x64'] as const)('whatever happens on a Server 2003, %s', (processor) => {
  it('every process runs its newest hotpatch in force, or its original code', async () => {
    const holds = async (steps: readonly Step[]) => {
      using sequence = await Sequence.create(processor);
      for (const one of steps) {
        sequence.perform(one);
        expect(sequence.violations()).toEqual([]);
      }
    };
    await fc.assert(fc.asyncProperty(fc.array(step, { maxLength: 16 }), holds), parameters);
  });
});
