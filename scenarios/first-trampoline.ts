import { defineScenario, Lab } from 'hotpatch-lab';

/** Images built by clang and lld from test/fixtures/src/packets.c; `npm run fixtures` builds them again. */
const images = new URL('../test/fixtures/x64/', import.meta.url);

export default defineScenario('The first trampoline: what changes, byte by byte', async ({ expect, say }) => {
  const lab = Lab.boot({ architecture: 'x64' });
  const driver = lab.loadDriver(new URL('base/packets.sys', images));

  // The driver believes the length byte of a packet: this one says 5, but only 2 bytes arrived.
  const ReceivePacket = driver.symbol('ReceivePacket');
  const shortPacket = lab.allocate(Uint8Array.of(1, 5, 10, 20, 30, 40, 50));
  expect(lab.call(ReceivePacket, [shortPacket, 2])).toBe(570); // it summed up bytes that were never sent

  say('\nBefore: six bytes of padding, then the function.');
  say(await lab.listing(ReceivePacket - 6n, 9));
  const before = driver.codeBytes();

  say('\nThe hotpatch image is loaded and applied.');
  const patch = lab.loadHotPatch(new URL('patch/packets_hp.sys', images));
  expect(patch.state).toBe('applied');

  say('\nAfter: the first instruction is a jump of two bytes, back into the padding,');
  say(await lab.listing(ReceivePacket, 1));
  say('\nwhere a jump of five bytes leads to the Hotpatch Address Table,');
  say(await lab.listing(ReceivePacket - 5n, 1));
  say('\nwhose code slot jumps through its data slot, one page further,');
  say(await lab.listing(lab.address('packets!HPAT[0].code'), 1));
  const target = driver.domain.addressSpace.readU64(lab.address('packets!HPAT[0].data'));
  say(`\ninto the patch image: ${lab.describe(target)}`);
  expect(lab.describe(target)).toBe('packets_hp!ReceivePacket');

  // Nothing else in the driver has changed: five bytes of padding, two at the entry.
  const after = driver.codeBytes();
  const changed = [...before.keys()].filter((i) => before[i] !== after[i]);
  const entry = driver.rva(ReceivePacket) - 0x1000;
  expect(changed.map((i) => i - entry)).toEqual([-5, -4, -3, -2, -1, 0, 1]);

  say('\nThe same call now refuses the packet: STATUS_INVALID_PARAMETER.');
  expect(lab.call(ReceivePacket, [shortPacket, 2])).toBeStatus('STATUS_INVALID_PARAMETER');
  expect(lab.call(driver.symbol('PacketsSeen'))).toBe(2); // old and new code count in the same variable
});
