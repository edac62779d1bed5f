import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { basename, join } from 'node:path';
import { applyHunks, parsePatch } from '../builder/index.js';
import { WorkbenchError } from './error.js';
import type { Program } from './protocol.js';

const STARTER = `/* Adds up what a sensor has measured. */

static const int readings[] = {3, 1, 4, 1, 5, 9, 2, 6};
static int calls;

__declspec(noinline) int Scale(int value)
{
    return value * 10;
}

int Sum(int count)
{
    int sum = 0;
    calls++;
    for (int i = 0; i <= count; i++)
        sum += Scale(readings[i & 7]);
    return sum;
}

int Calls(void)
{
    return calls;
}
`;

/** What the page opens with when no folder is named. Its loop takes one value too many. */
export const starter: Program = { name: 'sensor', base: STARTER, fixed: STARTER, call: 'Sum 3' };

/** Characters of a source that the page takes. */
const LARGEST = 200_000;

/**
 * The program of a folder: its one C file and, if there is one, its patch, as `hotpatch new` writes them; or `base.c`
 * and `fixed.c`. Nothing is ever written there.
 * @throws WorkbenchError `folder`
 */
export function programOf(folder: string): { readonly program: Program; readonly file: string } {
  if (statSync(folder, { throwIfNoEntry: false })?.isDirectory() !== true)
    throw new WorkbenchError('folder', `${folder}: there is no such folder`);
  const names = readdirSync(folder).sort();
  const pair = ['base.c', 'fixed.c'].every((name) => names.includes(name));
  const sources = pair ? ['base.c'] : names.filter((name) => name.endsWith('.c'));
  const [source, another] = sources;
  if (source === undefined || another !== undefined)
    throw new WorkbenchError(
      'folder',
      `${folder}: it has ${sources.length === 0 ? 'no C file' : `${sources.length} C files: ${sources.join(', ')}`}`,
      'the workbench opens a folder with one C file and its fix.patch, as hotpatch new writes it, or with base.c and fixed.c',
    );
  const file = join(folder, source);
  const base = read(file);
  const fixed = pair ? read(join(folder, 'fixed.c')) : patched(folder, source, base);
  const name = basename(source, '.c').replace(/\W/g, '_');
  return { program: { name, base, fixed, call: firstCall(base) }, file };
}

function patched(folder: string, source: string, base: string): string {
  const path = join(folder, 'fix.patch');
  if (!existsSync(path)) return base;
  const patch = parsePatch(read(path), path).find(
    ({ newPath, oldPath }) => basename(newPath ?? oldPath ?? '') === source,
  );
  if (patch === undefined) return base;
  const { lines, endsWithNewline } = applyHunks(base, patch, path);
  return lines.join('\n') + (endsWithNewline ? '\n' : '');
}

function read(path: string): string {
  const text = readFileSync(path, 'utf8');
  if (text.length > LARGEST)
    throw new WorkbenchError('folder', `${path}: it has more than ${LARGEST} characters`);
  return text;
}

/** A call of the last function that is not static, with 3 for each parameter. */
function firstCall(source: string): string {
  const functions = [...source.matchAll(/^(?!static\b)[A-Za-z_][\w\s*()]*?\b(\w+)\(([^)]*)\)\s*\{/gm)];
  const found =
    functions.find(([, , parameters = '']) => !/^\s*(?:void)?\s*$/.test(parameters)) ?? functions[0];
  const [, name = 'main', parameters = ''] = found ?? [];
  const count = /^\s*(?:void)?\s*$/.test(parameters) ? 0 : parameters.split(',').length;
  return [name, ...Array.from({ length: count }, () => '3')].join(' ');
}
