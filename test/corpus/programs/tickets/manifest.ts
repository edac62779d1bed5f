import { defineCase, number } from '../../case.js';

export const tickets = defineCase({
  name: 'tickets',
  kind: 'driver',
  weakness: 'CWE-362 Race condition',
  after: 'CVE-2016-5195 (Linux: a step between check and write is open to another thread)',
  story:
    'Two threads between reading and writing back take the same ticket. The fix takes it with one atomic addition.',
  licence: 'GPL-2.0-or-later',
  marked: ['TakeTicket'],
  patched: ['TakeTicket'],
  show: (victim) => {
    const first = victim.start('TakeTicket', 10);
    victim.runTo(first, 'Pause');
    const second = victim.call('TakeTicket', 0);
    return [victim.finish(first), second, victim.call('TakeTicket', 0)];
  },
  outcomes: { base: [100, 100, 101], fixed: [[100, 101, 102]] },
  during: { call: () => ({ function: 'TakeTicket', parameters: [5] }), stopIn: 'Pause', result: 100 },
  differential: { Pause: [number(0, 1000)] },
});
