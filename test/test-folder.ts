import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Vitest's global set-up: one temporary folder for what several test files build, removed when all have run. */
export default function setUp(): () => void {
  const folder = mkdtempSync(join(tmpdir(), 'hotpatch-tests-'));
  process.env.HOTPATCH_TEST_FOLDER = folder;
  return () => rmSync(folder, { recursive: true, force: true });
}
