import { readFileSync } from 'node:fs';
import { basename, resolve } from 'node:path';

/** What a compiler was asked for, in the manner of gcc. */
export interface CompilerRequest {
  readonly mode: 'compile' | 'link' | 'preprocess' | 'assemble' | 'syntax' | 'query';
  readonly sources: readonly string[];
  /** -o */
  readonly output?: string;
  /** Flags for the compiler, without those that make no sense for Windows or for hotpatching. */
  readonly flags: readonly string[];
  /** Where the dependencies shall be written. */
  readonly dependencyFile?: string;
  /** In order: objects, libraries, `-lNAME`. */
  readonly linkInputs: readonly string[];
  readonly libraryFolders: readonly string[];
  /** For lld-link, as they came: `-Wl,…`, `-Xlinker`. */
  readonly linkerFlags: readonly string[];
  readonly isShared: boolean;
}

/** Flags that the target does not know, that would hide code from the comparison, or that make.ts decides. */
const DROPPED =
  /^-(?:fPIC|fpic|fPIE|fpie|fno-pic|fno-PIC|fno-pie|fno-PIE|pie|no-pie|fstack-protector\S*|fstack-clash-protection|fcf-protection\S*|flto\S*|fno-lto|ffat-lto-objects|fuse-ld=\S*|march=native|mtune=\S*|m32|m64|m16|mx32|mabi=\S*|rdynamic|static|static-libgcc|static-libstdc\+\+|shared-libgcc|mwindows|mconsole|mthreads|municode|mdll|pthread|pipe|Werror\S*|pedantic-errors|fsanitize\S*|fprofile\S*|ftest-coverage|coverage|-coverage|g|g[0-9]|ggdb\S*|gdwarf\S*|gsplit-dwarf|gz\S*|fdebug-prefix-map=\S*|ffile-prefix-map=\S*|fmacro-prefix-map=\S*|fvisibility=\S*|fvisibility-inlines-hidden|fno-semantic-interposition|fipa-\S*|ftrivial-auto-var-init=\S*|save-temps\S*|s|nostartfiles|nodefaultlibs|nostdlib|mno-cygwin)$/;

/** Flags whose value is the next argument. */
const WITH_VALUE = new Set([
  '-D',
  '-U',
  '-I',
  '-include',
  '-imacros',
  '-isystem',
  '-idirafter',
  '-iquote',
  '-iprefix',
  '-isysroot',
  '-x',
  '-Xclang',
  '-Xpreprocessor',
  '-Xassembler',
  '-mllvm',
  '-arch',
  '--param',
  '-target',
]);
const DROPPED_WITH_VALUE = new Set([
  '-target',
  '-arch',
  '--param',
  '-isysroot',
  '-z',
  '-T',
  '-u',
  '-soname',
  '-h',
]);

const SOURCE = /\.(?:c|i|cc|cpp|cxx|c\+\+|C|ii|s|S|sx|m)$/;
const QUERY =
  /^(?:-dump\S+|-print-\S+|--print-\S+|--version|-V|-qversion|-version|--help|-###|--target-help)$/;

/** Reads `@FILE` arguments. */
export function expandResponseFiles(args: readonly string[], cwd: string): string[] {
  return args.flatMap((arg) => {
    if (!arg.startsWith('@') || arg.length === 1) return [arg];
    try {
      return expandResponseFiles(splitWords(readFileSync(resolve(cwd, arg.slice(1)), 'utf8')), cwd);
    } catch {
      return [arg];
    }
  });
}

/** Splits text as a shell would: spaces, quotes, backslashes. */
export function splitWords(text: string): string[] {
  const words: string[] = [];
  let word: string | undefined;
  let quote = '';
  for (let i = 0; i < text.length; i++) {
    const character = text[i] ?? '';
    if (quote !== '') {
      if (character === quote) quote = '';
      else if (character === '\\' && quote === '"' && /["\\$`]/.test(text[i + 1] ?? ''))
        word += text[++i] ?? '';
      else word += character;
    } else if (/\s/.test(character)) {
      if (word !== undefined) words.push(word);
      word = undefined;
    } else if (character === '"' || character === "'") {
      quote = character;
      word ??= '';
    } else word = (word ?? '') + (character === '\\' ? (text[++i] ?? '') : character);
  }
  if (word !== undefined) words.push(word);
  return words;
}

/** What the arguments of a compiler driver ask for. */
export function parseCompilerArguments(args: readonly string[], cwd: string): CompilerRequest {
  const all = expandResponseFiles(args, cwd);
  const flags: string[] = [];
  const sources: string[] = [];
  const linkInputs: string[] = [];
  const libraryFolders: string[] = [];
  const linkerFlags: string[] = [];
  let mode: CompilerRequest['mode'] = 'link';
  let output: string | undefined;
  let dependencyFile: string | undefined;
  let writesDependencies = false;
  let isShared = false;
  let isQuery = all.length === 0;
  for (let i = 0; i < all.length; i++) {
    const arg = all[i] ?? '';
    const value = () => all[++i] ?? '';
    if (arg === '-c') mode = 'compile';
    else if (arg === '-S') mode = 'assemble';
    else if (arg === '-E' || arg === '-M' || arg === '-MM') {
      mode = 'preprocess';
      if (arg !== '-E') flags.push(arg);
    } else if (arg === '-fsyntax-only') mode = 'syntax';
    else if (arg === '-o') output = value();
    else if (arg.startsWith('-o') && arg.length > 2 && !arg.startsWith('-obj')) output = arg.slice(2);
    else if (arg === '-shared' || arg === '--shared' || arg === '-dynamiclib') isShared = true;
    else if (arg === '-MF') dependencyFile = value();
    else if (arg.startsWith('-MF')) dependencyFile = arg.slice(3);
    else if (arg === '-MD' || arg === '-MMD') {
      writesDependencies = true;
      flags.push(arg);
    } else if (arg === '-MT' || arg === '-MQ') flags.push(arg, value());
    else if (arg === '-l') linkInputs.push(`-l${value()}`);
    else if (arg.startsWith('-l')) linkInputs.push(arg);
    else if (arg === '-L') libraryFolders.push(value());
    else if (arg.startsWith('-L')) libraryFolders.push(arg.slice(2));
    else if (arg === '-Xlinker') linkerFlags.push(value());
    else if (arg.startsWith('-Wl,')) linkerFlags.push(...arg.slice(4).split(','));
    else if (QUERY.test(arg)) {
      isQuery = true;
      flags.push(arg);
    } else if (DROPPED_WITH_VALUE.has(arg)) i++;
    else if (DROPPED.test(arg) || arg.startsWith('--target=')) continue;
    else if (WITH_VALUE.has(arg)) flags.push(arg, value());
    else if (arg === '-') {
      sources.push(arg);
    } else if (arg.startsWith('-')) flags.push(arg);
    else if (SOURCE.test(arg) || isLanguageGiven(flags)) sources.push(arg);
    else linkInputs.push(arg);
  }
  if (isQuery || (sources.length === 0 && mode !== 'link')) mode = 'query';
  if (sources.length === 0 && linkInputs.length === 0) mode = 'query';
  if (writesDependencies && dependencyFile === undefined && sources[0] !== undefined)
    dependencyFile = `${(output ?? basename(sources[0])).replace(/\.[^./]*$/, '')}.d`;
  return {
    mode,
    sources,
    ...(output === undefined ? {} : { output }),
    flags,
    ...(dependencyFile === undefined ? {} : { dependencyFile }),
    linkInputs,
    libraryFolders,
    linkerFlags,
    isShared,
  };
}

/** `-x c` before it says what a file is, whatever its name. */
function isLanguageGiven(flags: readonly string[]): boolean {
  const at = flags.lastIndexOf('-x');
  return at >= 0 && flags[at + 1] !== 'none';
}

/** What `hotpatch-link` was asked for, in the manner of link.exe. */
export interface LinkerRequest {
  readonly output: string;
  readonly isDll: boolean;
  readonly inputs: readonly string[];
  readonly libraryFolders: readonly string[];
  readonly flags: readonly string[];
}

/** Options that make.ts decides. */
const LINKER_DROPPED =
  /^[/-](?:nologo|nodefaultlib|dynamicbase|nxcompat|guard|incremental|debug|release|brepro|opt|pdb|pdbaltpath|pdbsourcepath|functionpadmin|hotpatchcompatible|machine|map|errorlimit|implib|manifest\w*|subsystem|entry|ltcg|largeaddressaware|tlbid|version|verbose|time|threads)(?:[:,]|$)/i;

export function parseLinkerArguments(args: readonly string[], cwd: string): LinkerRequest {
  const inputs: string[] = [];
  const flags: string[] = [];
  const libraryFolders: string[] = [];
  let output = 'a.exe';
  let isDll = false;
  for (const arg of expandResponseFiles(args, cwd)) {
    const out = /^[/-]out:(.*)$/i.exec(arg)?.[1];
    const folder = /^[/-]libpath:(.*)$/i.exec(arg)?.[1];
    if (out !== undefined) output = out;
    else if (folder !== undefined) libraryFolders.push(folder);
    else if (/^[/-]dll$/i.test(arg)) isDll = true;
    else if (LINKER_DROPPED.test(arg)) continue;
    else if (arg.startsWith('/') && !/^\/[^:]*\/|\.(?:obj|o|lib|a|res|def)$/i.test(arg)) flags.push(arg);
    else if (arg.startsWith('-')) flags.push(arg);
    else inputs.push(arg);
  }
  return { output, isDll, inputs, libraryFolders, flags };
}
