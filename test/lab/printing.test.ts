import { inspect } from 'node:util';
import { Lab } from 'hotpatch-lab';
import { describe, expect, it } from 'vitest';

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
    let message = '';
    try {
      expect(part).toEqual({ nothing: true });
    } catch (error) {
      const { diff = '' } = error as { diff?: string };
      message = `${(error as Error).message}\n${diff}`;
    }
    expect(message).toContain('nothing');
    expect(message.split('\n').length).toBeLessThan(60);
  });
});
