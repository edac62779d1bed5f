import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { escapeXml } from '../../cli/junit.js';
import { hotpatch } from './hotpatch.js';

const work = mkdtempSync(join(tmpdir(), 'hotpatch-junit-'));
afterAll(() => rmSync(work, { recursive: true }));

const scenario = (name: string, title: string, body: string) => {
  const file = join(work, name);
  writeFileSync(
    file,
    `import { defineScenario } from 'hotpatch-lab';\nexport default defineScenario(${JSON.stringify(title)}, async ({ expect, say }) => {\n${body}\n});\n`,
  );
  return file;
};

const held = scenario('held.ts', 'It holds', 'expect(1).toBe(1); expect(2).toBe(2); say("a < b");');
const failed = scenario('failed.ts', 'It "fails" & <stops>', 'expect(1).toBe(1); expect(1).toBe(2);');
const broken = scenario('broken.ts', 'It breaks', 'say("\\u0001 ]]> \\ud800"); throw new Error("no <way>");');

async function junitOf(...files: string[]) {
  const out = join(work, 'results.xml');
  const { code } = await hotpatch('run', ...files, '--quiet', '--junit', out);
  return { code, out, xml: readFileSync(out, 'utf8') };
}

describe('hotpatch run --junit', () => {
  it('writes a suite for each file, and what did not hold', async () => {
    const { code, xml } = await junitOf(held, failed, broken);
    expect(code).toBe(1);
    const lines = xml.split('\n').map((line) => line.trim().replace(/time="[\d.]+"/g, 'time="…"'));
    expect(lines.slice(0, 2)).toEqual([
      '<?xml version="1.0" encoding="UTF-8"?>',
      '<testsuites name="hotpatch run" tests="3" failures="1" errors="1" time="…">',
    ]);
    expect(lines).toContain(`<testsuite name="${held}" tests="1" failures="0" errors="0" time="…">`);
    expect(lines).toContain(`<testcase name="It holds" classname="${held}" assertions="2" time="…">`);
    expect(lines).toContain('<system-out>a &lt; b</system-out>');
    expect(lines).toContain(
      `<testcase name="It &quot;fails&quot; &amp; &lt;stops&gt;" classname="${failed}" assertions="2" time="…" file="${failed}" line="3">`,
    );
    expect(lines).toContain(
      '<failure message="expected 1 to be 2" type="ExpectationFailed">expected 1 to be 2</failure>',
    );
    expect(lines).toContain(
      '<error message="Error: no &lt;way&gt;" type="Error">Error: no &lt;way&gt;</error>',
    );
  });

  const parsers = [
    ['python3', '-c', 'import sys, xml.dom.minidom as m; m.parse(sys.argv[1])'],
    ['xmllint', '--noout'],
  ].filter(([tool = '']) => spawnSync(tool, ['--version']).status === 0);

  it.skipIf(parsers.length === 0)('writes XML that other readers take', async () => {
    const { out } = await junitOf(held, failed, broken, 'scenarios/rollback.ts');
    for (const [tool = '', ...args] of parsers) {
      const { status, stderr } = spawnSync(tool, [...args, out], { encoding: 'utf8' });
      expect(stderr).toBe('');
      expect(status).toBe(0);
    }
  });
});

describe('escapeXml', () => {
  it.each([
    { text: '<a b="c">&</a>', xml: '&lt;a b=&quot;c&quot;&gt;&amp;&lt;/a&gt;' },
    { text: 'tab\tline\nreturn\r', xml: 'tab\tline\nreturn\r' },
    { text: '\u0000\u0008\u000b\u001f\ufffe', xml: '\ufffd'.repeat(5) },
    { text: 'a\ud800b\udc00c', xml: 'a\ufffdb\ufffdc' },
    { text: 'fffff800`10000000 → 😀', xml: 'fffff800`10000000 → 😀' },
  ])('$text', ({ text, xml }) => expect(escapeXml(text)).toBe(xml));
});
