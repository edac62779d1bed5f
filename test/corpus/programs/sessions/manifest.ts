import { defineCase, number } from '../../case.js';

export const sessions = defineCase({
  name: 'sessions',
  kind: 'driver',
  weakness: 'CWE-416 Use after free',
  after: 'CVE-2021-40449 (Win32k: an object is used after a callback has freed it)',
  story:
    'Close frees the session and keeps the pointer. The fix clears it, and Query asks whether there is one: two functions.',
  licence: 'GPL-2.0-or-later',
  marked: ['Close', 'Query'],
  patched: ['Close', 'Query'],
  show: (victim) => [victim.call('Open', 5), victim.call('Close'), victim.call('Query')],
  outcomes: { base: [0, 0, 'crashed: STATUS_ACCESS_VIOLATION'], fixed: [[0, 0, -1]] },
  during: {
    call: (victim) => {
      victim.call('Open', 42);
      return { function: 'Query', parameters: [] };
    },
    stopIn: 'Mix',
    result: 1192858765,
  },
  notCompared: { Open: 'takes memory from the pool with each call' },
  differential: { Mix: [number(0, 0xffffffff)] },
});
