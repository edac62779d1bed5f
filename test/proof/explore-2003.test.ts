import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, it } from 'vitest';
import { hotpatch } from '../cli/hotpatch.js';

const scenario = (name: string) => fileURLToPath(new URL(`../../scenarios/${name}.ts`, import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'hotpatch-explore-2003-'));
afterAll(() => rmSync(folder, { recursive: true }));

interface Report {
  readonly complete: boolean;
  readonly violations: readonly { readonly rule: string; readonly schedule: object }[];
  readonly explorations: readonly {
    readonly kind: string;
    readonly roles: readonly {
      readonly place: string;
      readonly expected: { readonly before: string; readonly after: string };
    }[];
  }[];
}

async function explore(name: string, ...options: readonly string[]) {
  const { code, json, stderr } = await hotpatch('explore', scenario(name), ...options, '--json');
  return { code, report: json as Report, stderr };
}

/** What each operation does, where the call is made, and what it returns before and after. */
const told = ({ explorations }: Report) =>
  explorations.map(({ kind, roles }) => {
    const [role] = roles;
    const { before = '', after = '' } = role?.expected ?? {};
    return `${kind} ${role?.place.replace(/ \(.*/, '')}: ${before} ${after}`;
  });

/** SetTitle of a buffer that has no room for the end mark: 4 in the old code, -1 in the new. */
const [OVERFLOWS, REFUSES] = [4, 0xffff_ffff];
/** Weigh of an item behind the end of its table. */
const [BEHIND_THE_END, NOTHING] = [0x7fff, 0];

describe('hotpatch explore, scenarios of Server 2003', () => {
  const apply = (place: string) => `apply ${place}: ${OVERFLOWS} ${REFUSES}`;
  const table = [
    [
      'second-hotfix',
      [1, 2].flatMap(() => [
        apply('explorer.exe'),
        `repatch explorer.exe: ${BEHIND_THE_END} ${NOTHING}`,
        // The older hotpatch comes back; then the original code.
        `revert explorer.exe: ${OVERFLOWS} ${OVERFLOWS}`,
        `revert explorer.exe: ${REFUSES} ${OVERFLOWS}`,
      ]),
    ],
    ['files-in-use', [`apply system: ${570} ${0xc000_000d}`]],
  ] as const;
  it.each(table)('%s: every operation, whoever asked for it', async (name, operations) => {
    const { code, report, stderr } = await explore(`2003-${name}`, '--fetch', 'weak');
    expect(stderr).toBe('');
    expect(code).toBe(0);
    expect(report).toMatchObject({ complete: true, violations: [] });
    expect(told(report)).toEqual(operations);
  });

  it('injected threads: the updater that asks for them is gone when the operation is explored', async () => {
    const { code, report } = await explore('2003-running-and-new-processes');
    expect(code).toBe(0);
    expect(report).toMatchObject({ complete: true, violations: [] });
    expect(told(report).slice(2)).toEqual([
      apply('later.exe'),
      apply('old32.exe'), // the hotpatch of the 32-bit DLL
      'apply explorer.exe: 15731667 507473', // ntdll!RtlpHashBytes of 1, 2, 3
    ]);
  });

  it('each processor calls in another process', async () => {
    const options = ['--operation', '4', '--cpus', '2', '--calls', '1'];
    const { code, report } = await explore('2003-running-and-new-processes', ...options);
    expect(code).toBe(0);
    expect(report).toMatchObject({ complete: true, violations: [] });
    const places = report.explorations[0]?.roles.map(({ place }) => place.replace(/ \(.*/, ''));
    expect(places).toEqual(['old32.exe', 'later.exe']);
  });

  it('a thread that is inside stays inside while processors call', async () => {
    const { code, report } = await explore('2003-code-in-use', '--operation', '1');
    expect(code).toBe(0);
    expect(report).toMatchObject({ complete: true, violations: [] });
  });

  it.each([
    ['padding-restored-underfoot', '4', 'fault'],
    ['padding-restored-first', '4', 'fault'],
    ['no-serialisation', '4', 'stale'],
    ['no-rendezvous', '4', 'fault'],
    ['unmapped-too-early', '4', 'fault'],
    ['byte-by-byte', '1', 'torn'],
  ])('%s in operation %s is caught: %s', async (protocol, operation, rule) => {
    const options = ['--protocol', protocol, '--operation', operation, '--fetch', 'weak'];
    const { code, report } = await explore('2003-second-hotfix', ...options);
    expect(code).toBe(1);
    expect(report.violations.map((violation) => violation.rule)).toContain(rule);
  });

  it('a schedule is replayed by the real engine, in the debugger too', async () => {
    const options = ['--protocol', 'padding-restored-underfoot', '--operation', '4'];
    const { report } = await explore('2003-second-hotfix', ...options);
    const file = join(folder, 'schedule.json');
    writeFileSync(file, JSON.stringify(report.violations[0]?.schedule));
    const run = await hotpatch('run', scenario('2003-second-hotfix'), '--schedule', file);
    expect(run.code).toBe(1);
    expect(run.stdout).toMatch(/NT stores cc cc cc cc cc .*jump in the padding of shell!CopyName/);
    expect(run.stdout).toMatch(/breakpoint at shell!/);
    const step = ['step', scenario('2003-second-hotfix'), '--schedule', file, '--command', 'g'];
    expect((await hotpatch(...step)).stdout).toMatch(/The scenario has ended: breakpoint at shell!/);
  });

  it.each(['windows-retpoline', 'data-slot-after-entry', 'arm64-rendezvous'])(
    '%s means nothing there',
    async (protocol) => {
      const { code, stderr } = await explore(
        '2003-second-hotfix',
        '--protocol',
        protocol,
        '--operation',
        '1',
      );
      expect(code).toBe(2);
      expect(stderr).toContain(`protocol '${protocol}' does not do what`);
    },
  );
});
