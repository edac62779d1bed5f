import { defineCase, number } from '../../case.js';

export const control = defineCase({
  name: 'control',
  kind: 'driver',
  weakness: 'CWE-862 Missing authorization',
  after: 'CVE-2021-21551 (Dell dbutil: control codes of the kernel are open to every user)',
  story:
    'A user sets what only the kernel may. The fix asks who sends the code, in the list that the base already has.',
  licence: 'GPL-2.0-or-later',
  marked: ['Control'],
  patched: ['Control'],
  show: (victim) => [victim.call('Control', 1, 2, 0x1234), victim.call('Setting')],
  outcomes: { base: [0, 0x1234], fixed: [[0xc0000022 | 0, 7]] },
  during: {
    call: () => ({ function: 'Control', parameters: [0, 3, 1] }),
    stopIn: 'IsPublic',
    result: 0,
  },
  differential: { IsPublic: [number(0, 20)], Setting: [], Denied: [] },
});
