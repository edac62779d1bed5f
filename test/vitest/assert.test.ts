import { AssertionError } from 'node:assert';
import { Lab } from 'hotpatch-lab';
import { executesBase, executesPatch, hasOriginalBytes, returns } from 'hotpatch-lab/assert';
import { expect, it } from 'vitest';
import { fixture } from '../support.js';

async function patched() {
  const lab = await Lab.boot({ architecture: 'x64' });
  const driver = await lab.loadDriver(fixture('x64/base/packets.sys'));
  const packet = lab.allocate(Uint8Array.of(1, 5, 10, 20, 30, 40, 50));
  await lab.loadHotPatch(fixture('x64/patch/packets_hp.sys'));
  return { lab, driver, thread: lab.startThread(driver.symbol('HandleRequest'), [packet, 2]) };
}

function failure(call: () => void): AssertionError {
  try {
    call();
  } catch (error) {
    if (error instanceof AssertionError) return error;
    throw error;
  }
  throw new Error('it held');
}

it('the assertions for node:test hold where the matchers do', async () => {
  const { driver, thread } = await patched();
  executesPatch(thread, 'ReceivePacket');
  executesBase(thread, 'HandleRequest');
  returns(thread, 'STATUS_INVALID_PARAMETER');
  returns(thread);
  expect(failure(() => executesBase(thread, 'ReceivePacket')).message).toMatch(
    /to execute ReceivePacket of its base image\nof ReceivePacket it executed packets_hp!ReceivePacket \(patch, \d+ instructions\)/,
  );
  // STATUS_INVALID_PARAMETER (ntstatus.h)
  expect(failure(() => returns(thread, 570))).toMatchObject({
    actual: expect.stringContaining('0xc000000d'),
    expected: '570 (0x23a)',
  });
  // jmp $-5 over sub rsp, 28h
  expect(failure(() => hasOriginalBytes(driver)).message).toContain('eb f9');
});

it('and say nothing of an image that is not patched', async () => {
  using lab = await Lab.boot({ architecture: 'x64' });
  hasOriginalBytes(await lab.loadDriver(fixture('x64/base/packets.sys')));
  expect(() => returns({} as never)).toThrow(TypeError);
});
