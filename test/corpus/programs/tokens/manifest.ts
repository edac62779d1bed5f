import { bytes, defineCase, number } from '../../case.js';

export const tokens = defineCase({
  name: 'tokens',
  kind: 'dll',
  weakness: 'CWE-697 Incorrect comparison',
  after: 'CVE-2017-5689 (Intel AMT: a response is compared over its own length, and an empty one is right)',
  story: 'An empty password logs in. The fix demands the whole length.',
  licence: 'GPL-2.0-or-later',
  marked: ['LogIn'],
  patched: ['LogIn'],
  show: (victim) => [
    victim.call('LogIn', victim.put(''), 0),
    victim.call('LogIn', victim.put('correct'), 7),
    victim.call('Logins'),
  ],
  outcomes: { base: [1, 1, 2], fixed: [[0, 0, 0]] },
  during: {
    call: (victim) => ({ function: 'LogIn', parameters: [victim.put('correct horse'), 13] }),
    stopIn: 'Differs',
    result: 1,
  },
  differential: { Differs: [bytes(16), bytes(16), number(0, 16)], Logins: [] },
});
