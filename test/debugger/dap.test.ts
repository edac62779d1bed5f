import { mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { DebugProtocol } from '@vscode/debugprotocol';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { hasToolchain } from '../corpus/toolchain.js';
import { dapClient } from './dap-client.js';
import { type BuiltNip, buildNip, lineOf } from './nip.js';

const scenario = fileURLToPath(new URL('../../scenarios/first-trampoline.ts', import.meta.url));

const dap = dapClient();

/** Launches, with these breakpoints, up to the first stop. */
async function launch(
  program: string,
  set: () => Promise<unknown>,
  options: object = {},
): Promise<DebugProtocol.StoppedEvent> {
  await dap.client.initializeRequest();
  const stopped = dap.client.waitForEvent('stopped') as Promise<DebugProtocol.StoppedEvent>;
  const initialized = dap.client.waitForEvent('initialized');
  const launched = dap.client.launchRequest({ program, ...options } as DebugProtocol.LaunchRequestArguments);
  await initialized;
  await set();
  await dap.client.configurationDoneRequest();
  await launched;
  return stopped;
}

const atFunctions =
  (...names: string[]) =>
  () =>
    dap.client.setFunctionBreakpointsRequest({ breakpoints: names.map((name) => ({ name })) });

/** Sends a request and waits for the stop that it leads to. */
async function then(command: string, args: object = {}): Promise<DebugProtocol.StoppedEvent['body']> {
  const stopped = dap.client.waitForEvent('stopped') as Promise<DebugProtocol.StoppedEvent>;
  await dap.client.customRequest(command, args);
  return (await stopped).body;
}

async function frames(threadId: number): Promise<DebugProtocol.StackFrame[]> {
  return (await dap.client.stackTraceRequest({ threadId })).body.stackFrames;
}

async function evaluated(expression: string, context = 'watch'): Promise<string> {
  return (await dap.client.evaluateRequest({ expression, context })).body.result;
}

describe('a scenario behind the Debug Adapter Protocol', () => {
  it('steps through a trampoline by instructions, and back over it', async () => {
    const { body } = await launch(scenario, atFunctions('packets!ReceivePacket'));
    expect(body).toMatchObject({ reason: 'breakpoint', allThreadsStopped: true });
    const { reason, threadId = 0 } = await then('continue', { threadId: body.threadId });
    expect(reason).toBe('breakpoint');
    const at = async () => (await frames(threadId))[0]?.name;
    expect(await at()).toBe('packets!ReceivePacket');
    const instruction = { threadId, granularity: 'instruction' };
    const way: (string | undefined)[] = [];
    for (let i = 0; i < 3; i++) {
      await then('stepIn', instruction);
      way.push(await at());
    }
    expect(way[1]).toBe('packets!HPAT[0].code');
    expect(way[2]).toBe('packets_hp!ReceivePacket (hotpatch)');
    for (let i = 0; i < 3; i++) await then('stepBack', instruction);
    expect(await at()).toBe('packets!ReceivePacket');
    expect(await then('reverseContinue', { threadId })).toMatchObject({ reason: 'breakpoint' });
  });

  it('shows registers, the HPAT, the undo table, code and memory', async () => {
    const { body } = await launch(scenario, atFunctions('packets_hp!ReceivePacket'));
    const threadId = body.threadId ?? 0;
    const [top] = await frames(threadId);
    const scopes = async (frameId = 0) => (await dap.client.scopesRequest({ frameId })).body.scopes;
    const variables = async (reference = 0) =>
      (await dap.client.variablesRequest({ variablesReference: reference })).body.variables;

    const [registers] = await scopes(top?.id);
    expect(registers?.name).toBe('Registers');
    const rip = (await variables(registers?.variablesReference)).find(({ name }) => name === 'rip');
    expect(rip?.value).toContain('packets_hp!ReceivePacket');

    const memory = await dap.client.customRequest('readMemory', {
      memoryReference: await evaluated('packets!ReceivePacket').then((text) =>
        text.split(' ')[0]?.replace('`', ''),
      ),
      count: 2,
    });
    expect(Buffer.from(memory.body.data, 'base64').toString('hex')).toBe('ebf9');

    const code = await dap.client.customRequest('disassemble', {
      memoryReference: top?.instructionPointerReference,
      instructionOffset: -3,
      instructionCount: 8,
    });
    expect(code.body.instructions).toHaveLength(8);
    expect(code.body.instructions[3]).toMatchObject({
      address: top?.instructionPointerReference,
      instructionBytes: '4883ec28',
    });
    expect(await evaluated('lm', 'repl')).toContain('packets_hp');
    const { patches } = (await dap.client.customRequest('hotpatch/patches')).body;
    expect(patches).toEqual([{ name: 'packets_hp.sys', state: 'applied', status: 'STATUS_SUCCESS' }]);
    const undone = await dap.client.customRequest('hotpatch/revert', {});
    expect(undone.body.patches).toMatchObject([{ name: 'packets_hp.sys', state: 'reverted' }]);
  });

  it('says what is wrong, and goes on', async () => {
    await launch(scenario, atFunctions('packets!ReceivePacket'));
    await expect(dap.client.evaluateRequest({ expression: 'nosuch!thing' })).rejects.toThrow(
      /cannot resolve/,
    );
    await expect(dap.client.customRequest('nosuch')).rejects.toThrow(/not supported/);
    await expect(dap.client.customRequest('disassemble', {})).rejects.toThrow();
    await expect(dap.client.customRequest('scopes', { frameId: 99 })).rejects.toThrow(/no frame 99/);
    expect(await evaluated('1+1')).toContain('00000002');
  });

  it('ends with the scenario, and says when there is none', async () => {
    await dap.client.initializeRequest();
    const ended = dap.client.waitForEvent('terminated');
    await expect(
      dap.client.launchRequest({ program: 'no/such/file.ts' } as DebugProtocol.LaunchRequestArguments),
    ).rejects.toThrow(/no\/such\/file|no such file/);
    await ended;
  });
});

describe.skipIf(!hasToolchain())('source lines', () => {
  const folder = mkdtempSync(join(tmpdir(), 'hotpatch-dap-'));
  const program = join(folder, 'nip.ts');
  let nip: BuiltNip;
  beforeAll(() => {
    nip = buildNip(folder, 'x64');
    writeFileSync(
      program,
      `import { defineScenario, Lab } from 'hotpatch-lab';
export default defineScenario('nip', async () => {
  const lab = await Lab.boot({ architecture: 'x64' });
  const nip = await lab.loadImage(${JSON.stringify(nip.base)});
  lab.call(nip.symbol('entry'), [1, 3]);
  await lab.loadHotPatch(${JSON.stringify(nip.patch)});
  lab.call(nip.symbol('entry'), [0, 30]);
});
`,
    );
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  const atLines =
    (...lines: number[]) =>
    () =>
      dap.client.setBreakpointsRequest({
        source: { path: join(folder, 'nip.c') },
        breakpoints: lines.map((line) => ({ line })),
      });
  const place = async (threadId: number) => {
    const [top] = await frames(threadId);
    return `${top?.source?.path?.replace(folder, '.')}:${top?.line} ${top?.name.replace(/\+0x\w+/, '')}`;
  };

  it('stops at a line of the base, steps by lines, and stops at the line that was fixed in the patch image', async () => {
    const { body } = await launch(program, atLines(lineOf('int first')));
    const threadId = body.threadId ?? 0;
    expect(await place(threadId)).toBe(`./nip.c:${lineOf('int first')} nip!entry`);
    await then('next', { threadId });
    expect(await place(threadId)).toBe(`./nip.c:${lineOf('int second')} nip!entry`);
    await then('stepIn', { threadId });
    expect(await place(threadId)).toBe(`./nip.c:${lineOf('int room')} nip!receive`);
    await then('stepOut', { threadId });
    expect(await place(threadId)).toMatch(/nip!entry$/);
    // Before the hotpatch is there the line has no code: the next one has.
    const { body: set } = await atLines(lineOf('if (length'))();
    expect(set.breakpoints).toMatchObject([{ verified: true, line: lineOf('lengths[index & 3] = room') }]);
    const second = await then('continue', { threadId });
    expect(await place(second.threadId ?? 0)).toBe(
      `./nip.c:${lineOf('if (length')} nip_hp!receive (hotpatch)`,
    );
    await then('stepBack', { threadId: second.threadId });
    expect(await place(second.threadId ?? 0)).toBe(`./nip.c:${lineOf('int room')} nip_hp!receive (hotpatch)`);
  });

  it('finds a source file that has moved in the folders that launch.json names', async () => {
    const moved = join(folder, 'moved');
    mkdirSync(moved);
    renameSync(join(folder, 'nip.c'), join(moved, 'nip.c'));
    const { body } = await launch(program, atFunctions('nip!entry'), { sourcePaths: [moved] });
    const [top] = await frames(body.threadId ?? 0);
    expect(top?.source?.path).toBe(join(moved, 'nip.c'));
  });
});
