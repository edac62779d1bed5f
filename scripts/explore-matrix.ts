/**
 * Explores every form of the engine with every operation, one to three processors, coherent and weak instruction fetch,
 * then shows that every negative control is caught. Prints Markdown; `--write` puts it into docs/proof.md; `--quick`
 * leaves three processors out. Exits with 1 when a real protocol breaks a property or a control is not caught.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import {
  type Exploration,
  explore,
  firstInstruction,
  formatSchedule,
  type Generation,
  type OperationKind,
  PROTOCOLS,
  shapeSubject,
  type WriteProtocol,
  windows,
} from '../src/proof/index.js';

interface Form {
  readonly name: string;
  readonly architecture: 'x64' | 'x86' | 'arm64';
  readonly generation?: Generation;
}

const FORMS: readonly Form[] = [
  { name: 'x64 current', architecture: 'x64' },
  { name: 'x64 earlier', architecture: 'x64', generation: { hpatLayout: 'pointers' } },
  { name: 'x64 retpoline', architecture: 'x64', generation: { retpoline: true } },
  { name: 'x86', architecture: 'x86' },
  { name: 'ARM64', architecture: 'arm64' },
];
const OPERATIONS: readonly OperationKind[] = ['apply', 'repatch', 'revert'];
const FETCH = ['coherent', 'weak'] as const;
const TEN_MINUTES = 600;

const quick = process.argv.includes('--quick');
const lines: string[] = [];
let failed = false;

function say(line: string): void {
  lines.push(line);
  console.log(line);
}

function verdict({ complete, bound, violations }: Exploration): string {
  const broken = violations.map(({ rule, count }) => `**${rule}** (${count})`).join(', ');
  return [complete ? 'complete' : `not complete: ${bound}`, broken || 'holds'].join(', ');
}

async function matrix(): Promise<void> {
  say('| form | operation | processors | fetch | states | transitions | executed | seconds | result |');
  say('|---|---|--:|---|--:|--:|--:|--:|---|');
  for (const { name, architecture, generation } of FORMS)
    for (const operation of OPERATIONS)
      for (const processors of quick ? [1, 2] : [1, 2, 3])
        for (const fetch of FETCH) {
          const shape = firstInstruction(architecture, architecture === 'arm64' ? 4 : 2);
          const source = await shapeSubject(shape, operation, generation);
          const result = await explore(source, {
            protocol: windows,
            processors,
            fetch,
            mostSeconds: TEN_MINUTES,
          });
          if (result === undefined) continue;
          const { states, transitions, executed, seconds } = result;
          failed ||= result.violations.length > 0;
          say(
            `| ${name} | ${operation} | ${processors} | ${fetch} | ${states} | ${transitions} | ${executed} | ${seconds.toFixed(2)} | ${verdict(result)} |`,
          );
        }
}

/** The machine on which each control shows what is wrong with it: a 2-byte first instruction, a line's end, weak fetch. */
async function caught(protocol: WriteProtocol): Promise<Exploration | undefined> {
  for (const operation of protocol.operations)
    for (const fetch of FETCH)
      for (const offset of [0, 7])
        for (const length of [5, 2]) {
          const shape = firstInstruction('x64', length, { modulo: 16, offset });
          const result = await explore(await shapeSubject(shape, operation), { protocol, fetch });
          if (result !== undefined && result.violations.length > 0) return result;
        }
  return undefined;
}

async function controls(): Promise<void> {
  for (const protocol of PROTOCOLS.filter(({ kind }) => kind === 'control')) {
    const result = await caught(protocol);
    const shortest = result?.violations.reduce((a, b) =>
      a.schedule.actions.length <= b.schedule.actions.length ? a : b,
    );
    say(`\n**${protocol.name}**: ${protocol.description}.`);
    if (result === undefined || shortest === undefined) {
      failed = true;
      say('NOT CAUGHT.');
      continue;
    }
    say(`Caught (${shortest.rule}: ${shortest.text}), ${result.subject}, ${result.fetch} fetch:\n`);
    say('```');
    for (const line of await formatSchedule(shortest.schedule)) say(line);
    say('```');
  }
}

function put(text: string, marker: string, content: string): string {
  const [begin, end] = [`<!-- ${marker} -->`, `<!-- end of ${marker} -->`];
  const [before, after] = [text.indexOf(begin), text.indexOf(end)];
  if (before < 0 || after < 0) throw new Error(`docs/proof.md has no marks for ${marker}`);
  return `${text.slice(0, before + begin.length)}\n${content}\n${text.slice(after)}`;
}

const start = performance.now();
await matrix();
const minutes = ((performance.now() - start) / 60_000).toFixed(1);
say(
  `\nMeasured on ${cpus().length} cores of ${cpus()[0]?.model.trim()}, Node ${process.version}; ${minutes} minutes in all.`,
);
const table = lines.splice(0).join('\n');
await controls();
const schedules = lines.join('\n');
if (process.argv.includes('--write')) {
  const file = new URL('../docs/proof.md', import.meta.url);
  const text = put(readFileSync(file, 'utf8'), 'matrix', table);
  writeFileSync(file, put(text, 'controls', schedules));
}
process.exitCode = failed ? 1 : 0;
