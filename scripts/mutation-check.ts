/**
 * Leaves out or turns round, one at a time, each store, flush, check and rollback line of the engine's and processors'
 * write paths in a copy of the repository, and runs the quick tests there. Lists the mutants that no test noticed.
 *
 *   npx tsx scripts/mutation-check.ts [--only PATH] [--every N] [--json FILE]
 */
import { execFile } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const run = promisify(execFile);
const repository = fileURLToPath(new URL('../', import.meta.url));

const FILES = [
  'src/engine/apply.ts',
  'src/engine/journal.ts',
  'src/engine/transaction.ts',
  'src/engine/revert.ts',
  'src/engine/plan.ts',
  'src/engine/sequence.ts',
  'src/engine/undo-table.ts',
  'src/engine/image-record.ts',
  'src/engine/trampoline-x86.ts',
  'src/engine/trampoline-arm64.ts',
  'src/loader/hpat.ts',
  'src/loader/image-writer.ts',
  'src/cpu/instruction-fetch.ts',
  'src/cpu/machine.ts',
];

const TESTS = [
  'test/engine/apply.test.ts',
  'test/proof/protocols.test.ts',
  'test/proof/faults.test.ts',
  'test/proof/replay.test.ts',
  'test/cpu/conformance/code-visibility.test.ts',
];

/** A statement on one line that stores, flushes, keeps for the undoing or takes back. */
const STATEMENT =
  /^\s*(yield\b|if \(.*\) yield\b|this\.#?(applier|journal|undo|memory|dropView|outdate)|.*\b(store|serialise|rollBack|writeCode|write|flushTranslations|forgetFrame|forgetCode|commit|decommit|protect|useSlot|giveBackSlot|set|clear|delete|add|push|release|copy)\().*;$/;
/** A condition under which something is refused or left out. */
const CONDITION = /^(\s*)if \((.+)\)( |$)/;

interface Mutant {
  readonly file: string;
  readonly line: number;
  readonly before: string;
  readonly after: string;
}

function mutantsOf(file: string): Mutant[] {
  const lines = readFileSync(join(repository, file), 'utf8').split('\n');
  return lines.flatMap((before, index): Mutant[] => {
    const here = { file, line: index + 1, before };
    const isOpen = /[([{,]$/.test(lines[index - 1]?.trim() ?? '') && !/[{]$/.test(lines[index - 1] ?? '');
    const condition = CONDITION.exec(before);
    if (condition !== null) {
      const [, indent = '', , rest = ''] = condition;
      return [{ ...here, after: before.replace(CONDITION, `${indent}if (false)${rest}`) }];
    }
    return STATEMENT.test(before) && !isOpen ? [{ ...here, after: '' }] : [];
  });
}

function copyRepository(): string {
  const copy = mkdtempSync(join(tmpdir(), 'hotpatch-mutants-'));
  for (const part of ['src', 'test', 'scenarios', 'package.json', 'tsconfig.json', 'vitest.config.ts'])
    cpSync(join(repository, part), join(copy, part), { recursive: true });
  for (const part of ['node_modules', 'vendor']) symlinkSync(join(repository, part), join(copy, part));
  return copy;
}

async function testsNotice(copy: string): Promise<boolean> {
  try {
    await run('npx', ['vitest', 'run', '--bail=1', ...TESTS], { cwd: copy, timeout: 180_000 });
    return false;
  } catch {
    return true;
  }
}

const option = (name: string): string | undefined => {
  const at = process.argv.indexOf(name);
  return at < 0 ? undefined : process.argv[at + 1];
};

const only = option('--only');
const every = Number(option('--every') ?? 1);
const mutants = FILES.filter((file) => only === undefined || file.startsWith(only))
  .flatMap(mutantsOf)
  .filter((_, index) => index % every === 0);
const copy = copyRepository();
const survivors: Mutant[] = [];
try {
  if (await testsNotice(copy)) throw new Error('the tests fail without any mutant');
  for (const [index, mutant] of mutants.entries()) {
    const path = join(copy, mutant.file);
    const original = readFileSync(path, 'utf8');
    const lines = original.split('\n');
    lines[mutant.line - 1] = mutant.after;
    writeFileSync(path, lines.join('\n'));
    const noticed = await testsNotice(copy);
    writeFileSync(path, original);
    if (!noticed) survivors.push(mutant);
    const verdict = noticed ? 'noticed ' : 'SURVIVED';
    console.log(
      `${index + 1}/${mutants.length} ${verdict} ${mutant.file}:${mutant.line} ${mutant.before.trim()}`,
    );
  }
} finally {
  rmSync(copy, { recursive: true, force: true });
}
console.log(`\n${mutants.length} mutants, ${survivors.length} survived`);
const json = option('--json');
if (json !== undefined) writeFileSync(json, JSON.stringify({ mutants: mutants.length, survivors }, null, 2));
process.exitCode = survivors.length > 0 ? 1 : 0;
