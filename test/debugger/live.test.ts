import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { DebugProtocol } from '@vscode/debugprotocol';
import { afterAll, describe, expect, it } from 'vitest';
import { fixture } from '../support.js';
import { dapClient } from './dap-client.js';

const image = fixture('x64/base/packets.sys');
const patch = fixture('x64/patch/packets_hp.sys');

const folder = mkdtempSync(join(tmpdir(), 'hotpatch-live-'));
/** Its length byte says 5, and the caller says that 2 bytes arrived: 570 is what the old function makes of it. */
const packet = join(folder, 'packet');
writeFileSync(packet, Uint8Array.of(1, 5, 10, 20, 30, 40, 50));
const call = `HandleRequest @${packet} 2`;
/** One that the old function sums up for many slices: 199 zeros, and 7. */
const longPacket = join(folder, 'long');
writeFileSync(longPacket, Uint8Array.of(1, 200, ...Array.from({ length: 199 }, () => 0), 7));
afterAll(() => rmSync(folder, { recursive: true }));

interface Frame {
  readonly text: string;
  readonly side: string;
  readonly hop?: string;
}

interface State {
  readonly position: string;
  readonly isIdle: boolean;
  readonly thread: number;
  readonly threads: readonly { readonly id: number; readonly frames: readonly Frame[] }[];
  readonly functions: readonly {
    readonly versions: readonly {
      readonly image: string;
      readonly instructions: readonly {
        readonly bytes: string;
        readonly hop?: string;
        readonly isChanged?: boolean;
      }[];
    }[];
  }[];
  readonly tables: readonly {
    readonly slots: readonly { readonly owner: string; readonly target: string }[];
  }[];
  readonly results: readonly { readonly state: string; readonly text?: string }[];
}

const dap = dapClient();

/** Launches the image, and stops at the first instruction of its first call. */
async function launch(first = call): Promise<number> {
  await dap.client.initializeRequest();
  const stopped = dap.client.waitForEvent('stopped') as Promise<DebugProtocol.StoppedEvent>;
  const initialized = dap.client.waitForEvent('initialized');
  const launched = dap.client.launchRequest({ image, call: first, stopOnEntry: true } as never);
  await Promise.race([initialized, launched]);
  await dap.client.configurationDoneRequest();
  await launched;
  return (await stopped).body.threadId ?? 0;
}

async function state(functions: readonly string[] = ['ReceivePacket'], threadId?: number): Promise<State> {
  return (await dap.client.customRequest('hotpatch/state', { functions, threadId })).body;
}

/** Sends a request and waits for the event that it leads to. */
async function until(event: string, command: string, args: object = {}): Promise<void> {
  const happened = dap.client.waitForEvent(event);
  await dap.client.customRequest(command, args);
  await happened;
}

async function runTo(place: string): Promise<void> {
  await dap.client.setFunctionBreakpointsRequest({ breakpoints: [{ name: place }] });
  await until('stopped', 'continue');
  await dap.client.setFunctionBreakpointsRequest({ breakpoints: [] });
}

const sides = ({ threads }: State) => threads.map(({ frames }) => frames.map(({ side }) => side));

describe('a live machine behind the Debug Adapter Protocol', () => {
  it('is patched while a thread stands inside: the call ends as old code, and the next one is new', async () => {
    await launch();
    await runTo('Checksum+2');
    const before = await state();
    expect(before.threads[0]?.frames.map(({ text }) => text.split('+')[0])).toEqual([
      'packets!Checksum',
      'packets!ReceivePacket', // HandleRequest has jumped to it
    ]);
    expect(sides(before)).toEqual([['base', 'base']]);
    expect(before.functions[0]?.versions.map(({ image }) => image)).toEqual(['packets.sys']);

    await dap.client.customRequest('hotpatch/apply', { path: patch });
    const applied = await state();
    expect(sides(applied)).toEqual([['base', 'old']]);
    expect(applied.tables[0]?.slots).toMatchObject([
      { owner: 'packets!ReceivePacket', target: 'packets_hp!ReceivePacket' },
    ]);
    const [base, added] = applied.functions[0]?.versions ?? [];
    expect(added?.image).toBe('packets_hp.sys');
    const changed = base?.instructions.filter(({ isChanged }) => isChanged === true) ?? [];
    expect(changed.map(({ bytes }) => bytes.slice(0, 2))).toEqual(['e9', 'eb']);
    expect(changed.map(({ hop }) => hop?.split(' →')[0])).toEqual(['pad jump', 'patched entry']);

    await until('hotpatch/idle', 'continue');
    expect((await state()).results).toMatchObject([{ state: 'returned', text: '570 (0x23a)' }]);
    await until('stopped', 'hotpatch/call', { call });
    await until('hotpatch/idle', 'continue');
    expect((await state()).results[1]?.text).toContain('STATUS_INVALID_PARAMETER');
  });

  it('shows one thread in old code and another in new code at the same time', async () => {
    await launch(`HandleRequest @${longPacket} 2`);
    await runTo('Checksum+2');
    await dap.client.customRequest('hotpatch/apply', { path: patch });
    await dap.client.customRequest('hotpatch/call', { call });
    await runTo('packets_hp!ReceivePacket');
    expect(sides(await state())).toEqual([['base', 'old'], ['new']]);
    await until('hotpatch/idle', 'continue');
    const { results } = await state();
    expect(results[0]?.text).toBe('7 (0x7)');
    expect(results[1]?.text).toContain('STATUS_INVALID_PARAMETER');
  });

  it('goes back from the end of a call, and takes another way from there', async () => {
    await launch();
    await until('hotpatch/idle', 'continue');
    await expect(dap.client.customRequest('next', {})).rejects.toThrow(/no call runs/);
    await dap.client.customRequest('hotpatch/apply', { path: patch });
    await until('stopped', 'hotpatch/call', { call });
    await until('hotpatch/idle', 'continue');
    const { results } = await state();
    expect(results[0]?.text).toBe('570 (0x23a)');
    expect(results[1]?.text).toContain('STATUS_INVALID_PARAMETER');

    await until('stopped', 'reverseContinue');
    const first = await state();
    expect(first).toMatchObject({ isIdle: false, tables: [{ slots: [] }] });
    expect(first.results).toMatchObject([{ state: 'running' }]);
    // Patched before the first call has done anything, both calls are new.
    await dap.client.customRequest('hotpatch/apply', { path: patch });
    await until('hotpatch/idle', 'continue');
    const again = await state();
    expect(again.results).toHaveLength(2);
    for (const { text } of again.results) expect(text).toContain('STATUS_INVALID_PARAMETER');
  });

  it('takes a patch back between two calls', async () => {
    await launch();
    await dap.client.customRequest('hotpatch/apply', { path: patch });
    await until('hotpatch/idle', 'continue');
    await dap.client.customRequest('hotpatch/revert', {});
    await until('stopped', 'hotpatch/call', { call });
    await until('hotpatch/idle', 'continue');
    const { results } = await state();
    expect(results[0]?.text).toContain('STATUS_INVALID_PARAMETER');
    expect(results[1]?.text).toBe('570 (0x23a)');
  });

  it('says what a call lacks, and what a thread has crashed of', async () => {
    await launch();
    await expect(dap.client.customRequest('hotpatch/call', { call: 'Nothing' })).rejects.toThrow(/Nothing/);
    await expect(dap.client.customRequest('hotpatch/call', { call: 'PacketsSeen x' })).rejects.toThrow(/'x'/);
    await until('hotpatch/idle', 'continue');
    await until('stopped', 'hotpatch/call', { call: 'ReceivePacket 8 2' });
    await until('hotpatch/idle', 'continue');
    expect((await state()).results[1]).toMatchObject({ state: 'crashed' });
  });

  it('does not start without a function to call', async () => {
    await expect(launch('Nothing')).rejects.toThrow(/Nothing/);
  });
});
