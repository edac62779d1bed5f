import { defineCase, number } from '../../case.js';

export const quota = defineCase({
  name: 'quota',
  kind: 'driver',
  weakness: 'CWE-839 Numeric range comparison without minimum check',
  after: 'signed sizes that pass a check against a maximum, such as CVE-2010-3437 (Linux pktcdvd)',
  story:
    'A negative amount is charged, and a used-up quota gives a negative remainder. The fix changes caller and callee, brings a helper and two variables of its own, and a callout that fills one of them from what the base has counted.',
  licence: 'GPL-2.0-or-later',
  marked: ['Charge', 'Remaining', 'refuse', '__PatchMainCallout__', 'UsedBefore'],
  patched: ['Charge', 'Remaining'],
  show: (victim) => [victim.call('Charge', -100), victim.call('Used'), victim.call('Charge', 5)],
  outcomes: { base: [-50, -50, -40], fixed: [[-1, 40, 50]] },
  during: { call: () => ({ function: 'Charge', parameters: [12] }), stopIn: 'Round', result: 60 },
  differential: { Round: [number(0, 100000)], Used: [] },
});
