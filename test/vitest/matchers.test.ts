import { Lab } from 'hotpatch-lab';
import 'hotpatch-lab/vitest';
import { describe, expect, it, vi } from 'vitest';
import { fixture } from '../support.js';

const INVALID_PARAMETER = 0xc000000d;

async function bootPackets(architecture: 'x64' | 'arm64' = 'x64') {
  const lab = await Lab.boot({ architecture, processors: 2 });
  const driver = await lab.loadDriver(fixture(`${architecture}/base/packets.sys`));
  const packet = lab.allocate(Uint8Array.of(1, 5, 10, 20, 30, 40, 50));
  const start = (name = 'HandleRequest') => lab.startThread(driver.symbol(name), [packet, 2]);
  const patch = () => lab.loadHotPatch(fixture(`${architecture}/patch/packets_hp.sys`));
  return { lab, driver, start, patch, [Symbol.dispose]: () => lab[Symbol.dispose]() };
}

/** What a failing expectation tells. */
function failure(action: () => void): string {
  try {
    action();
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
  throw new Error('the expectation held');
}

describe.each(['x64', 'arm64'] as const)('the matchers on %s', (architecture) => {
  it('tell the base’s code from the patch’s', async () => {
    using system = await bootPackets(architecture);
    const before = system.start();
    expect(before).toExecuteBase('ReceivePacket');
    expect(before).not.toExecutePatch('ReceivePacket');
    expect(before).toHaveResult(570);

    await system.patch();
    const after = system.start();
    expect(after).toExecutePatch('ReceivePacket');
    // The trampoline lies in the base, but it is not the base's code.
    expect(after).not.toExecuteBase('ReceivePacket');
    expect(after).toExecuteBase('packets!HandleRequest');
    expect(after).toHaveResult('STATUS_INVALID_PARAMETER');
  });

  it('see that a thread which was inside finishes in old code', async () => {
    using system = await bootPackets(architecture);
    const inside = system.start();
    system.lab.run({ until: inside.reaches(system.driver.symbol('Checksum')) });
    await system.patch();
    expect(inside).toExecuteBase('ReceivePacket');
    expect(inside).not.toExecutePatch('ReceivePacket');
  });

  it('compare code with what was loaded', async () => {
    using system = await bootPackets(architecture);
    expect(system.driver).toHaveOriginalBytes();
    const patch = await system.patch();
    expect(system.driver).not.toHaveOriginalBytes();
    system.lab.unloadHotPatch(patch);
    expect(system.driver).toHaveOriginalBytes();
  });
});

describe('a failing expectation tells', () => {
  it('what was executed instead', async () => {
    using system = await bootPackets();
    const thread = system.start();
    expect(failure(() => expect(thread).toExecutePatch('ReceivePacket'))).toMatch(
      /^expected thread \d+, packets!HandleRequest, to execute ReceivePacket of a patch image\nof ReceivePacket it executed packets!ReceivePacket \(base, \d+ instructions\)$/,
    );
    expect(failure(() => expect(thread).toExecuteBase('DriverUnload'))).toMatch(
      /executed nothing of DriverUnload, but packets!HandleRequest \(base, 1 instruction\), packets!ReceivePacket \(base, \d+ instructions\)/,
    );
    expect(failure(() => expect(thread).not.toExecuteBase('Checksum'))).toContain(
      'not to execute Checksum of its base image',
    );
    expect(failure(() => expect(thread).toExecuteBase('other!Checksum'))).toContain('executed nothing of');
  });

  it('which bytes differ, and what they mean', async () => {
    using system = await bootPackets();
    await system.patch();
    const told = failure(() => expect(system.driver).toHaveOriginalBytes());
    expect(told.split('\n')[0]).toBe(
      'expected packets.sys to have its original bytes, but 2 place(s) differ:',
    );
    expect(told.split('\n').slice(4)).toEqual([
      '  packets!ReceivePacket (fffff800`100010a0), 2 byte(s)',
      '    original 48 83                    sub rsp,28h',
      '    found    eb f9                    jmp fffff800`1000109b',
    ]);
    expect(told).toMatch(/original cc cc cc cc cc {11}int 3\n {4}found {4}e9 60 4f 00 00 {11}jmp /);
    system.lab.unloadHotPatch([...system.lab.engine.patches][0] ?? expect.fail());
    expect(failure(() => expect(system.driver).not.toHaveOriginalBytes())).toContain(
      'nothing of it is patched',
    );
  });

  it('what was returned instead, or why nothing was', async () => {
    using system = await bootPackets();
    const thread = system.start();
    expect(failure(() => expect(thread).toHaveResult(571))).toMatch(
      /to return 571 \(0x23b\), but it returned 570 \(0x23a\)$/,
    );
    expect(failure(() => expect(thread).not.toHaveResult(570))).toContain('not to return 570');
    expect(failure(() => expect(thread).toHaveResult('STATUS_SUCCESS'))).toContain('0 (0x0) STATUS_SUCCESS');
    const lost = system.lab.startThread(0xfffff800_20000000n);
    expect(failure(() => expect(lost).toHaveResult(0))).toMatch(
      /to return 0, but: access violation: execute of/,
    );
    expect(failure(() => expect(lost).toHaveResult())).toMatch(/to return, but: access violation/);
  });
});

describe('toHaveResult', () => {
  it('takes C integers, NTSTATUS names and whole registers', async () => {
    using system = await bootPackets();
    await system.patch();
    const thread = system.start();
    expect(thread).toHaveResult(INVALID_PARAMETER);
    expect(thread).toHaveResult(INVALID_PARAMETER - 2 ** 32);
    expect(thread).toHaveResult('STATUS_INVALID_PARAMETER');
    expect(thread).toHaveResult();
    expect(thread).toHaveResult(thread.returnValue ?? 0n);
    expect(thread).not.toHaveResult((1n << 63n) | BigInt(INVALID_PARAMETER));
    expect(() => expect(thread).toHaveResult(2 ** 40)).toThrow('is no 32-bit integer');
  });

  it('is another one than vitest’s matcher of mock functions, which is as it was', async () => {
    const mock = vi.fn(() => 1);
    expect(mock).not.toReturn();
    mock();
    expect(mock).toReturn();
    using system = await bootPackets();
    expect(() => expect(system.start()).toReturn()).toThrow('is not a spy');
  });
});

describe('what cannot be expected anything of', () => {
  it('is refused with what to pass instead', async () => {
    using system = await bootPackets();
    expect(() => expect(570).toHaveResult(570)).toThrow('expect a Thread');
    expect(() => expect(system.driver).toExecutePatch('ReceivePacket')).toThrow('expect a Thread');
    expect(() => expect(system.start()).toHaveOriginalBytes()).toThrow('expect a LoadedImage');
    const ended = system.start();
    system.lab.run({ until: ended.returns() });
    expect(ended).toHaveResult(570);
    expect(() => expect(ended).toExecuteBase('ReceivePacket')).toThrow('had ended before anybody watched');
  });
});
