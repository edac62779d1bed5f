import { Lab } from 'hotpatch-lab';
import { describe, expect, it } from 'vitest';
import { fixture } from '../support.js';

describe('the code of a driver', () => {
  it('is changed by the Secure Kernel', async () => {
    using lab = await Lab.boot({ architecture: 'x64' });
    const { domain, codeBytes, address } = await changeable(lab);
    domain.writer.writeCode(address, Uint8Array.of(0xcc));
    expect(codeBytes()[0]).toBe(0xcc);
  });

  it('is changed by nobody where the Secure Kernel does not run', async () => {
    using lab = await Lab.boot({ architecture: 'x64', vbs: false });
    const { domain, codeBytes, address } = await changeable(lab);
    const before = codeBytes();
    expect(() => domain.writer.writeCode(address, Uint8Array.of(0xcc))).toThrow(
      /nothing may change kernel code \(secureKernelNotRunning, STATUS_NOT_SUPPORTED\)/,
    );
    expect(codeBytes()).toEqual(before);
  });
});

async function changeable(lab: Lab) {
  const driver = await lab.loadDriver(fixture('x64/base/packets.sys'));
  const text = driver.executableSections[0]?.virtualAddress ?? 0;
  return { domain: driver.domain, address: driver.address(text), codeBytes: () => driver.codeBytes() };
}
