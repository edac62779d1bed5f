import { defineScenario, Lab } from 'hotpatch-lab';

const images = new URL('../test/fixtures/x64/', import.meta.url);

export default defineScenario(
  'A module of the Secure Kernel is patched, and NT never sees it',
  ({ expect, say }) => {
    const lab = Lab.boot({ architecture: 'x64' });
    lab.loadSecureImage(new URL('hpimport.dll', images));
    const module = lab.loadSecureImage(new URL('base/demo.dll', images));
    const call = (name: string) => lab.secureKernel.call(module.symbol(name));
    expect(call('leaf_opaque')).toBe(42);

    say('\nThe module is in VTL1: no list of NT has it, and no address of NT leads to it.');
    expect(lab.kernel.system.findImage('demo')).toBe(undefined);
    expect(() => lab.kernel.system.addressSpace.read(module.dllBase, 16)).toThrow();

    say('\nNT loads the patch, asks the Secure Kernel whose base it is, and the Secure Kernel applies it.');
    const patch = lab.loadHotPatch(new URL('patch/demo_hp.dll', images));
    expect(patch.status.name).toBe('STATUS_SUCCESS');
    expect(call('leaf_opaque')).toBe(43);

    lab.unloadHotPatch(patch);
    expect(call('leaf_opaque')).toBe(42);
    expect(module.codeBytes()).toEqual(module.codeBytesBeforePatch);
  },
);
