import { BugCheck, GuestCrash, HotPatchError, ImageError, isLabError, KernelError, Lab } from 'hotpatch-lab';
import { BuildError } from 'hotpatch-lab/builder';
import { assemble, CpuError } from 'hotpatch-lab/cpu';
import { readImage } from 'hotpatch-lab/image';
import { describe, expect, it } from 'vitest';

const base = 'test/fixtures/x64/base/packets.sys';
const patch = 'test/fixtures/x64/patch/packets_hp.sys';

async function caught(action: () => unknown): Promise<unknown> {
  try {
    await action();
  } catch (error) {
    return error;
  }
  return undefined;
}

describe('errors of every room have one shape', () => {
  it.each([
    [
      'cpu',
      CpuError,
      async () => assemble('x64', 'nonsense rax', { address: 0n }),
      { rule: 'unknownInstruction', status: { name: 'STATUS_INVALID_PARAMETER', value: 0xc000000d } },
    ],
    [
      'image',
      ImageError,
      async () => readImage(new Uint8Array(16), { file: 'a.dll' }),
      { rule: 'headers.dosSignature', image: 'a.dll', place: expect.stringContaining('+0x') },
    ],
    [
      'loader',
      KernelError,
      async () => {
        using lab = await Lab.boot({ architecture: 'x64' });
        return (await lab.loadDriver(base)).symbol('Nothing');
      },
      { rule: 'symbolNotFound', image: 'packets.sys', status: { name: 'STATUS_PROCEDURE_NOT_FOUND' } },
    ],
    [
      'a thread that crashed',
      GuestCrash,
      async () => {
        using lab = await Lab.boot({ architecture: 'x64' });
        return lab.call(0n);
      },
      { rule: 'guestCrash', status: { name: 'STATUS_ACCESS_VIOLATION', value: 0xc0000005 } },
    ],
    [
      'the system that stopped',
      BugCheck,
      () => {
        throw new BugCheck(0x109, [1n], 'somebody changed code');
      },
      { rule: 'bugCheck', reason: 'somebody changed code' },
    ],
    [
      'engine',
      HotPatchError,
      async () => {
        using lab = await Lab.boot({ architecture: 'x64', vbs: false });
        await lab.loadDriver(base);
        return lab.loadHotPatch(patch);
      },
      { rule: 'hotPatching.disabled', status: { name: 'STATUS_NOT_SUPPORTED' }, image: 'packets_hp.sys' },
    ],
    [
      'builder',
      BuildError,
      () => {
        throw BuildError.from([
          {
            rule: 'entry.padding',
            severity: 'refusal',
            message: 'too little',
            symbol: 'f',
            count: 1,
            hint: 'build with padding',
          },
        ]);
      },
      { rule: 'entry.padding', reason: 'too little', place: 'f', hint: 'build with padding' },
    ],
  ])('%s', async (_room, type, action, facts) => {
    const error = await caught(action);
    expect(error).toBeInstanceOf(type);
    expect(isLabError(error)).toBe(true);
    expect(error).toMatchObject(facts);
    const { reason, message } = error as KernelError;
    expect(reason).not.toBe('');
    expect(message).toContain(reason);
  });

  it('what is not the laboratory’s has no such shape', () => {
    expect([isLabError(new RangeError('no')), isLabError(undefined), isLabError('text')]).toEqual([
      false,
      false,
      false,
    ]);
  });
});
