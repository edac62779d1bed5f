import { Budget } from './budget.js';
import type { PeImage } from './image.js';
import { type PointerSize, Struct } from './struct.js';

const fields = {
  startAddressOfRawData: 'pointer',
  endAddressOfRawData: 'pointer',
  addressOfIndex: 'pointer',
  addressOfCallBacks: 'pointer',
  sizeOfZeroFill: 'u32',
  characteristics: 'u32',
} as const;

/** IMAGE_TLS_DIRECTORY64 and 32 (winnt.h): 0x28 and 0x18 bytes. */
const TLS_DIRECTORY: Readonly<Record<PointerSize, Struct<typeof fields>>> = {
  8: new Struct('IMAGE_TLS_DIRECTORY64', fields, 8),
  4: new Struct('IMAGE_TLS_DIRECTORY32', fields, 4),
};

/** The thread-local storage directory; addresses are virtual addresses at the preferred base. */
export interface Tls {
  /** Virtual address of the initial contents. */
  readonly startAddressOfRawData: bigint;
  /** Virtual address behind the initial contents. */
  readonly endAddressOfRawData: bigint;
  /** Virtual address of the index that the loader assigns. */
  readonly addressOfIndex: bigint;
  /** Virtual address of the array of callbacks; 0: none. */
  readonly addressOfCallBacks: bigint;
  /** Bytes of zeros behind the initial contents. */
  readonly sizeOfZeroFill: number;
  /** Alignment, in the bits of IMAGE_SCN. */
  readonly characteristics: number;
  /** RVAs of the callbacks, called in this order. */
  readonly callBacks: readonly number[];
}

export function readTls(image: PeImage): Tls | undefined {
  const directory = image.directory('tls');
  if (directory === undefined) return undefined;
  const struct = TLS_DIRECTORY[image.pointerSize];
  const values = struct.read(image.readerAt(directory.virtualAddress, struct.size, 'TLS directory'));
  const callBacks: number[] = [];
  if (values.addressOfCallBacks !== 0n) {
    const place = 'TLS directory, AddressOfCallBacks';
    const list = image.readerFrom(image.vaToRva(values.addressOfCallBacks, place), 'TLS callbacks');
    const budget = new Budget('TLS callbacks', image.bytes.length / image.pointerSize, image.file);
    for (let at = 0; ; at += image.pointerSize) {
      const callBack = image.pointerSize === 8 ? list.u64At(at) : BigInt(list.u32At(at));
      if (callBack === 0n) break;
      budget.spend();
      callBacks.push(image.vaToRva(callBack, `TLS callback ${callBacks.length}`));
    }
  }
  return { ...values, callBacks };
}
