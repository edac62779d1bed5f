import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { runScenario, type Scenario } from 'hotpatch-lab';
import { describe, expect, it } from 'vitest';
import { hotpatch } from './cli/hotpatch.js';

const root = new URL('../', import.meta.url);
const readme = readFileSync(new URL('README.md', root), 'utf8');

function blocks(language: string): string[] {
  return [...readme.matchAll(new RegExp(`\`\`\`${language}\\n([\\s\\S]*?)\`\`\``, 'g'))].map(
    ([, text = '']) => text,
  );
}

describe('the README', () => {
  it('shows a transcript that the scenario really prints', () => {
    const golden = readFileSync(
      new URL('test/scenarios/transcripts/first-trampoline.txt', root),
      'utf8',
    ).split('\n');
    const [, title, ...lines] = (blocks('text')[0] ?? '').split('\n').filter((line) => line !== '');
    expect(title).toBe('The first trampoline: what changes, byte by byte');
    const printed = lines.filter((line) => line !== '…' && !line.startsWith('held'));
    expect(printed.length).toBeGreaterThan(15);
    expect(printed.filter((line) => !golden.includes(line))).toEqual([]);
  });

  it('gives commands that return what it says', async () => {
    const block = blocks('sh').find((text) => text.includes('hotpatch call')) ?? '';
    const folder = fileURLToPath(new URL('test/fixtures/x64', root));
    const commands = block
      .split('\n')
      .filter((line) => line.startsWith('npx hotpatch '))
      .map((line) => line.replace('npx hotpatch ', '').replaceAll('$D', folder).split(' '));
    const results = [];
    for (const command of commands) results.push((await hotpatch(...command, '--json')).json);
    expect(results).toMatchObject([
      { result: `0x${(119).toString(16)}` },
      { result: `0x${(147).toString(16)}` },
      { paused: { at: 'demo!dispatch+0x3' }, fresh: { result: '0x93' } },
    ]);
  });

  it('shows a first scenario that holds', async () => {
    const source = blocks('ts').find((text) => text.includes('defineScenario')) ?? '';
    const folder = new URL('out/', root);
    mkdirSync(folder, { recursive: true });
    const file = new URL('readme-scenario.ts', folder);
    writeFileSync(file, source);
    const module: { default: Scenario } = await import(fileURLToPath(file));
    const result = await runScenario(module.default);
    expect(result).toMatchObject({ expectations: 3 });
    expect(result.error).toBeUndefined();
  });
});
