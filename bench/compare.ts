/**
 * What this project aims at, each with its anchor measured in the same run: `npm run bench -- --compare`. Prints a table
 * and writes out/bench-compare.json. By the clock, so that the machine should have nothing else to do.
 */
import { spawnSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { cpus, loadavg, release } from 'node:os';
import { performance } from 'node:perf_hooks';
import { fileURLToPath } from 'node:url';
import { defaultCounting, findUnicorn } from '../cpu/index.js';
import { Lab } from '../lab/index.js';
import { compareLoops, median } from './cpu.js';
import { measureFunctions } from './engine.js';

interface Row {
  readonly what: string;
  readonly measured: string;
  readonly anchor: string;
  readonly aim: string;
  readonly isReached: boolean;
}

const root = fileURLToPath(new URL('../', import.meta.url));
const ROUNDS = 7;
const fixture = (path: string) => `${root}test/fixtures/${path}`;

function wall(args: readonly string[]): number {
  const started = performance.now();
  spawnSync(process.execPath, args, { cwd: root, stdio: 'ignore' });
  return performance.now() - started;
}

function coldStart(): Row[] {
  const command = (...args: string[]) => ['bin/hotpatch.js', ...args];
  const base = fixture('x64/base/demo.dll');
  const cases: readonly (readonly [string, readonly string[], number])[] = [
    ['hotpatch --version', command('--version'), 1.5],
    ['hotpatch inspect', command('inspect', base), 2.5],
    [
      'hotpatch call --patch',
      command('call', base, 'hp_entry', '3', '4', '--patch', fixture('x64/patch/demo_hp.dll')),
      3.5,
    ],
  ];
  return cases.map(([what, args, aim]) => {
    const pairs = Array.from({ length: ROUNDS }, () => ({ empty: wall(['-e', '0']), own: wall(args) }));
    const own = median(pairs.map((pair) => pair.own));
    const empty = median(pairs.map((pair) => pair.empty));
    const ratio = own / empty;
    return {
      what: `${what}, cold`,
      measured: `${own.toFixed(0)} ms = ${ratio.toFixed(1)} times`,
      anchor: `node -e 0: ${empty.toFixed(0)} ms`,
      aim: `≤ ${aim} times`,
      isReached: ratio <= aim,
    };
  });
}

function loops(): Row[] {
  const compared = compareLoops();
  if (compared === undefined) return [];
  const millions = (speed: number) => `${(speed / 1e6).toFixed(0)} M/s`;
  return compared.flatMap(({ loop, here, c, ratio, recorder }) => [
    {
      what: `${loop}, guest instructions`,
      measured: `${millions(here)} = ${ratio.toFixed(2)} of it`,
      anchor: `C, not counting: ${millions(c)}`,
      aim: '≥ 0.60',
      isReached: ratio >= 0.6,
    },
    {
      what: `${loop}, recorded`,
      measured: millions(recorder),
      anchor: '',
      aim: '≥ 100 M/s',
      isReached: recorder >= 1e8,
    },
  ]);
}

function applying(): Row[] {
  return [
    { functions: 1000, apply: 60, revert: 10 },
    { functions: 10_000, apply: 25, revert: 10 },
  ].map(({ functions, apply, revert }) => {
    const { applyMs, revertMs } = measureFunctions(functions);
    const each = (ms: number) => (ms * 1000) / functions;
    return {
      what: `applying and reverting ${functions} functions of one driver`,
      measured: `${each(applyMs).toFixed(0)} and ${each(revertMs).toFixed(0)} µs a function`,
      anchor: '',
      aim: `≤ ${apply} and ${revert} µs`,
      isReached: each(applyMs) <= apply && each(revertMs) <= revert,
    };
  });
}

function labs(): Row[] {
  return (['x64', 'arm64'] as const).map((architecture) => {
    const times = Array.from({ length: 60 }, () => {
      const started = performance.now();
      {
        using lab = Lab.boot({ architecture });
        lab.addFile(fixture(`${architecture}/hpimport.dll`));
        lab.loadDll(lab.createProcess('a.exe'), fixture(`${architecture}/base/demo.dll`));
        lab.loadHotPatch(fixture(`${architecture}/patch/demo_hp.dll`));
      }
      return performance.now() - started;
    }).slice(10);
    const p50 = median(times);
    const aim = { x64: 5, arm64: 8 }[architecture];
    return {
      what: `boot, load, patch and dispose of a Lab, ${architecture}, p50`,
      measured: `${p50.toFixed(1)} ms`,
      anchor: '',
      aim: `≤ ${aim} ms`,
      isReached: p50 <= aim,
    };
  });
}

export function compare(): void {
  const [processor] = cpus();
  const unicorn = findUnicorn()?.version ?? 'none';
  const machine = {
    processor: processor?.model ?? 'unknown',
    processors: cpus().length,
    system: `${process.platform}-${process.arch} ${release()}`,
    node: process.version,
    unicorn,
    counting: defaultCounting(),
    load: loadavg()[0] ?? 0,
  };
  console.log(machine);
  const rows = [...applying(), ...labs(), ...coldStart(), ...loops()];
  console.table(rows);
  mkdirSync(`${root}out`, { recursive: true });
  writeFileSync(`${root}out/bench-compare.json`, `${JSON.stringify({ machine, rows }, undefined, 2)}\n`);
}
