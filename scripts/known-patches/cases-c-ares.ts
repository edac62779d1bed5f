import type { CalledLibrary } from './caller.js';
import type { KnownCase } from './cases.js';

const AF_INET6 = 23;

function network(c: CalledLibrary, text: string): string {
  const space = c.space(64);
  const bits = c.int('ares_inet_net_pton', AF_INET6, text, space + 32n, 16);
  return `${bits} ${Buffer.from(c.read(space, 64)).toString('hex')}`;
}

/** ares_channeldata, of which ares_set_sortlist uses the pointer to the list and its length only. */
function sortList(c: CalledLibrary, text: string): string {
  return `status ${c.int('ares_set_sortlist', c.space(0x2000), text)}`;
}

export const cAres: Record<string, KnownCase> = {
  // An address of the list was copied into 16 bytes however long it is.
  'CVE-2022-4904.diff': {
    crafted: (c) => sortList(c, `${'1'.repeat(300)}/24`),
    ordinary: (c) => sortList(c, '130.155.160.0/255.255.240.0 130.155.0.0'),
  },
  // Some IPv6 networks were written before the beginning of the result.
  'CVE-2023-31130.diff': {
    crafted: (c) => network(c, '0::00:00:00/2'),
    ordinary: (c) => network(c, '2001:db8::/32'),
  },
};
