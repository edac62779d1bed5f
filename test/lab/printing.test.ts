import { inspect } from 'node:util';
import { processError } from '@vitest/utils/error';
import { Lab } from 'hotpatch-lab';
import { describe, expect, it } from 'vitest';

function thrown(call: () => void): unknown {
  try {
    call();
  } catch (error) {
    return error;
  }
  throw new Error('it threw nothing');
}

const fixture = (path: string) => `test/fixtures/x64/${path}`;

describe('printing', () => {
  const lab = Lab.boot({ architecture: 'x64' });
  const driver = lab.loadDriver(fixture('base/packets.sys'));
  const process = lab.createProcess('a.exe');
  const parts = {
    Lab: lab,
    Kernel: lab.kernel,
    LoadedImage: driver,
    Patch: lab.loadHotPatch(fixture('patch/packets_hp.sys')),
    Process: process,
    Session: lab.createSession(),
    ImageDomain: process.domain,
    Thread: lab.startThread(driver.symbol('PacketsSeen')),
  };

  it.each(Object.entries(parts))('of a %s is a line', (name, part) => {
    const text = inspect(part);
    expect(text).toMatch(new RegExp(`^${name} \\{ .+ \\}$`));
    expect(text.length).toBeLessThan(200);
  });

  it.each(Object.entries(parts))('of a comparison with a %s that fails is short', (_name, part) => {
    const error = processError(thrown(() => expect({ part }).toEqual({ nothing: true }))) as {
      readonly message: string;
      readonly diff: string;
    };
    expect(error.diff).toContain('nothing');
    expect(error.message.length).toBeLessThan(200);
    expect(error.diff.split('\n').length).toBeLessThan(30);
  });
});
