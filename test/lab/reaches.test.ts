import { Lab } from 'hotpatch-lab';
import { describe, expect, it } from 'vitest';

// llvm-objdump -d: fib+4 is `sub rsp, 28h` (4 bytes), `str x30, [sp, #10h]` (4), `mov ecx, [esp+0ch]` (4).
describe.each(['x64', 'arm64', 'x86'] as const)(
  'a thread that never reaches a place (%s)',
  (architecture) => {
    async function waitFor(offset: number) {
      using lab = await Lab.boot({ architecture });
      await lab.loadImage(`test/fixtures/${architecture}/hpimport.dll`);
      const demo = await lab.loadImage(`test/fixtures/${architecture}/base/demo.dll`);
      const thread = lab.startThread(demo.symbol('fib'), [1]);
      return lab.run({ until: thread.reaches(demo.symbol('fib') + BigInt(offset)) });
    }

    it.each([5, 6, 7])('is told that +%i lies inside an instruction', async (offset) => {
      await expect(waitFor(offset)).rejects.toThrow(
        `to reach demo!fib+0x${offset}, which lies inside the instruction at demo!fib+0x4, but nothing is left to run`,
      );
    });

    it('stands where one begins', async () => {
      expect(await waitFor(4)).toMatchObject({ reason: 'condition' });
    });
  },
);

it('does not say so of an instruction that a patch has written', async () => {
  using lab = await Lab.boot({ architecture: 'x64' });
  const driver = await lab.loadDriver('test/fixtures/x64/base/packets.sys');
  await lab.loadHotPatch('test/fixtures/x64/patch/packets_hp.sys');
  // The entry is `jmp $-5` (2 bytes) now, over `sub rsp, 28h` (4 bytes).
  const thread = lab.startThread(driver.symbol('PacketsSeen'));
  const until = thread.reaches(driver.symbol('ReceivePacket') + 2n);
  expect(() => lab.run({ until })).toThrow('to reach packets!ReceivePacket+0x2, but nothing is left to run');
});
