import { fileURLToPath } from 'node:url';
import { Lab } from 'hotpatch-lab';

const image = (name: string) => fileURLToPath(new URL(`../images/${name}`, import.meta.url));

/** A machine on which the driver runs, and a packet that says 5 bytes, of which none arrived. */
export async function bootPackets(seed = 1) {
  const lab = await Lab.boot({ architecture: 'x64', processors: 2, seed });
  const driver = await lab.loadDriver(image('packets.sys'));
  const shortPacket = lab.allocate(Uint8Array.of(1, 5, 10, 20, 30, 40, 50));
  return {
    lab,
    driver,
    /** A thread that hands the packet to the driver, and has not run yet. */
    receive: () => lab.startThread(driver.symbol('HandleRequest'), [shortPacket, 2]),
    patch: () => lab.loadHotPatch(image('packets_hp.sys')),
    [Symbol.dispose]: () => lab[Symbol.dispose](),
  };
}
