import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { packageRoot } from '../cpu/index.js';

/** Of this package. */
export function packageVersion(): string {
  const parsed: unknown = JSON.parse(readFileSync(join(packageRoot(), 'package.json'), 'utf8'));
  return typeof parsed === 'object' && parsed !== null && 'version' in parsed
    ? String(parsed.version)
    : '0.0.0';
}
