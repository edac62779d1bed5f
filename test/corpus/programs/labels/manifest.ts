import { defineCase, number, text } from '../../case.js';

export const labels = defineCase({
  name: 'labels',
  kind: 'dll',
  weakness: 'CWE-193 Off-by-one error',
  after: 'CVE-2018-6789 (Exim: a buffer one byte too short for what is decoded into it)',
  story:
    'A text of eight characters is accepted; its terminator clears the owner behind it. The fix compares with >=.',
  licence: 'GPL-2.0-or-later',
  marked: ['SetLabel'],
  patched: ['SetLabel'],
  show: (victim) => {
    victim.call('Own', 0, 7);
    return [victim.call('SetLabel', 0, victim.put('12345678')), victim.call('Owner', 0)];
  },
  outcomes: { base: [8, 0], fixed: [[-1, 7]] },
  during: {
    call: (victim) => ({ function: 'SetLabel', parameters: [1, victim.put('seven..')] }),
    stopIn: 'Length',
    result: 7,
  },
  differential: { Length: [text(40)], Own: [number(0, 5), number(0, 255)], Owner: [number(0, 5)] },
});
