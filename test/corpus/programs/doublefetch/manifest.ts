import { bytes, defineCase } from '../../case.js';
import type { Victim } from '../../victim.js';

/** A request of eight bytes becomes one of twenty between check and use. */
function grow(victim: Victim): unknown {
  const request = new Uint8Array(68).fill(0xee);
  request.set([8, 0, 0, 0]);
  const shared = victim.put(request);
  const thread = victim.start('Submit', shared);
  victim.runTo(thread, 'Validate');
  victim.write(shared, Uint8Array.of(20));
  victim.finish(thread);
  return victim.call('Guard');
}

export const doublefetch = defineCase({
  name: 'doublefetch',
  kind: 'driver',
  weakness: 'CWE-367 Time-of-check time-of-use: double fetch',
  after: 'CVE-2016-6516 (Linux: an ioctl reads a count twice from user memory)',
  story: 'The length is checked, another processor changes it, and it is read again. The fix reads it once.',
  licence: 'GPL-2.0-or-later',
  marked: ['Submit'],
  patched: ['Submit'],
  show: grow,
  outcomes: { base: 0xeeeeeeee | 0, fixed: [0x600d600d] },
  during: {
    call: (victim) => ({
      function: 'Submit',
      parameters: [victim.put(Uint8Array.of(3, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8))],
    }),
    stopIn: 'Validate',
    result: 29605,
  },
  differential: { Validate: [bytes(8)], Guard: [] },
});
