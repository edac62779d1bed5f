/**
 * The PE checksum, as CheckSumMappedFile of imagehlp computes it: the 16-bit words of the file added with end-around
 * carry, the CheckSum field itself taken as zero, plus the length of the file.
 *
 * @param checkSumOffset file offset of OptionalHeader.CheckSum; undefined when the bytes have no such field
 */
export function computeCheckSum(bytes: Uint8Array, checkSumOffset?: number): number {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  // 2^16 is 1 modulo 0xffff: adding 32-bit words and folding once gives the end-around sum of 16-bit words.
  let sum = 0;
  const whole = bytes.length - (bytes.length % 4);
  const weight = (offset: number) => (offset % 2 === 0 ? 1 : 0x100);
  if (checkSumOffset !== undefined) {
    const end = Math.min(checkSumOffset + 4, bytes.length);
    for (let i = checkSumOffset; i < end; i++) sum -= view.getUint8(i) * weight(i);
  }
  for (let i = 0; i < whole; i += 4) {
    sum += view.getUint32(i, true);
    // Beyond 2^53 a double has no room for the low bits.
    if (sum > 2 ** 48) sum = fold(sum);
  }
  for (let i = whole; i < bytes.length; i++) sum += view.getUint8(i) * weight(i);
  while (sum > 0xffff) sum = fold(sum);
  return (sum + bytes.length) >>> 0;
}

const fold = (sum: number): number => (sum % 0x10000) + Math.floor(sum / 0x10000);
