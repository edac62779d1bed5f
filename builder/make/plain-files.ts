import { spawnSync } from 'node:child_process';
import { copyFileSync, mkdirSync, readFileSync, realpathSync } from 'node:fs';
import { dirname, join, relative, resolve, sep } from 'node:path';
import type { BuildHow } from './build-command.js';
import { MakeError, shortened } from './error.js';
import type { MakeInput } from './request.js';
import { HOTPATCH_FLAGS, type Toolchain, targetFlags } from './toolchain.js';
import { hashText, hashTree, isInside, kindOf } from './tree.js';

/** What is built, and how. */
export interface SourcePlan {
  /** The folder that was given. */
  readonly root?: string;
  /** For single files: the folder that all of them lie in. */
  readonly folder: string;
  readonly hash: string;
  readonly how: BuildHow;
  /** For single files: copies them and the headers that they include. */
  readonly copy?: (to: string) => void;
}

/**
 * A folder with a build command, or single files with the headers beside them.
 * @throws MakeError `input`
 */
export function planSource(input: MakeInput, toolchain: Toolchain): SourcePlan {
  const given = typeof input.source === 'string' ? [input.source] : [...input.source];
  const [first] = given;
  if (first === undefined) throw new MakeError({ rule: 'input', message: 'no source is given' });
  const kinds = given.map(kindOf);
  if (kinds.includes('folder')) {
    if (given.length > 1)
      throw new MakeError({
        rule: 'input',
        message: 'give one folder, or only files',
        hint: given.join(' '),
      });
    if (input.how === undefined)
      throw new MakeError({
        rule: 'input',
        message: `${first} is a folder: say how it is built`,
        hint: '-- make CC=hotpatch-cc, or --compile-commands FILE; or name the C files',
      });
    const root = realpathSync(first);
    return { root, folder: root, hash: hashTree(root), how: input.how };
  }
  if (input.how?.kind === 'command')
    throw new MakeError({
      rule: 'input',
      message: 'a build command needs the folder that it is run in: --source',
    });
  return planFiles(
    given.map((file) => realpathSync(file)),
    input,
    toolchain,
  );
}

function planFiles(files: readonly string[], input: MakeInput, toolchain: Toolchain): SourcePlan {
  const flags = ['-O2', ...(input.flags ?? [])].map((flag) => absoluteInclude(flag));
  const used = new Set(files);
  for (const file of files) for (const header of headersOf(file, flags, toolchain)) used.add(header);
  const folder = commonFolder([...used]);
  const names = [...used].sort();
  return {
    folder,
    hash: hashText(...names.flatMap((file) => [relative(folder, file), readFileSync(file, 'latin1')])),
    how: {
      kind: 'steps',
      steps: files.map((file) => ({
        folder: '.',
        file: relative(folder, file),
        flags: flags.map((flag) => insideTree(flag, folder)),
      })),
    },
    copy: (to) => {
      for (const file of names) {
        const target = join(to, relative(folder, file));
        mkdirSync(dirname(target), { recursive: true });
        copyFileSync(file, target);
      }
    },
  };
}

function absoluteInclude(flag: string): string {
  return /^-I./.test(flag) ? `-I${resolve(flag.slice(2))}` : flag;
}

function insideTree(flag: string, folder: string): string {
  if (!/^-I./.test(flag) || !isInside(flag.slice(2), folder)) return flag;
  const between = relative(folder, flag.slice(2));
  return `-I$TREE${between === '' ? '' : `/${between}`}`;
}

/** Headers that a file includes and that are not the system's. */
function headersOf(file: string, flags: readonly string[], toolchain: Toolchain): string[] {
  const { status, stdout, stderr } = spawnSync(
    toolchain.tools.clang,
    [...targetFlags('x64', toolchain), ...flags, ...HOTPATCH_FLAGS, '-w', '-MM', '-MG', file],
    { encoding: 'utf8', cwd: dirname(file) },
  );
  if (status !== 0)
    throw new MakeError({
      rule: 'compile',
      message: `${file} cannot be read by the compiler`,
      output: shortened(stderr),
    });
  const [, list = ''] = stdout.replace(/\\\r?\n/g, ' ').split(/:(?=\s)/);
  const names = list.match(/(?:\\.|[^\s\\])+/g) ?? [];
  return names.map((name) => resolve(dirname(file), name.replace(/\\(.)/g, '$1'))).flatMap(real);
}

function real(path: string): string[] {
  try {
    return [realpathSync(path)];
  } catch {
    return []; // made by the patch
  }
}

function commonFolder(files: readonly string[]): string {
  const [first = '', ...others] = files.map((file) => dirname(file).split(sep));
  const parts = typeof first === 'string' ? [] : first;
  const same = parts.filter((_, i) =>
    others.every((other) => parts.slice(0, i + 1).join(sep) === other.slice(0, i + 1).join(sep)),
  );
  return same.join(sep) || sep;
}
