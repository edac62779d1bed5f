import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { afterAll, expect, it } from 'vitest';

const root = fileURLToPath(new URL('../../', import.meta.url));
const work = mkdtempSync(join(tmpdir(), 'hotpatch-dap-streams-'));
afterAll(() => rmSync(work, { recursive: true }));

const message = (seq: number, command: string, given: object) => {
  const text = JSON.stringify({ seq, type: 'request', command, arguments: given });
  return `Content-Length: ${Buffer.byteLength(text)}\r\n\r\n${text}`;
};

/** What is on stdout, if it is nothing but messages of the protocol. */
function messages(stdout: string): { type: string; event?: string }[] {
  const found: { type: string; event?: string }[] = [];
  for (let rest = stdout; rest !== ''; ) {
    const header = /^Content-Length: (\d+)\r\n\r\n/.exec(rest);
    if (header === null) throw new Error(`no message of the protocol: ${rest.slice(0, 80)}`);
    const end = header[0].length + Number(header[1]);
    found.push(JSON.parse(rest.slice(header[0].length, end)));
    rest = rest.slice(end);
  }
  return found;
}

it('what a scenario prints does not come between the messages of the debug adapter', async () => {
  const program = join(work, 'prints.ts');
  writeFileSync(
    program,
    `import { defineScenario } from '${pathToFileURL(join(root, 'lab/index.ts')).href}';
console.log('noise on loading');
export default defineScenario('prints', () => {
  console.info('noise in between');
  process.stdout.write('noise at the end\\n');
});
`,
  );
  const launch = join(work, 'launch.mjs');
  writeFileSync(
    launch,
    `import { main } from '${pathToFileURL(join(root, 'cli/main.ts')).href}';\nawait main(['dap']);\n`,
  );
  const child = spawn(process.execPath, ['--import', 'tsx', launch], { cwd: root });
  const told = { stdout: '', stderr: '' };
  child.stdout.on('data', (chunk) => {
    told.stdout += chunk;
    if (told.stdout.includes('"terminated"') && !child.stdin.writableEnded)
      child.stdin.end(message(4, 'disconnect', {}));
  });
  child.stderr.on('data', (chunk) => {
    told.stderr += chunk;
  });
  child.stdin.write(message(1, 'initialize', { adapterID: 'hotpatch' }));
  child.stdin.write(message(2, 'launch', { program }));
  child.stdin.write(message(3, 'configurationDone', {}));
  await new Promise((resolve) => child.on('close', resolve));
  expect(messages(told.stdout)).toContainEqual(expect.objectContaining({ event: 'terminated' }));
  for (const noise of ['noise on loading', 'noise in between', 'noise at the end'])
    expect(told.stderr).toContain(noise);
});
