import type { SymbolInfo } from '../image/index.js';

/**
 * Symbols inside functions: where a handler goes on, and tables of the C++ runtime. A map lists them among the static
 * symbols, and nothing tells them from functions but their names (LLVM: WinException.cpp, AsmPrinter).
 */
const LABEL =
  /^(\$ehgcr_|\$cppxdata\$|\$stateUnwindMap\$|\$tryMap\$|\$handlerMap\$|\$ip2state\$|\$LN\d|\.L|Ltmp|\?(catch|dtor)\$\d+@)/;

/** Is it a place in a function, by its name? */
export function isLabel({ name, rawName }: SymbolInfo): boolean {
  return LABEL.test(name) || (rawName !== undefined && LABEL.test(rawName));
}

/** Names that compilers number: the same number means another thing when the source before it changes. */
const NUMBERS: readonly (readonly [RegExp, string])[] = [
  // Lambdas and unnamed types of Clang and Microsoft's compiler.
  [/<lambda_[0-9a-f]+>/g, '<lambda>'],
  [/<(unnamed-type-)?\$S?\d+>/g, '<unnamed>'],
  [/\$_\d+/g, '$_'],
  // Anonymous namespaces: a hash of the path of the source.
  [/\?A0x[0-9a-f]+@/gi, '?A0x@'],
  // Scopes in decorated names: `?1??f@@`.
  [/\?(\d|[A-P]+@)\?\?/g, '?#??'],
  // LLVM: parts of split variables, statics of one name in one function, copies of functions, shrunk flags.
  [/\.llvm\.\d+$/, ''],
  [/(\.\d+)+$/, ''],
  [/\.b$/, ''],
  [/^(OUTLINED_FUNCTION_|__unnamed_|__cxx_global_var_init)\d*$/, '$1'],
  [/^(switch\.table\.|str|\.str)(.*?)[.\d]*$/, '$1$2'],
];

/** The name without the compiler's numbers; the same as `name` when it has none. */
export function stemOf(name: string): string {
  return NUMBERS.reduce((text, [pattern, replacement]) => text.replace(pattern, replacement), name);
}

/** A static local variable as map files call it: `function.variable`. */
export function scopedName({ name, scope }: SymbolInfo): string {
  return scope === undefined ? name : `${scope}.${name}`;
}

/** `function.variable` however the source of the symbol writes it: PDBs put `function::variable` when it was inlined. */
export function sourceName(symbol: SymbolInfo): string {
  return scopedName(symbol).replace(/::(?=[^:]*$)/, '.');
}

/** A name that means one thing in the whole image, or in one object file. */
export function linkerName(symbol: SymbolInfo): string {
  const { isStatic, name, rawName, module = '?' } = symbol;
  if (!isStatic) return rawName ?? name;
  // Static C++ functions of one name differ in their parameters, which only a map tells.
  return rawName?.startsWith('?') ? `${stemOf(rawName)} of ${module}` : staticName(symbol);
}

export function staticName(symbol: SymbolInfo): string {
  return `${sourceName(symbol)} of ${symbol.module ?? '?'}`;
}

/** A part of a variable that the optimiser has split: `s.0`. The number counts the parts that are in use, not the members. */
export function isPart({ name, rawName }: SymbolInfo): boolean {
  return /[^.]\.\d+$/.test(rawName === undefined || rawName.startsWith('_') ? name : rawName);
}

/** The function of a static local variable by its decorated name: `?f@@9` of `?once@?1??f@@9@4HA` and of its guard. */
export function decoratedScope({ name, rawName = name }: SymbolInfo): string | undefined {
  return /^\?[^?]*@\?(?:\d|[A-P]+@)\?(\?.*)@[45]/.exec(rawName)?.[1];
}

/** The word of bits that tell which static locals of a function are initialised, in the order of its source; `$TSS0`: one's. */
export function isGuard({ name, rawName = name }: SymbolInfo): boolean {
  return /^\?\$(S|TSS)\d+@/.test(rawName);
}
