import type { Variable } from './program.js';

/**
 * What every image has for itself, whatever was patched.
 * - `own`: code may use its own image's, in base and patch alike.
 * - `asTheCaller`: what reads it and what checks it must use one image's: the reader that patched code calls stays inside.
 * - `base`: means the module that is deployed; patched code that uses its own image's is wrong.
 */
export type PrivateUse = 'own' | 'asTheCaller' | 'base';

interface PrivateData {
  readonly name: RegExp;
  readonly use: PrivateUse;
  readonly why: string;
}

/** Names of the C runtime, the linkers and the loader. Leading underscores are as on x64; x86 has one more. */
const PRIVATE: readonly PrivateData[] = [
  {
    name: /^_{1,3}security_cookie(_complement)?$/,
    use: 'asTheCaller',
    why: 'the stack cookie is random in each image: who puts it into a frame and who checks it must read one',
  },
  {
    name: /^_{1,3}stack_chk_guard$/,
    use: 'asTheCaller',
    why: 'the stack cookie of other runtimes',
  },
  {
    name: /^_{1,3}(guard|castguard)_/,
    use: 'own',
    why: 'the loader fills each image’s pointers and tables of Control Flow Guard',
  },
  { name: /^_{1,2}load_config_used$/, use: 'own', why: 'describes the image that it lies in' },
  { name: /^_{1,2}fltused$/, use: 'own', why: 'a mark for the linker' },
  {
    name: /^_{1,2}tls_(used|index|start|end)$/,
    use: 'base',
    why: 'each image has its own index and template of thread-local storage',
  },
  {
    name: /^_{2,3}(ImageBase|ImageBase__)$/,
    use: 'base',
    why: 'a module is named by the address of its headers',
  },
  {
    name: /^\?\?_R0/,
    use: 'own',
    why: 'type descriptors are compared by the names in them, not by their addresses',
  },
  {
    name: /^_{1,3}(DELAY_IMPORT_DESCRIPTOR|safe_se_handler|hp_lc)_/,
    use: 'own',
    why: 'the linker writes it for the image that it lies in',
  },
];

/** Undefined for data that belongs to the program. */
export function privateUse({ symbols }: Variable): PrivateData | undefined {
  return PRIVATE.find((entry) => symbols.some((symbol) => entry.name.test(symbol.name)));
}

/** Data that each image has for itself: the stack cookie, CFG's pointers, the load configuration. */
export function isImagePrivate(variable: Variable): boolean {
  return privateUse(variable) !== undefined;
}

/** Functions that linkers make: they are about the image that they lie in, and no change of them is a fix. */
const LINKER_MADE = /^(_{1,3}imp_+load_|_{1,3}tailMerge_|_{1,3}guard_|\$+icf|_{1,3}imp_)/;

/** Delay-load thunks and their like, by the linkers' names for them. */
export function isLinkerMade(name: string): boolean {
  return LINKER_MADE.test(name);
}
