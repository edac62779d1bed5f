import { defineScenario, Lab } from 'hotpatch-lab';

const images = new URL('../test/fixtures/x64/', import.meta.url);

/** The case of msquic.sys for x64: `/FUNCTIONPADMIN:6` leaves room for the jumps of either generation of the engine. */
export default defineScenario(
  'x64: a driver with six bytes of padding is patched by both generations of the engine',
  async ({ expect, say }) => {
    const file = new URL('base/packets.sys', images);
    for (const { hpatLayout, entry, used } of [
      { hpatLayout: 'pairs', entry: [0xeb, 0xf9], used: 5 },
      { hpatLayout: 'pointers', entry: [0xeb, 0xf8], used: 6 },
    ] as const) {
      const lab = Lab.boot({ architecture: 'x64', processors: 2, hpatLayout });
      const driver = lab.loadDriver(file);
      const receive = driver.symbol('ReceivePacket');
      const bytes = (address: bigint, length: number) => driver.domain.addressSpace.read(address, length);
      const packet = lab.allocate(Uint8Array.of(1, 5, 10, 20, 30, 40, 50));
      const handle = () => lab.call(driver.symbol('HandleRequest'), [packet, 2]);
      expect([...bytes(receive - 6n, 6)]).toEqual(new Array(6).fill(0xcc)); // /FUNCTIONPADMIN:6
      say(`\nHPAT as ${hpatLayout}. Before: the two-byte packet is answered with what lies behind it.`);
      expect(handle()).toBe(570);

      const inside = lab.startThread(driver.symbol('HandleRequest'), [packet, 2]);
      lab.run({ until: inside.reaches(receive) });
      const patch = lab.loadHotPatch(new URL('patch/packets_hp.sys', images));
      say(`After: ${used} bytes of the padding and the first two of the function have changed.`);
      say(await lab.listing(receive - BigInt(used), 2));
      expect([...bytes(receive, 2)]).toEqual([...entry]);
      expect(handle()).toBeStatus('STATUS_INVALID_PARAMETER');

      lab.run({ until: inside.returns() });
      expect(inside.result).toBeStatus('STATUS_INVALID_PARAMETER'); // it stood before the first instruction
      lab.unloadHotPatch(patch);
      expect(handle()).toBe(570);
      expect(driver.codeBytes()).toEqual(driver.codeBytesBeforePatch);
    }
  },
);
