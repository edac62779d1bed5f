import type { Lab } from 'hotpatch-lab';
import { type LabFixtures, test } from 'hotpatch-lab/vitest';
import { afterAll, describe, expect } from 'vitest';
import { fixture } from '../support.js';

const seen: Lab[] = [];

/** A machine that is gone refuses to run. */
const isGone = (lab: Lab) => {
  try {
    lab.kernel.processes[0] ?? lab.createProcess('a.exe');
    lab.allocate('text');
    return false;
  } catch {
    return true;
  }
};

describe('the fixture lab', () => {
  test('is a machine that works', ({ lab }) => {
    seen.push(lab);
    const driver = lab.loadDriver(fixture('x64/base/packets.sys'));
    expect(lab.kernel.architecture.name).toBe('x64');
    expect(lab.startThread(driver.symbol('PacketsSeen'))).toHaveResult(0);
    expect(isGone(lab)).toBe(false);
  });

  test('is another one in another test, and the first is gone', ({ lab }) => {
    seen.push(lab);
    expect(lab).not.toBe(seen[0]);
    expect(seen.map(isGone)).toEqual([true, false]);
  });

  const onArm64 = test.extend<Pick<LabFixtures, 'labOptions'>>({
    labOptions: { architecture: 'arm64', processors: 2 },
  });

  onArm64('is booted as a test wants it', ({ lab }) => {
    seen.push(lab);
    expect(lab.kernel.architecture.name).toBe('arm64');
    expect(lab.kernel.machine.processors.length).toBe(2);
  });

  test.fails('is disposed of when a test fails too', ({ lab }) => {
    seen.push(lab);
    expect(lab).toBeUndefined();
  });

  afterAll(() => {
    if (seen.map(isGone).join() !== 'true,true,true,true') throw new Error('a machine was left');
  });
});
