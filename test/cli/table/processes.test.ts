import { closeSync, existsSync, openSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { BuiltCommand } from '../built.js';
import { leftovers, place, workFolder } from './place.js';
import { ROWS } from './rows.js';
import { isBecause, isOutput, type Word } from './words.js';

const folder = workFolder();
let command: BuiltCommand;
beforeAll(async () => {
  command = await BuiltCommand.make();
});
afterAll(() => command[Symbol.dispose]());

const words = (row: 'printsLines' | 'endless'): [string, readonly Word[]][] =>
  Object.entries(ROWS).flatMap(([name, { [row]: given }]) =>
    isBecause(given) ? [] : [[name, given as readonly Word[]] as [string, readonly Word[]]],
  );

/** SIGPIPE's, of a shell; or the command was done before anybody noticed. */
const CLOSED = [0, 141];

describe.each(words('printsLines'))('what hotpatch %s prints', (name, given) => {
  it.each([
    ['text', []],
    ['JSON', ['--json']],
  ])('may end at a pipe that is closed after a line (%s)', async (_what, more) => {
    let isClosed = false;
    const { code, signal, stderr } = await command.run([name, ...place(folder.path, given), ...more], {
      cwd: folder.path,
      onStdout(child, stdout) {
        if (isClosed || !stdout.includes('\n')) return;
        isClosed = true;
        child.closeStdout();
      },
    });
    expect({ signal, stderr }).toEqual({
      signal: null,
      stderr: expect.not.stringMatching(/stdout:|^\s+at /m),
    });
    expect({ code, stderr }).toEqual({ code: expect.toBeOneOf(CLOSED), stderr });
    expect(leftovers(folder.path)).toEqual([]);
  });

  it('may go to a pipe that nobody reads from the beginning', async () => {
    const { code, signal, stderr } = await command.run([name, ...place(folder.path, given)], {
      cwd: folder.path,
      onStderr: (child, text) => text === '' && child.closeStdout(),
    });
    expect({ signal, stderr }).toEqual({
      signal: null,
      stderr: expect.not.stringMatching(/stdout:|^\s+at /m),
    });
    expect({ code, stderr }).toEqual({ code: expect.toBeOneOf(CLOSED), stderr });
  });

  it.skipIf(!existsSync('/dev/full'))('is lost on a disk that is full, which is said', async () => {
    const full = openSync('/dev/full', 'w');
    const { code, stderr } = await command.run([name, ...place(folder.path, given)], {
      cwd: folder.path,
      stdout: full,
    });
    closeSync(full);
    expect({ code, stderr }).toEqual({
      code: 2,
      stderr: expect.stringContaining('hotpatch: stdout: no space left on the disk\n'),
    });
    expect(stderr).not.toMatch(/^\s+at /m);
  });
});

/** Where host code can be run; elsewhere the signal ends the command without a word. */
const isSaid = process.platform === 'linux' && ['x64', 'arm64'].includes(process.arch);

describe.runIf(isSaid).each(words('endless'))('hotpatch %s', (name, given) => {
  it.each(['SIGINT', 'SIGTERM'] as const)('ends with %s, and says what is kept', async (wanted) => {
    let isSent = false;
    const { signal, stderr } = await command.run([name, ...place(folder.path, given)], {
      cwd: folder.path,
      onStderr(child, text) {
        if (isSent || text === '') return;
        isSent = true;
        child.kill(wanted);
      },
    });
    expect(signal).toBe(wanted);
    expect(stderr).toContain('no file was written');
    for (const { name: output } of given.filter(isOutput))
      expect(stderr).toContain(`not written: ${folder.path}/${output}`);
    expect(leftovers(folder.path)).toEqual([]);
  });
});
