import { bytes, defineCase, number } from '../../case.js';

export const status = defineCase({
  name: 'status',
  kind: 'dll',
  weakness: 'CWE-457 Use of uninitialized variable',
  after: 'the kernel stack disclosures of system calls, such as CVE-2017-8478',
  story:
    'A structure is filled in part and handed out whole, with what the stack held before. The fix clears it with memset.',
  licence: 'GPL-2.0-or-later',
  marked: ['GetStatus'],
  patched: ['GetStatus'],
  show: (victim) => {
    const out = victim.put(new Uint8Array(64));
    return [victim.call('Report', out), victim.read(out, 64).includes(0x5a)];
  },
  outcomes: { base: [64, true], fixed: [[64, false]] },
  during: {
    call: (victim) => ({ function: 'GetStatus', parameters: [victim.put(new Uint8Array(64))] }),
    stopIn: 'Deliver',
    result: 64,
  },
  notCompared: { Report: 'hands out what the changed function makes' },
  differential: { Deliver: [bytes(64), bytes(64), number(0, 64)], Authenticate: [number(0, 4000)] },
});
