import { chmodSync, mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { findSymbols, Lab } from 'hotpatch-lab';
import { expect, it } from 'vitest';
import { ImageError, readNamedFile } from '../../image/index.js';
import { fixture } from '../support.js';

const folder = mkdtempSync(join(process.env.HOTPATCH_TEST_FOLDER ?? tmpdir(), 'named-file-'));
const demo = fixture('x64/base/demo.dll');

/** The status values are those of ntstatus.h. */
const CASES: readonly [string, string, string, string, number][] = [
  [
    'a file that is not there',
    join(folder, 'absent.dll'),
    'file.notFound',
    'STATUS_OBJECT_NAME_NOT_FOUND',
    0xc0000034,
  ],
  [
    'a path through a file',
    join(demo, 'demo.dll'),
    'file.notFound',
    'STATUS_OBJECT_PATH_NOT_FOUND',
    0xc000003a,
  ],
  ['a folder', folder, 'file.directory', 'STATUS_FILE_IS_A_DIRECTORY', 0xc00000ba],
  ['a name of 5000 letters', 'x'.repeat(5000), 'file.name', 'STATUS_OBJECT_NAME_INVALID', 0xc0000033],
  ['a name with a NUL in it', 'demo\0.dll', 'file.name', 'STATUS_OBJECT_NAME_INVALID', 0xc0000033],
];

it.each(CASES)('%s is refused by a rule, with its path', (_, path, rule, name, value) => {
  using lab = Lab.boot({ architecture: 'x64' });
  const refused = { rule, status: { name, value }, image: path, place: path };
  for (const action of [
    () => readNamedFile(path),
    () => findSymbols(path),
    () => lab.loadImage(path),
    () => lab.loadHotPatch(path),
    () => lab.addFile(path),
  ])
    expect(action).toThrow(expect.objectContaining(refused));
});

it('names the path once, and what it begins at', () => {
  const error = new ImageError({
    rule: 'file.notFound',
    status: 'STATUS_OBJECT_NAME_NOT_FOUND',
    place: 'absent.dll',
    file: 'absent.dll',
    message: 'there is no such file',
  });
  expect(error.message).toBe(
    'absent.dll: there is no such file (file.notFound, STATUS_OBJECT_NAME_NOT_FOUND)',
  );
  expect(() => readNamedFile('absent.dll')).toThrow(
    expect.objectContaining({ message: error.message, hint: expect.stringContaining('working folder') }),
  );
});

it.skipIf(process.getuid?.() === 0)('a file that may not be read is refused by a rule', () => {
  const path = join(folder, 'secret.dll');
  writeFileSync(path, 'MZ');
  chmodSync(path, 0);
  expect(() => readNamedFile(path)).toThrow(
    expect.objectContaining({
      rule: 'file.access',
      status: { name: 'STATUS_ACCESS_DENIED', value: 0xc0000022 },
    }),
  );
});
