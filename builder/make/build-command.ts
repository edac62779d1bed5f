import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { delimiter, dirname, join, relative, resolve } from 'node:path';
import { parseCompilerArguments, splitWords } from './arguments.js';
import { compile } from './compile.js';
import { MakeError, shortened } from './error.js';
import { inParallel, run } from './process.js';
import { addRecord, local, SESSION_VARIABLE, type Session, writeSession } from './session.js';
import { TARGETS } from './toolchain.js';
import { isInside } from './tree.js';
import { writeWrapperScripts } from './wrapper.js';

/** One file to compile, with its own flags: an entry of a JSON compilation database, or one of a list. */
export interface CompileStep {
  /** Relative to the tree; the folder that it is compiled in. */
  readonly folder: string;
  /** Relative to that folder, or absolute. */
  readonly file: string;
  readonly flags: readonly string[];
  readonly output?: string;
}

/** How a tree is built. */
export type BuildHow =
  | { readonly kind: 'command'; readonly command: readonly string[] }
  | { readonly kind: 'steps'; readonly steps: readonly CompileStep[] };

export interface BuildOutput {
  /** Where to write what the build prints. */
  readonly log: string;
  readonly onLine?: (line: string) => void;
  readonly jobs?: number;
}

/** Builds the session's tree; the records say what was made. */
export async function build(
  session: Session,
  how: BuildHow,
  source: string,
  output: BuildOutput,
): Promise<void> {
  mkdirSync(dirname(output.log), { recursive: true });
  if (how.kind === 'command') await runCommand(session, how.command, source, output);
  else await compileSteps(session, how.steps, output);
}

async function runCommand(
  session: Session,
  command: readonly string[],
  source: string,
  { log, onLine }: BuildOutput,
): Promise<void> {
  const own = dirname(log);
  const scripts = join(own, 'bin');
  writeWrapperScripts(scripts);
  writeSession(join(own, 'session.json'), session);
  writeFileSync(join(own, 'toolchain.cmake'), cmakeToolchain(session, scripts));
  writeFileSync(join(own, 'config.site'), configSite(session));
  // The tree that was given is not to be written to: where the command names it, the copy is meant.
  const given = resolve(source);
  const [program = '', ...args] = command.map((word) => word.split(given).join(session.tree));
  let text = '';
  const { status, stderr } = await run(program, args, {
    cwd: session.tree,
    environment: buildEnvironment(session, own, scripts),
    onOutput: (part) => {
      text += part;
      const line = part.trimEnd().split('\n').at(-1);
      if (line !== undefined && line !== '') onLine?.(line);
    },
  });
  writeFileSync(log, text);
  if (status === 0) return;
  throw new MakeError({
    rule: 'command',
    message: `the build command failed with ${status}: ${command.join(' ')}`,
    hint:
      status === 127
        ? 'the command cannot be started; for shell syntax write: -- sh -c "…"'
        : `run it with CC=hotpatch-cc; the whole output is in ${log} (with --keep)`,
    output: shortened(lastLines(text === '' ? stderr : text, 30)),
  });
}

function lastLines(text: string, count: number): string {
  return text.trimEnd().split('\n').slice(-count).join('\n');
}

function buildEnvironment(session: Session, own: string, scripts: string): NodeJS.ProcessEnv {
  const { ar } = session.toolchain.tools;
  const ranlib = ar.replace(/llvm-ar/, 'llvm-ranlib');
  return {
    ...process.env,
    [SESSION_VARIABLE]: join(own, 'session.json'),
    PATH: `${scripts}${delimiter}${process.env.PATH ?? ''}`,
    CC: 'hotpatch-cc',
    CXX: 'hotpatch-c++',
    LD: 'hotpatch-link',
    AR: ar,
    RANLIB: existsSync(ranlib) ? ranlib : `${ar} s`,
    STRIP: 'true',
    HOTPATCH_ARCH: session.architecture,
    HOTPATCH_HOST: TARGETS[session.architecture].host,
    CONFIG_SITE: join(own, 'config.site'),
    CMAKE_TOOLCHAIN_FILE: join(own, 'toolchain.cmake'),
    SOURCE_DATE_EPOCH: '0',
    LC_ALL: 'C',
  };
}

/** What CMake needs to know to build for Windows with the wrappers. */
export function cmakeToolchain(session: Session, scripts: string): string {
  const { processor } = TARGETS[session.architecture];
  const ar = session.toolchain.tools.ar;
  return `set(CMAKE_SYSTEM_NAME Windows)
set(CMAKE_SYSTEM_PROCESSOR ${processor})
set(CMAKE_C_COMPILER "${join(scripts, 'hotpatch-cc')}")
set(CMAKE_CXX_COMPILER "${join(scripts, 'hotpatch-c++')}")
set(CMAKE_AR "${ar}" CACHE FILEPATH "")
set(CMAKE_RANLIB "${ar.replace(/llvm-ar/, 'llvm-ranlib')}" CACHE FILEPATH "")
set(CMAKE_C_STANDARD_LIBRARIES "" CACHE STRING "")
set(CMAKE_CXX_STANDARD_LIBRARIES "" CACHE STRING "")
set(CMAKE_C_COMPILER_WORKS TRUE)
set(CMAKE_CXX_COMPILER_WORKS TRUE)
set(CMAKE_FIND_ROOT_PATH "${session.tree}")
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_PACKAGE ONLY)
set(CMAKE_RC_COMPILER "true")
`;
}

/** Tells configure that what it links cannot be run here. */
function configSite(session: Session): string {
  const { host } = TARGETS[session.architecture];
  return `cross_compiling=yes\nhost_alias=${host}\nac_cv_host=${host}\nac_tool_prefix=\n`;
}

async function compileSteps(
  session: Session,
  steps: readonly CompileStep[],
  { log, onLine, jobs }: BuildOutput,
): Promise<void> {
  let text = '';
  await inParallel(
    steps,
    async (step, index) => {
      onLine?.(`${index + 1} of ${steps.length}: ${step.file}`);
      const cwd = resolve(session.tree, step.folder);
      const request = parseCompilerArguments(
        ['-c', ...step.flags.map((flag) => local(flag, session.tree)), local(step.file, session.tree)],
        cwd,
      );
      const [source = step.file] = request.sources;
      const output =
        step.output ??
        join(session.tree, '.hotpatch-objects', `${objectStem(session, resolve(cwd, source))}.obj`);
      const made = await compile(session, { flags: request.flags }, source, output, cwd);
      text += made.output;
      if (made.status !== 0)
        throw new MakeError({
          rule: 'compile',
          message: `${relative(session.tree, resolve(cwd, source))} cannot be compiled for ${session.architecture}`,
          output: shortened(made.output),
        });
      if (made.record !== undefined) addRecord(session, made.record);
    },
    jobs,
  );
  writeFileSync(log, text);
}

function objectStem(session: Session, source: string): string {
  const name = isInside(source, session.tree) ? relative(session.tree, source) : source.replace(/^\/+/, '');
  return name.replace(/\.\w+$/, '').replace(/[^\w.-]+/g, '_');
}

interface DatabaseEntry {
  readonly directory: string;
  readonly file: string;
  readonly command?: string;
  readonly arguments?: readonly string[];
  readonly output?: string;
}

/**
 * The steps of a JSON compilation database (https://clang.llvm.org/docs/JSONCompilationDatabase.html).
 * @throws MakeError `input`
 */
export function readCompileCommands(path: string, source: string): CompileStep[] {
  let entries: DatabaseEntry[];
  try {
    entries = JSON.parse(readFileSync(path, 'utf8')) as DatabaseEntry[];
    if (!Array.isArray(entries)) throw new Error('it is not a list');
  } catch (error) {
    throw new MakeError({
      rule: 'input',
      message: `${path} is not a compilation database: ${error instanceof Error ? error.message : String(error)}`,
    });
  }
  const given = resolve(source);
  const inTree = (text: string) => text.split(given).join('$TREE');
  return entries.map(({ directory, file, command, arguments: words }, index) => {
    const [, ...args] = words ?? splitWords(command ?? '');
    if (args.length === 0)
      throw new MakeError({
        rule: 'input',
        message: `${path}: entry ${index} has neither command nor arguments`,
      });
    const absolute = resolve(dirname(path), directory);
    const folder = isInside(absolute, given) ? relative(given, absolute) : '.';
    const isSource = (arg: string) => arg === file || resolve(absolute, arg) === resolve(absolute, file);
    const flags: string[] = [];
    for (let i = 0; i < args.length; i++) {
      const arg = args[i] ?? '';
      if (arg === '-c' || isSource(arg)) continue;
      if (arg === '-o' || arg === '-MF' || arg === '-MT' || arg === '-MQ') i++;
      else if (arg !== '-MD' && arg !== '-MMD') flags.push(inTree(arg));
    }
    return { folder, file: inTree(resolve(absolute, file)), flags };
  });
}
