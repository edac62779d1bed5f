import { bytes, defineCase, number } from '../../case.js';

export const frames = defineCase({
  name: 'frames',
  kind: 'driver',
  weakness: 'CWE-190 Integer overflow',
  after: 'CVE-2021-31956 (NTFS: a size computed in too few bits passes the check for its buffer)',
  story:
    '65536 x 65537 pixels of four bytes are 0x40000 bytes in 32 bits. The fix divides instead of multiplying, and reports through DbgPrint, which the base does not import.',
  licence: 'GPL-2.0-or-later',
  marked: ['CreateFrame'],
  patched: ['CreateFrame'],
  show: (victim) => victim.call('CreateFrame', 0x10000, 0x10001, 5),
  outcomes: { base: 'crashed: STATUS_ACCESS_VIOLATION', fixed: [0xc000000d | 0] },
  during: {
    call: () => ({ function: 'CreateFrame', parameters: [4, 3, 9] }),
    stopIn: 'Fill',
    result: 0,
  },
  differential: { Fill: [bytes(256), number(0, 64), number(0, 1000)], PixelAt: [number(0, 9), number(0, 9)] },
});
