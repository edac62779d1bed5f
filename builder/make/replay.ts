import { join } from 'node:path';
import { type Base, compileRecords } from './base.js';
import type { BuildHow } from './build-command.js';
import { compile } from './compile.js';
import { MakeError } from './error.js';
import { type CompileRecord, local, type Session } from './session.js';
import type { PatchedFile } from './tree.js';

/** Compiles what a record says once more. */
export async function recompile(
  session: Session,
  record: CompileRecord,
  output: string,
): Promise<CompileRecord> {
  const cwd = join(session.tree, record.cwd);
  const flags = record.flags.map((flag) => local(flag, session.tree));
  const made = await compile(session, { flags }, local(record.given, session.tree), output, cwd);
  if (made.record === undefined)
    throw new MakeError({
      rule: 'compile',
      message: `${record.source} cannot be compiled with the patch applied`,
      output: made.output,
    });
  return made.record;
}

/** Preprocessor flags of a compilation, for the harness. */
export function searchFlags(record: CompileRecord, tree: string): string[] {
  const flags = record.flags.map((flag) => local(flag, tree));
  const found: string[] = [];
  for (let i = 0; i < flags.length; i++) {
    const flag = flags[i] ?? '';
    if (/^-(?:I|D|U|iquote|std)./.test(flag)) found.push(flag);
    else if (/^-(?:include|I|D|U|isystem|iquote)$/.test(flag)) found.push(flag, flags[++i] ?? '');
  }
  return found;
}

/** Files that are never compiled, or not into the product. */
const BESIDE =
  /^(?:.*\/)?(?:docs?|tests?|testsuite|examples?|fuzz\w*|man|contrib\/fuzz)\/|\.(?:md|txt|rst|html?|[1-9]|xml|png|svg|po|pot)$|(?:^|\/)(?:README|NEWS|CHANGES|ChangeLog|AUTHORS|COPYING|THANKS|TODO)[^/]*$/i;

/**
 * Is it enough to compile the files again that were made from changed ones? Not when the patch changes how the program is
 * built, or what its sources are generated from: then the whole command is run again.
 */
export function mayReplay(base: Base, files: readonly PatchedFile[], how: BuildHow): boolean {
  if (how.kind === 'steps') return true;
  const compiled = new Set(compileRecords(base.records).flatMap(({ dependencies }) => dependencies));
  const isHeader = (path: string) => /\.(?:h|hh|hpp|hxx|inc)$/i.test(path);
  return files.every(
    ({ path, before }) => compiled.has(path) || BESIDE.test(path) || (before === undefined && isHeader(path)),
  );
}
