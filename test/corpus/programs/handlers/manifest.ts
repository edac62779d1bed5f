import { defineCase, number } from '../../case.js';

export const handlers = defineCase({
  name: 'handlers',
  kind: 'dll',
  weakness: 'CWE-129 Improper validation of an array index',
  after: 'CVE-2009-3103 (srv2.sys: an index from the network picks a function pointer)',
  story:
    'An index behind the end of a table of function pointers is called. The fix checks it and remembers a handler by address: a constant with pointers, an address-taken function, a function pointer in a variable of the base.',
  licence: 'GPL-2.0-or-later',
  marked: ['Handle'],
  patched: ['Handle'],
  show: (victim) => {
    const outcome = victim.call('Handle', 3, 5);
    return [outcome === -1 ? 'refused' : 'called', victim.call('Again', 6)];
  },
  outcomes: { base: ['called', 'crashed: STATUS_ACCESS_VIOLATION'], fixed: [['refused', -6]] },
  during: { call: () => ({ function: 'Handle', parameters: [2, 9] }), stopIn: 'Scale', result: 81 },
  differential: { Scale: [number(0, 0xffffffff)], Again: [number(0, 1000)], Calls: [] },
});
