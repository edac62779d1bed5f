import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { BUILD_RULES, isBuildRule } from '../../../../builder/index.js';
import { FUNCTIONS } from './functions.js';
import { IMAGES } from './images.js';
import { SOURCE_PAIRS_2003 } from './sources.js';
import { VARIABLES } from './variables.js';

const BUILDER = new URL('../../../../builder/server-2003/', import.meta.url);

/** Rules of checks that lie in one file with those of both builders: what they are about is the modern one's alone. */
const MODERN = new Set([
  'image.subsystem',
  'image.loadConfig',
  'image.importsBase',
  'base.notMarked',
  'hpat.capacity',
  // Here each changed function gets its hook.
  'function.missing',
]);

/** Every rule that the sources of the builder, and the checks which they import, speak of. */
function rulesInSources(): string[] {
  const own = readdirSync(BUILDER).map((file) => readFileSync(new URL(file, BUILDER), 'utf8'));
  const imported = own.flatMap((text) =>
    Array.from(text.matchAll(/'(\.\.\/checks\/\w+)\.js'/g), ([, path]) => `${path}.ts`),
  );
  const checks = [...new Set(imported)].map((file) => readFileSync(new URL(file, BUILDER), 'utf8'));
  const quoted = [...own, ...checks].flatMap((text) =>
    Array.from(text.matchAll(/'(\w+\.\w+)'/g), ([, id]) => id ?? ''),
  );
  return quoted.filter((id) => isBuildRule(id) && !MODERN.has(id));
}

describe('the list of what the builder of 2003 refuses', () => {
  const shown = new Set<string>(
    [...IMAGES, ...FUNCTIONS, ...VARIABLES, ...SOURCE_PAIRS_2003].map(({ rule }) => rule),
  );

  it('shows every rule of that generation', () => {
    const rules = BUILD_RULES.map(({ id }) => id).filter((id) => id.startsWith('hotp1.'));
    expect(rules.length).toBeGreaterThanOrEqual(10);
    expect(rules.filter((id) => !shown.has(id))).toEqual([]);
  });

  it('shows every rule that it shares with the modern builder', () => {
    const rules = [...new Set(rulesInSources())];
    expect(rules).toEqual(expect.arrayContaining(['image.machine', 'data.value', 'function.stack']));
    expect(rules.filter((id) => !shown.has(id))).toEqual([]);
    expect([...shown].filter((id) => !rules.includes(id))).toEqual([]);
  });
});
