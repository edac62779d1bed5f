import { bytes, defineCase, number } from '../../case.js';

export const parser = defineCase({
  name: 'parser',
  kind: 'dll',
  weakness: 'CWE-129 Improper validation of an array index, and CWE-125 Out-of-bounds read',
  after: 'monthly updates that fix one more fault of the same component each time',
  story:
    'The first fix checks an index; the second one also a length. The second hotpatch is cumulative and replaces the first.',
  licence: 'GPL-2.0-or-later',
  marked: ['ParseHeader', 'ParseBody'],
  fixes: [1, 2],
  patched: ['ParseHeader', 'ParseBody'],
  show: (victim) => {
    const long = victim.put(Uint8Array.of(200, 1, 2, 3));
    return [
      victim.call('ParseHeader', -1) !== -1,
      victim.call('ParseBody', long, 4) !== -1,
      victim.call('Parsed'),
    ];
  },
  outcomes: {
    base: [true, true, 2],
    fixed: [
      [false, true, 2],
      [false, false, 2],
    ],
  },
  during: {
    call: (victim) => ({ function: 'ParseBody', parameters: [victim.put(Uint8Array.of(2, 65, 66)), 3] }),
    stopIn: 'CheckSum',
    result: 5861926,
  },
  differential: { CheckSum: [bytes(64), number(0, 64)], Parsed: [] },
});
