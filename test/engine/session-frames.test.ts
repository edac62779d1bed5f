import { Lab, type LoadedImage } from 'hotpatch-lab';
import { describe, expect, it } from 'vitest';
import { fixture } from '../support.js';

/** Which pages of an image's code two sessions share: one frame in both. */
function sharedPages(one: LoadedImage, two: LoadedImage): boolean[] {
  const frame = ({ domain }: LoadedImage, address: bigint) => domain.table.query(address).frame;
  return one.executableSections.flatMap(({ virtualAddress, sizeInMemory }) =>
    Array.from({ length: Math.ceil(sizeInMemory / 0x1000) }, (_, page) => {
      const address = one.address(virtualAddress + page * 0x1000);
      return frame(one, address) === frame(two, address);
    }),
  );
}

// docs/fidelity.md#the-system-around-it: a page of code is the session's own from its first store on, also when that is taken back.
describe.each(['x64', 'arm64'] as const)('code of a session driver on %s', (architecture) => {
  it('is shared until it is patched, each session’s own from then on, and another session’s shared with later ones', () => {
    using lab = Lab.boot({ architecture });
    const load = () =>
      lab.loadSessionDriver(lab.createSession(), fixture(`${architecture}/base/packets.sys`));
    const [one, two] = [load(), load()];
    expect(sharedPages(one, two)).not.toContain(false);

    const patch = lab.loadHotPatch(fixture(`${architecture}/patch/packets_hp.sys`));
    expect(sharedPages(one, two)).toContain(false);
    expect(one.codeBytes()).toEqual(two.codeBytes());
    const [inOne, inTwo] = patch.places;
    if (inOne === undefined || inTwo === undefined) throw new Error('two sessions are patched');
    expect(sharedPages(inOne.loaded, inTwo.loaded)).toContain(false);

    lab.unloadHotPatch(patch);
    expect(sharedPages(one, two)).toContain(false);
    for (const driver of [one, two]) expect(driver.codeBytes()).toEqual(driver.codeBytesBeforePatch);

    // A session that comes now gets the pages of the file.
    const three = load();
    expect(three.codeBytes()).toEqual(three.codeBytesBeforePatch);
  });
});
