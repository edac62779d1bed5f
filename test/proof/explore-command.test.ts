import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, it } from 'vitest';
import { hotpatch } from '../cli/hotpatch.js';

const scenario = (name: string) => fileURLToPath(new URL(`../../scenarios/${name}.ts`, import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'hotpatch-explore-'));
afterAll(() => rmSync(folder, { recursive: true }));

interface Report {
  readonly complete: boolean;
  readonly states: number;
  readonly transitions: number;
  readonly violations: readonly { readonly rule: string; readonly schedule: object }[];
  readonly explorations: readonly {
    readonly kind: string;
    readonly roles: readonly { readonly place: string }[];
  }[];
}

async function explore(name: string, ...options: readonly string[]) {
  const { code, json, stderr } = await hotpatch('explore', scenario(name), ...options, '--json');
  return { code, report: json as Report, stderr };
}

describe('hotpatch explore', () => {
  it('visits every interleaving of a scenario', async () => {
    const { code, report } = await explore('first-trampoline', '--fetch', 'weak');
    expect(code).toBe(0);
    expect(report).toMatchObject({ complete: true, violations: [] });
    expect(report.transitions).toBeGreaterThan(report.states);
  });

  it.each([
    ['dll-in-many-processes', ['mail.exe', 'web.exe', 'print.exe']],
    ['session-driver', ['session 1', 'session 2']],
    ['secure-kernel-module', ['vtl1']],
  ] as const)('%s: each processor in another place', async (name, places) => {
    const { code, report, stderr } = await explore(name, '--cpus', '2', '--operation', '1');
    expect(stderr).toBe('');
    expect(code).toBe(0);
    expect(report).toMatchObject({ complete: true, violations: [] });
    const met = report.explorations[0]?.roles.map(({ place }) => place.replace(/ \(.*/, '')) ?? [];
    expect(met).toHaveLength(Math.min(2, places.length));
    for (const place of met) expect(places).toContain(place);
  });

  it('ends where there is no more memory, and says so', async () => {
    const { code, report } = await explore('first-trampoline', '--memory', '1');
    expect(code).toBe(1);
    expect(report).toMatchObject({ complete: false, explorations: [{ bound: '1 MB of memory' }] });
  });

  it('prints a violation with its shortest schedule, which `hotpatch run --schedule` replays', async () => {
    const { code, report } = await explore('first-trampoline', '--protocol', 'padding-after-entry');
    expect(code).toBe(1);
    const [violation] = report.violations;
    expect(violation?.rule).toBe('fault');
    const file = join(folder, 'schedule.json');
    writeFileSync(file, JSON.stringify(violation?.schedule));
    const run = await hotpatch('run', scenario('first-trampoline'), '--schedule', file);
    expect(run.code).toBe(1);
    expect(run.stdout).toMatch(/breakpoint at /);
  });

  it('prints a schedule that the debugger stops in and goes back in', async () => {
    const { report } = await explore('first-trampoline', '--protocol', 'padding-after-entry');
    const file = join(folder, 'schedule-to-debug.json');
    writeFileSync(file, JSON.stringify(report.violations[0]?.schedule));
    const commands = 'bu packets!ReceivePacket; g; t; t-; u rip L1; g';
    const { code, stdout } = await hotpatch(
      'step',
      scenario('first-trampoline'),
      '--schedule',
      file,
      '--command',
      commands,
    );
    expect(stdout).toMatch(/packets!ReceivePacket:/);
    expect(stdout).toMatch(/engine +SecureKernel stores/);
    expect(stdout).toMatch(/The scenario has ended: breakpoint at /);
    expect(code).toBe(1);
  });

  it('goes on with --checkpoint as if it had not ended', async () => {
    const options = ['--fetch', 'weak', '--operation', '1'];
    const file = join(folder, 'begun.checkpoint');
    const { report: whole } = await explore('first-trampoline', ...options);
    const begun = await explore('first-trampoline', ...options, '--checkpoint', file, '--most-states', '20');
    expect(begun.code).toBe(1);
    expect(begun.report).toMatchObject({ complete: false });
    expect(existsSync(file)).toBe(true);
    const other = await explore('first-trampoline', ...options, '--cpus', '3', '--checkpoint', file);
    expect(other.code).toBe(2);
    expect(other.stderr).toMatch(
      /begun\.checkpoint: is the checkpoint of another exploration: --cpus was 1 and is 3/,
    );
    const { code, report } = await explore('first-trampoline', ...options, '--checkpoint', file);
    expect(code).toBe(0);
    const { states, transitions, complete, violations } = whole;
    expect(report).toMatchObject({ states, transitions, complete, violations });
    expect(existsSync(file)).toBe(false);
  });

  it('takes no other file for a checkpoint', async () => {
    const file = join(folder, 'other.checkpoint');
    writeFileSync(file, 'nothing of the kind');
    const { code, stderr } = await explore('first-trampoline', '--checkpoint', file);
    expect(code).toBe(2);
    expect(stderr).toMatch(/other\.checkpoint: is no checkpoint of hotpatch explore/);
    const each = await explore('first-trampoline', '--no-reduction', '--checkpoint', join(folder, 'none'));
    expect(each.code).toBe(2);
  });

  it('explores another generation of the engine than the scenario boots', async () => {
    const { code, report } = await explore('first-trampoline', '--protocol', 'windows-earlier');
    expect(code).toBe(0);
    expect(report).toMatchObject({ complete: true, violations: [] });
  });
});
