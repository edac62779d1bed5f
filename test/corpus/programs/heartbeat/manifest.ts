import { bytes, defineCase, number } from '../../case.js';

const request = (length: number, payload: string) =>
  Uint8Array.from([1, length >> 8, length & 0xff, ...Buffer.from(payload, 'latin1')]);

export const heartbeat = defineCase({
  name: 'heartbeat',
  kind: 'driver',
  weakness: 'CWE-126 Buffer over-read',
  after: 'CVE-2014-0160 (OpenSSL: heartbeats are answered with as many bytes as they claim to hold)',
  story:
    'Four bytes arrive, forty are claimed, and what lies behind them is sent back. The fix compares with what arrived.',
  licence: 'GPL-2.0-or-later',
  marked: ['Answer'],
  patched: ['Answer'],
  show: (victim) => {
    const reply = victim.put(new Uint8Array(64));
    const memory = victim.put(request(40, 'ping-- the secret key --'));
    const sent = victim.call('Answer', memory, 7, reply);
    return [sent, Buffer.from(victim.read(reply, 64)).includes('secret')];
  },
  outcomes: { base: [40, true], fixed: [[0, false]] },
  during: {
    call: (victim) => ({
      function: 'Answer',
      parameters: [victim.put(request(4, 'ping')), 7, victim.put(new Uint8Array(64))],
    }),
    stopIn: 'Copy',
    result: 4,
  },
  differential: { Copy: [bytes(48), bytes(48), number(0, 48)], Answered: [] },
});
