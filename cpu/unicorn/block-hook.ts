import { type HostConvention, hostConvention, placeHostCode } from './host-code.js';
import type { HostPointer } from './library.js';

export interface BlockHookCode {
  readonly code: string;
  /** Offsets of its two ways. */
  readonly count: number;
  readonly log: number;
}

/**
 * The block hook of {@link BlockLog}: looks the block up, takes its instructions off what is left, and calls uc_emu_stop
 * in front of a block that would go beyond that, or that is not known. The slot says which of two ways it goes: the one at
 * `log` also writes the identity of the block to a log, and stops when that is full. Assembled from the sources in
 * scripts/host-code, where slot and table are described.
 */
export const BLOCK_HOOK: Readonly<Record<HostConvention, BlockHookCode>> = {
  'x64 System V': {
    count: 0x10,
    log: 0x60,
    code: [
      'ff615066662e0f1f840000000000669069c6b179379ec1e8082341184c8b51104939340275216641395402087519450f',
      'b75c020a4901c2488b014c29d8727f4889014c895130c36641837c020800747583c010ebc466662e0f1f840000000000',
      '69c6b179379ec1e8082341184c8b511049393402753a6641395402087532450fb75c020a4901c2488b014c29d8722f4c',
      '8b59204c3b5928733a4889014c895130418b420c4189034983c3044c895920c36641837c020800740c83c010ebabb801',
      '000000eb1348897138895140b802000000eb05b803000000894108ff6148',
    ].join(''),
  },
  'x64 Windows': {
    count: 0x10,
    log: 0x60,
    code: [
      '41ff615066662e0f1f8400000000009069c2b179379ec1e808412341184d8b5110493914027521664539440208751945',
      '0fb75c020a4901c2498b014c29d8727f4989014d895130c36641837c020800747583c010ebc3662e0f1f840000000000',
      '69c2b179379ec1e808412341184d8b511049391402753a6645394402087532450fb75c020a4901c2498b014c29d8722f',
      '4d8b59204d3b5928733b4989014d895130418b420c4189034983c3044d895920c36641837c020800740c83c010ebaab8',
      '01000000eb144989513845894140b802000000eb05b8030000004189410841ff6148',
    ].join(''),
  },
  arm64: {
    count: 0x8,
    log: 0x64,
    code: [
      '692840f920011fd6641441a927368f52e7c6b372287c071b087d08530801050a8900088b2a0140f92b1140795f0101eb',
      '410100547f01026b010100542a1540796b0040f96b010aeb830400546b0000f9691800f9c0035fd64b04003408410011',
      'efffff17641441a927368f52e7c6b372287c071b087d08530801050a8900088b2a0140f92b1140795f0101eb01020054',
      '7f01026bc10100542a1540796b0040f96b010aeba30100546c3442a99f010deb020200546b0000f9691800f92a0d40b9',
      '8a4500b86c1000f9c0035fd6ab00003408410011e9ffff172a00805206000014611c00f9624000b94a00805202000014',
      '6a0080526a0800b96a2440f940011fd6',
    ].join(''),
  },
};

/** Addresses in this process. */
export interface BlockHook {
  readonly hook: HostPointer;
  readonly count: HostPointer;
  readonly log: HostPointer;
}

let placed: { readonly hook: BlockHook | undefined } | undefined;

/** The hook in executable memory of this process; undefined where there can be none. */
export function blockHook(): BlockHook | undefined {
  placed ??= { hook: place() };
  return placed.hook;
}

function place(): BlockHook | undefined {
  const convention = hostConvention();
  if (convention === undefined) return undefined;
  const { code, count, log } = BLOCK_HOOK[convention];
  const hook = placeHostCode({ code, words: [] });
  return hook === undefined ? undefined : { hook, count: hook + BigInt(count), log: hook + BigInt(log) };
}
