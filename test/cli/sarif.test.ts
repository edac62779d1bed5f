import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readImage } from 'hotpatch-lab';
import type { Log, Result, Run } from 'sarif';
import { afterAll, describe, expect, it } from 'vitest';
import { fixture } from '../support.js';
import { hotpatch } from './hotpatch.js';

const work = mkdtempSync(join(tmpdir(), 'hotpatch-sarif-'));
afterAll(() => rmSync(work, { recursive: true }));

const unprepared = 'node_modules/node-pty/prebuilds/win32-x64/winpty.dll';
const patch = fixture('x64/patch/demo_hp.dll');

/** Runs a command with --sarif and reads what it wrote. */
async function sarifOf(...args: string[]): Promise<{ code: number; run: Run; results: Result[] }> {
  const file = join(work, 'log.sarif');
  const { code } = await hotpatch(...args, '--sarif', file);
  const log = JSON.parse(readFileSync(file, 'utf8')) as Log;
  expect(log).toMatchObject({ version: '2.1.0', $schema: expect.stringContaining('sarif-2.1.0') });
  expect(log.runs).toHaveLength(1);
  const [run] = log.runs;
  if (run === undefined) throw new Error('no run');
  return { code, run, results: run.results ?? [] };
}

const RUNS = [
  { name: 'check of an image that was not built for it', args: ['check', unprepared] },
  { name: 'check of one that is ready', args: ['check', fixture('x64/base/demo.dll')] },
  { name: 'verify against the base', args: ['verify', patch, '--base', fixture('x64/base/demo.dll')] },
  { name: 'verify against another image', args: ['verify', patch, '--base', fixture('x64/fixed/demo.dll')] },
];

describe.each(RUNS)('$name', ({ args }) => {
  it('is a log whose parts fit together', async () => {
    const { code, run, results } = await sarifOf(...args);
    const rules = run.tool.driver.rules ?? [];
    expect(rules.length).toBeGreaterThan(20);
    expect(new Set(rules.map(({ id }) => id)).size).toBe(rules.length);
    for (const rule of rules) {
      expect(rule.shortDescription?.text.length).toBeGreaterThan(10);
      expect(rule.help?.text.length).toBeGreaterThan(5);
      expect(['error', 'warning']).toContain(rule.defaultConfiguration?.level);
    }
    for (const { ruleId, ruleIndex, level, message } of results) {
      expect(rules[ruleIndex ?? -1]?.id).toBe(ruleId);
      expect(['error', 'warning']).toContain(level);
      expect(message.text?.length).toBeGreaterThan(10);
    }
    expect(results.some(({ level }) => level === 'error')).toBe(code === 1);
    expect(run.invocations).toEqual([{ executionSuccessful: true, exitCode: code }]);
  });

  it('names files that exist, and places inside them', async () => {
    const { run, results } = await sarifOf(...args);
    const artifacts = new Map((run.artifacts ?? []).map(({ location, length }) => [location?.uri, length]));
    for (const [uri, length] of artifacts) {
      const path = uri?.startsWith('file:') ? new URL(uri) : (uri ?? '');
      expect(statSync(path).size).toBe(length);
    }
    for (const { locations = [] } of results) {
      expect(locations).toHaveLength(1);
      const { physicalLocation, logicalLocations } = locations[0] ?? {};
      const size = artifacts.get(physicalLocation?.artifactLocation?.uri);
      expect(size).toBeDefined();
      const { byteOffset = 0, byteLength = 0 } = physicalLocation?.region ?? {};
      expect(byteOffset + byteLength).toBeLessThanOrEqual(size ?? 0);
      expect(logicalLocations?.[0]?.name?.length).toBeGreaterThan(0);
    }
  });
});

describe('a finding about a function', () => {
  it('points at its bytes in the file', async () => {
    const { results } = await sarifOf('check', unprepared);
    const image = readImage(new Uint8Array(readFileSync(unprepared)));
    const about = results.filter(({ ruleId }) => ruleId === 'function.padding');
    expect(about.length).toBeGreaterThan(500);
    for (const { locations } of about.slice(0, 50)) {
      const { address, region } = locations?.[0]?.physicalLocation ?? {};
      const rva = address?.relativeAddress ?? 0;
      expect(region?.byteOffset).toBe(image.rvaToOffset(rva));
      expect(image.bytes.slice(region?.byteOffset, (region?.byteOffset ?? 0) + 4)).toEqual(
        image.read(rva, 4),
      );
      expect(locations?.[0]?.logicalLocations?.[0]?.fullyQualifiedName).toMatch(/^winpty!/);
    }
  });
});

describe('a finding about a record', () => {
  it('has the NTSTATUS, and its location in the image that the record changes', async () => {
    const { results } = await sarifOf('verify', patch, '--base', fixture('x64/fixed/demo.dll'));
    const bytes = results.find(({ ruleId }) => ruleId === 'format/record.originalBytes');
    expect(bytes?.properties).toMatchObject({
      place: 'hotpatch table, base 0, chunk 4, record 0',
      ntstatus: { name: 'STATUS_INVALID_IMAGE_FORMAT', value: '0xc000007b' },
    });
    const file = bytes?.locations?.[0]?.physicalLocation?.artifactLocation?.uri;
    expect(file).toMatch(/fixed\/demo\.dll$/);
  });
});
