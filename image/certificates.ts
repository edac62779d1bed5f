import type { PeImage } from './image.js';
import { ByteReader } from './reader.js';
import { hex } from './text.js';

/** WIN_CERTIFICATE (wintrust.h): an entry of the attribute certificate table, which is not mapped. */
export interface Certificate {
  /** 0x200: WIN_CERT_REVISION_2_0. */
  readonly revision: number;
  /** 2: WIN_CERT_TYPE_PKCS_SIGNED_DATA, an Authenticode signature. */
  readonly certificateType: number;
  /** The certificate itself: for Authenticode a PKCS #7 SignedData. */
  readonly data: Uint8Array;
}

const HEADER_SIZE = 8;

export function readCertificates(image: PeImage): Certificate[] {
  const directory = image.directory('security');
  if (directory === undefined) return [];
  // This one directory counts from the start of the file, not of the image.
  const { virtualAddress: offset, size } = directory;
  const place = 'certificate table';
  if (offset + size > image.bytes.length) {
    throw image.error(
      'certificates.bounds',
      place,
      `${hex(offset)}..${hex(offset + size)} lies outside the file`,
    );
  }
  const table = new ByteReader(image.bytes.subarray(offset, offset + size), place, image.file);
  const certificates: Certificate[] = [];
  while (table.remaining >= HEADER_SIZE) {
    const length = table.u32At(table.position);
    if (length < HEADER_SIZE || length > table.remaining) {
      throw table.error('certificates.length', `a certificate of ${hex(length)} bytes`);
    }
    certificates.push({
      revision: table.u16At(table.position + 4),
      certificateType: table.u16At(table.position + 6),
      data: table.bytesAt(table.position + HEADER_SIZE, length - HEADER_SIZE),
    });
    table.skip(length);
    table.align(8);
  }
  return certificates;
}
