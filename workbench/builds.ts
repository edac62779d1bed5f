import { type ChildProcess, fork } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { BuildAnswer, BuildRequest } from './build-process.js';
import { WorkbenchError } from './error.js';
import { endProcess, type RunLimits } from './limits.js';
import type { BuildOutcome, SourcePair } from './protocol.js';
import { asFile, wholeFilePatch } from './whole-file-patch.js';

/** Images of one build. */
export interface Built {
  readonly base: string;
  readonly hotPatch?: string;
  /** The folder with the base's source. */
  readonly sources: string;
  readonly pair: SourcePair;
}

/** Builds base and hotpatch in a process of its own, one after the other; each in a folder that stays until the end. */
export class Builds implements Disposable {
  readonly #built = new Map<number, Built>();
  #process: ChildProcess | undefined;
  #last: Promise<unknown> = Promise.resolve();
  #count = 0;

  constructor(
    private readonly folder: string,
    private readonly limits: RunLimits,
  ) {}

  /**
   * Images of a build by its number.
   * @throws WorkbenchError `request` when there is none
   */
  get(build: unknown): Built {
    const built = typeof build === 'number' ? this.#built.get(build) : undefined;
    if (built === undefined) throw new WorkbenchError('request', `there is no build ${String(build)}`);
    return built;
  }

  /** Waits for builds that were asked for before. */
  make(pair: SourcePair): Promise<BuildOutcome> {
    const made = this.#last.then(() => this.#make(pair));
    this.#last = made.catch(() => undefined);
    return made;
  }

  [Symbol.dispose](): void {
    if (this.#process !== undefined) endProcess(this.#process);
  }

  async #make(pair: SourcePair): Promise<BuildOutcome> {
    const { name, base, fixed } = pair;
    const build = ++this.#count;
    const folder = join(this.folder, `build-${build}`);
    const sources = join(folder, 'source');
    mkdirSync(sources, { recursive: true });
    const file = join(sources, `${name}.c`);
    writeFileSync(file, asFile(base));
    const isSame = asFile(base) === asFile(fixed);
    const {
      outcome,
      base: image,
      hotPatch,
    } = await this.#ask({
      build,
      file,
      base,
      fixed,
      patch: isSame ? '' : wholeFilePatch(`${name}.c`, base, fixed),
      out: join(folder, 'out'),
      // Each is newer than those before, so that it can be applied over them.
      sequenceNumber: build,
    });
    if (image !== undefined)
      this.#built.set(build, { base: image, sources, pair, ...(hotPatch === undefined ? {} : { hotPatch }) });
    return outcome;
  }

  #ask(request: BuildRequest): Promise<BuildAnswer> {
    const child = this.#start();
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        endProcess(child);
        reject(new WorkbenchError('limit', `ended: the build took more than ${this.limits.seconds} s`));
      }, this.limits.seconds * 1000);
      const finish = () => {
        clearTimeout(timer);
        child.off('message', onMessage);
        child.off('exit', onExit);
      };
      const onMessage = (answer: BuildAnswer) => {
        finish();
        resolve(answer);
      };
      const onExit = () => {
        finish();
        this.#process = undefined;
        reject(new WorkbenchError('build', 'the process that builds has ended', 'try it again'));
      };
      child.on('message', onMessage);
      child.on('exit', onExit);
      child.send(request);
    });
  }

  #start(): ChildProcess {
    const running = this.#process;
    if (running?.connected === true) return running;
    // Of the sources, TypeScript is loaded through tsx.
    const isSource = import.meta.url.endsWith('.ts');
    const module = fileURLToPath(new URL(`./build-process.${isSource ? 'ts' : 'js'}`, import.meta.url));
    const loader = isSource ? ['--import', import.meta.resolve('tsx')] : [];
    const child = fork(module, [], {
      execArgv: [`--max-old-space-size=${this.limits.heap}`, ...loader],
      detached: true,
      stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
    });
    child.on('error', () => undefined);
    this.#process = child;
    return child;
  }
}
