import type { ArchitectureName } from '../cpu/index.js';
import { assertArgument, type BootOptions, type Kernel, optionsOf, type Wanted } from '../loader/index.js';
import { type EngineName, HotPatchError } from './core/index.js';
import { ENGINE_OPTIONS, type EngineOptions, ModernEngine, type Patch } from './modern/index.js';
import {
  HOT_PATCH_2003_OPTIONS,
  type HotPatch2003Options,
  type Patch2003,
  Server2003Engine,
} from './server-2003/index.js';

/** Each engine, its options, and its hotpatches, by the engine's name. */
export interface Engines {
  /** Of Server 2022, Windows 11 and later. */
  readonly modern: { readonly engine: ModernEngine; readonly options: EngineOptions; readonly patch: Patch };
  /** Of Server 2003 SP1. */
  readonly 'server-2003': {
    readonly engine: Server2003Engine;
    readonly options: HotPatch2003Options;
    readonly patch: Patch2003;
  };
}

type Makers = {
  readonly [N in EngineName]: (kernel: Kernel, options?: Engines[N]['options']) => Engines[N]['engine'];
};

const MAKERS: Makers = {
  modern: (kernel, options) => new ModernEngine(kernel, options),
  'server-2003': (kernel, options) => new Server2003Engine(kernel, options),
};

/** The engine of a kernel that was booted with {@link bootOptionsFor} it. */
export function createEngine<N extends EngineName>(
  name: N,
  kernel: Kernel,
  options?: Engines[N]['options'],
): Engines[N]['engine'] {
  assertEngineOptions(name, options);
  return MAKERS[name](kernel, options);
}

type Fixed = Pick<BootOptions, 'hotPatchTableSize' | 'vbs'>;

/** What the systems of an engine are like, whatever else they are booted with. */
const FIXED: Readonly<Record<EngineName, Fixed>> = {
  modern: {},
  // Server 2003 knew neither an HPAT nor a Secure Kernel.
  'server-2003': { hotPatchTableSize: 0, vbs: false },
};

/** Processors that each engine's systems were made for (of those there are here: Server 2003 ran on IA-64, too). */
const RUNS_ON: Readonly<Record<EngineName, Readonly<Record<ArchitectureName, boolean>>>> = {
  modern: { x64: true, x86: true, arm64: true },
  'server-2003': { x64: true, x86: true, arm64: false },
};

const OPTIONS: Readonly<Record<EngineName, Wanted>> = {
  modern: optionsOf(ENGINE_OPTIONS),
  'server-2003': optionsOf(HOT_PATCH_2003_OPTIONS),
};

/** @throws KernelError `boot.option` when the engine has no such option, or it cannot have that value */
export function assertEngineOptions(name: EngineName, options: unknown): void {
  if (options !== undefined) assertArgument(OPTIONS[name], options, 'engineOptions', 'boot.option');
}

/**
 * The options that a system of an engine boots with.
 * @param overrides take precedence, but make no other system of it
 * @throws HotPatchError `engine.boot` when there is no such engine, or the options ask for what its systems never had
 */
export function bootOptionsFor(
  name: EngineName,
  options: BootOptions,
  overrides: Partial<BootOptions> = {},
): BootOptions {
  if (!Object.hasOwn(FIXED, name))
    throw new HotPatchError({
      rule: 'engine.boot',
      status: 'STATUS_INVALID_PARAMETER',
      place: 'engine',
      message: `there is no engine '${name}'`,
      hint: `there are: ${Object.keys(FIXED).join(', ')}`,
    });
  const fixed = FIXED[name];
  if (Object.hasOwn(RUNS_ON[name], options.architecture) && !RUNS_ON[name][options.architecture])
    throw unfit(name, `architecture ${options.architecture}`);
  const { hotPatchTableSize = fixed.hotPatchTableSize, vbs = fixed.vbs } = options;
  if (fixed.hotPatchTableSize !== undefined && hotPatchTableSize !== fixed.hotPatchTableSize)
    throw unfit(name, `hotPatchTableSize ${hotPatchTableSize}`);
  if (name !== 'modern' && options.windowsBuild !== undefined)
    throw unfit(name, `windowsBuild ${options.windowsBuild}`);
  if (fixed.vbs !== undefined && vbs !== fixed.vbs) throw unfit(name, `vbs ${vbs}`);
  return { ...options, ...overrides, ...fixed };
}

function unfit(name: EngineName, asked: string): HotPatchError {
  return new HotPatchError({
    rule: 'engine.boot',
    status: 'STATUS_INVALID_PARAMETER',
    place: asked,
    message: `a system with the engine '${name}' cannot be booted with ${asked}`,
    hint: 'leave the option out, or choose the other engine',
  });
}
