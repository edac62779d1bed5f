import { execFileSync, spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { readImage } from '../../../image/index.js';
import { READOBJ_OPTIONS, renderReadobj } from './index.js';

const TOOL = 'llvm-readobj-22';

export const haveReadobj = spawnSync(TOOL, ['--version'], { stdio: 'ignore' }).error === undefined;
if (!haveReadobj) console.warn(`SKIPPED: comparisons with ${TOOL}, which is not installed`);

export interface Difference {
  readonly line: number;
  readonly theirs: string | undefined;
  readonly ours: string | undefined;
}

/** Where the text that llvm-readobj prints for a file differs from ours: the first few lines. */
export function compareWithReadobj(path: string): { lines: number; differences: Difference[] } {
  const output = execFileSync(TOOL, [...READOBJ_OPTIONS, path], {
    encoding: 'latin1',
    maxBuffer: 1 << 30,
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  const NAMING_LINES = 5;
  const theirs = output.split('\n').slice(NAMING_LINES, -1);
  const ours = renderReadobj(readImage(readFileSync(path), { file: path }));
  const differences: Difference[] = [];
  for (let line = 0; line < Math.max(theirs.length, ours.length) && differences.length < 5; line++) {
    if (theirs[line] !== ours[line]) differences.push({ line, theirs: theirs[line], ours: ours[line] });
  }
  return { lines: theirs.length, differences };
}
