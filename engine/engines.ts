import type { BootOptions, Kernel } from '../loader/index.js';
import { type EngineName, HotPatchError } from './core/index.js';
import { type EngineOptions, ModernEngine, type Patch } from './modern/index.js';
import { type HotPatch2003Options, type Patch2003, Server2003Engine } from './server-2003/index.js';

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
  return MAKERS[name](kernel, options);
}

type Fixed = Pick<BootOptions, 'hotPatchTableSize' | 'vbs'>;

/** What the systems of an engine are like, whatever else they are booted with. */
const FIXED: Readonly<Record<EngineName, Fixed>> = {
  modern: {},
  // Server 2003 knew neither an HPAT nor a Secure Kernel.
  'server-2003': { hotPatchTableSize: 0, vbs: false },
};

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
