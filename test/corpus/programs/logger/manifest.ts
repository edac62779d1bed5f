import { defineCase, text } from '../../case.js';

export const logger = defineCase({
  name: 'logger',
  kind: 'driver',
  weakness: 'CWE-134 Externally controlled format string',
  after: 'CVE-2012-0809 (sudo: the name of the program is a part of the format)',
  story:
    'A name with conversions in it prints what is in registers and on the stack. The fix prints it with %s.',
  licence: 'GPL-2.0-or-later',
  marked: ['LogName'],
  patched: ['LogName'],
  show: (victim) => {
    victim.call('LogName', victim.put('%08x.%08x'));
    return victim.lastDebugPrint?.includes('%08x.%08x');
  },
  outcomes: { base: false, fixed: [true] },
  during: {
    call: (victim) => ({ function: 'LogName', parameters: [victim.put('harmless')] }),
    stopIn: 'IsPrintable',
    result: 1,
  },
  differential: { IsPrintable: [text(60)] },
});
