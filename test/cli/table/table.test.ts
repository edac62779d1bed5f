import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { allCommands, commandNames } from '../../../cli/main.js';
import { hotpatch } from '../hotpatch.js';
import { leftovers, place, workFolder } from './place.js';
import { ROWS } from './rows.js';
import { type Because, isBecause, isFile, isInput, isOutput, type Refusal } from './words.js';

const folder = workFolder();

/** What names a file or a folder, as the commands call it. */
const NAMES_FILE = /<(file|image|folder|object|patch|scenario)>/;

const rows = Object.entries(ROWS);

it('has a row for every command', () => {
  expect(rows.map(([name]) => name).sort()).toEqual([...commandNames].sort());
});

describe.each(rows)('hotpatch %s', (name, row) => {
  it('has every option that names a file in its row', async () => {
    const command = (await allCommands()).find((candidate) => candidate.name() === name);
    const options = (command?.options ?? [])
      .filter(({ flags }) => NAMES_FILE.test(flags))
      .map(({ long }) => long ?? '');
    const tried = row.succeeds.flatMap((words) =>
      words.filter((_word, i) => typeof words[i + 1] === 'object').filter((word) => typeof word === 'string'),
    );
    expect([...new Set([...tried, ...Object.keys(row.untried ?? {})])]).toEqual(
      expect.arrayContaining(options),
    );
  });

  it('refuses an unknown option', async () => {
    const words = place(folder.path, row.succeeds[0] ?? row.refuses.words);
    const { code, stdout, stderr } = await hotpatch(name, ...words, '--no-such-option');
    expect({ code, stdout, stderr }).toEqual({
      code: 2,
      stdout: '',
      stderr: expect.stringContaining('--no-such-option'),
    });
  });

  const answers: [string, Refusal][] = (
    [
      ['refusal', row.refuses],
      ['crash', row.crashes],
    ] as [string, Refusal | Because][]
  ).filter((entry): entry is [string, Refusal] => !isBecause(entry[1]));
  it.each(answers)('tells of a %s in one JSON document', async (_what, { words, code, has = 'error' }) => {
    const ended = await hotpatch(name, ...place(folder.path, words), '--json');
    expect({ code: ended.code, json: ended.json }).toEqual({ code, json: expect.any(Object) });
    expect(JSON.stringify(ended.json)).toContain(`"${has}"`);
    expect(ended.stderr).not.toMatch(/bug in hotpatch-lab|^\s+at /m);
    expect(leftovers(folder.path)).toEqual([]);
  });

  const reads = row.succeeds.flatMap((words) =>
    words.flatMap((word, i) => (isInput(word) ? [{ words, i, file: word.name }] : [])),
  );
  const files = reads.filter(({ words, i }) => isFile(words[i]));
  it.each(files)('says that $file is a folder', async ({ words, i }) => {
    const placed = place(folder.path, words);
    const word = words[i];
    mkdirSync(join(folder.path, 'folder'));
    placed[i] =
      `${typeof word === 'object' && word.kind === 'input' ? word.prefix : ''}${join(folder.path, 'folder')}`;
    const { code, json, stderr } = await hotpatch(name, ...placed, '--json');
    expect({ code, stderr }).toEqual({ code: 2, stderr: expect.stringContaining('is a folder') });
    expect(JSON.stringify(json)).toContain('is a folder');
    expect(stderr).toContain('folder: ');
  });

  it.each(reads)('says that $file is not there', async ({ words, i }) => {
    const placed = place(folder.path, words);
    const word = words[i];
    placed[i] =
      `${typeof word === 'object' && word.kind === 'input' ? word.prefix : ''}${join(folder.path, 'gone')}`;
    const { code, stderr } = await hotpatch(name, ...placed);
    expect({ code, stderr }).toEqual({ code: 2, stderr: expect.stringContaining('gone: there is no such') });
  });

  const writes = row.succeeds.flatMap((words) =>
    words.flatMap((word, i) =>
      isOutput(word) ? [{ words, i, file: word.name, isFolder: word.isFolder }] : [],
    ),
  );
  it.each(writes)('says that $file cannot be written', async ({ words, i, isFolder }) => {
    const placed = place(folder.path, words);
    writeFileSync(join(folder.path, 'plain'), '');
    for (const [path, why] of [
      [join(folder.path, 'plain', 'below'), 'there is no folder'],
      [join(folder.path, 'absent', 'file'), 'there is no folder'],
      ['/proc/hotpatch-lab', 'no file can be made in /proc'],
    ] as const) {
      if (path.startsWith('/proc') && !existsSync('/proc/self')) continue;
      // The folders above a folder are made too.
      if (isFolder && path.includes('absent')) continue;
      placed[i] = path;
      const { code, json, stderr } = await hotpatch(name, ...placed, '--json');
      expect({ path, code, stderr }).toEqual({ path, code: 2, stderr: expect.stringContaining(why) });
      expect(stderr).toContain(`${path}: cannot be written`);
      expect(JSON.stringify(json)).toContain('cannot be written');
    }
    expect(leftovers(folder.path)).toEqual([]);
  });

  const overs = row.succeeds.flatMap((words) =>
    words.flatMap((to, i) =>
      isOutput(to)
        ? words.flatMap((from, j) =>
            isFile(from)
              ? [from.name, ...Object.keys(from.beside)].map((file) => ({ words, i, j, file, to: to.name }))
              : [],
          )
        : [],
    ),
  );
  it.each(overs)('does not write $to over $file, which it reads', async ({ words, i, file }) => {
    const placed = place(folder.path, words);
    placed[i] = join(folder.path, file);
    const contents = readFileSync(join(folder.path, file));
    const { code, stderr } = await hotpatch(name, ...placed);
    expect({ code, stderr }).toEqual({ code: 2, stderr: expect.stringContaining(join(folder.path, file)) });
    expect(readFileSync(join(folder.path, file))).toEqual(contents);
    expect(leftovers(folder.path)).toEqual([]);
  });
});
