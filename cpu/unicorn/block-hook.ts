import { type HostConvention, hostConvention, placeHostCode } from './host-code.js';
import type { HostPointer } from './library.js';

export interface BlockHookCode {
  readonly code: string;
  /** Offset of the one that notes blocks. */
  readonly log: number;
}

/**
 * The block hooks of {@link BlockLog}. Both look the block up, take its instructions off what is left, and call
 * uc_emu_stop in front of a block that would go beyond that, or that is not known. The one at `log` also writes the
 * identity of the block to a log, and stops when that is full. Assembled from the sources in scripts/host-code, where slot
 * and table are described.
 */
export const BLOCK_HOOK: Readonly<Record<HostConvention, BlockHookCode>> = {
  'x64 System V': {
    log: 0x50,
    code: [
      '69c6b179379ec1e8082341184c8b51104939340275216641395402087519450fb75c020a4901c2488b014c29d8727f48',
      '89014c895130c36641837c020800747583c010ebc466662e0f1f84000000000069c6b179379ec1e8082341184c8b5110',
      '49393402753a6641395402087532450fb75c020a4901c2488b014c29d8722f4c8b59204c3b5928733a4889014c895130',
      '418b420c4189034983c3044c895920c36641837c020800740c83c010ebabb801000000eb1348897138895140b8020000',
      '00eb05b803000000894108ff6148',
    ].join(''),
  },
  'x64 Windows': {
    log: 0x50,
    code: [
      '69c2b179379ec1e808412341184d8b51104939140275216645394402087519450fb75c020a4901c2498b014c29d8727f',
      '4989014d895130c36641837c020800747583c010ebc3662e0f1f84000000000069c2b179379ec1e808412341184d8b51',
      '1049391402753a6645394402087532450fb75c020a4901c2498b014c29d8722f4d8b59204d3b5928733b4989014d8951',
      '30418b420c4189034983c3044d895920c36641837c020800740c83c010ebaab801000000eb144989513845894140b802',
      '000000eb05b8030000004189410841ff6148',
    ].join(''),
  },
  arm64: {
    log: 0x5c,
    code: [
      '641441a927368f52e7c6b372287c071b087d08530801050a8900088b2a0140f92b1140795f0101eb410100547f01026b',
      '010100542a1540796b0040f96b010aeb830400546b0000f9691800f9c0035fd64b04003408410011efffff17641441a9',
      '27368f52e7c6b372287c071b087d08530801050a8900088b2a0140f92b1140795f0101eb010200547f01026bc1010054',
      '2a1540796b0040f96b010aeba30100546c3442a99f010deb020200546b0000f9691800f92a0d40b98a4500b86c1000f9',
      'c0035fd6ab00003408410011e9ffff172a00805206000014611c00f9624000b94a008052020000146a0080526a0800b9',
      '6a2440f940011fd6',
    ].join(''),
  },
};

/** Addresses in this process. */
export interface BlockHooks {
  readonly count: HostPointer;
  readonly log: HostPointer;
}

let placed: { readonly hooks: BlockHooks | undefined } | undefined;

/** The hooks in executable memory of this process; undefined where there can be none. */
export function blockHooks(): BlockHooks | undefined {
  placed ??= { hooks: place() };
  return placed.hooks;
}

function place(): BlockHooks | undefined {
  const convention = hostConvention();
  if (convention === undefined) return undefined;
  const { code, log } = BLOCK_HOOK[convention];
  const count = placeHostCode({ code, words: [] });
  return count === undefined ? undefined : { count, log: count + BigInt(log) };
}
