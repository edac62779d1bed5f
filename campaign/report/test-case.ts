import { kindNamed } from '../kinds/index.js';
import type { FileFolder } from '../store/files.js';
import type { Results, StoredFinding } from '../store/results.js';

/** What a finding becomes: a test, and the files beside it, by path relative to the test. */
export interface TestCase {
  readonly test: string;
  readonly files: ReadonlyMap<string, Uint8Array>;
}

/**
 * A test for vitest that fails as long as the finding is there. The inputs that were found lie beside it, to be looked at.
 * @param stem name of the test's file without `.test.ts`
 */
export function testCaseOf(
  results: Results,
  finding: StoredFinding,
  stem: string,
  own: FileFolder,
): TestCase {
  const { id, rule, message, unit, inputs } = finding;
  const files = new Map<string, Uint8Array>();
  for (const { name, sha256 } of inputs) files.set(`${stem}.inputs/${name}`, results.input(sha256));
  const needed = kindNamed(unit.kind).files(unit);
  for (const file of needed) files.set(`${stem}.files/${file.sha256}`, own.read(file));
  // What ends its process must not end the one that runs the tests.
  const perform = rule.startsWith('process.') ? 'performApart' : 'performUnit';
  const folder = needed.length === 0 ? '' : `, new URL('./${stem}.files', import.meta.url).pathname`;
  const test = `import { ${perform} } from 'hotpatch-lab/campaign';
import { expect, it } from 'vitest';

/** Finding ${id} of the campaign '${results.name.replaceAll('*/', '* /')}': ${rule}. */
it(${JSON.stringify(message.split('\n')[0]?.slice(0, 200) ?? rule)}, { timeout: 600_000 }, async () => {
  const { findings } = await ${perform}(${JSON.stringify(unit)}${folder});
  expect(findings.map(({ rule, message }) => \`\${rule}: \${message}\`)).toEqual([]);
});
`;
  return { test, files };
}
