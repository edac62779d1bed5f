import { describe, expect, it } from 'vitest';
import { bootPackets } from './packets.js';

describe('the hotpatch of packets.sys', () => {
  it('is needed: the driver reads beyond the packet', async () => {
    using system = await bootPackets();
    expect(system.receive()).toHaveResult(570);
  });

  it('refuses a packet that is too short', async () => {
    using system = await bootPackets();
    await system.patch();
    const thread = system.receive();
    expect(thread).toExecutePatch('ReceivePacket');
    expect(thread).not.toExecuteBase('ReceivePacket');
    expect(thread).toHaveResult('STATUS_INVALID_PARAMETER');
  });

  it.each([1, 2, 3, 4, 5])('lets a thread that is inside finish in old code (seed %i)', async (seed) => {
    using system = await bootPackets(seed);
    const inside = system.receive();
    system.lab.run({ until: inside.reaches(system.driver.symbol('Checksum')) });
    await system.patch();
    expect(inside).toExecuteBase('ReceivePacket');
    expect(inside).toHaveResult(570);
    expect(system.receive()).toHaveResult('STATUS_INVALID_PARAMETER');
  });

  it('goes away without a trace', async () => {
    using system = await bootPackets();
    const patch = await system.patch();
    expect(system.driver).not.toHaveOriginalBytes();
    system.lab.unloadHotPatch(patch);
    expect(system.driver).toHaveOriginalBytes();
    expect(system.receive()).toHaveResult(570);
  });
});
