const DATA_ALIGNMENT = -8;

/** Call frame instructions (DWARF 4, 6.4.2), encoded. Offsets are bytes from the CFA downwards. */
export const DW_CFA = {
  advance: (bytes: number): readonly number[] =>
    bytes < 0x40 ? [0x40 | bytes] : bytes < 0x100 ? [0x02, bytes] : [0x03, bytes & 0xff, bytes >> 8],
  defCfa: (register: number, offset: number): readonly number[] => [0x0c, register, ...uleb(offset)],
  defCfaOffset: (offset: number): readonly number[] => [0x0e, ...uleb(offset)],
  /** Of the return address: there is no caller. */
  undefined: (register: number): readonly number[] => [0x07, register],
  /** `register` is saved `below` bytes under the CFA. */
  offset: (register: number, below: number): readonly number[] => [
    0x80 | register,
    ...uleb(below / -DATA_ALIGNMENT),
  ],
} as const;

function uleb(value: number): number[] {
  const bytes: number[] = [];
  for (let rest = value; ; rest >>>= 7) {
    if (rest < 0x80) return [...bytes, rest];
    bytes.push((rest & 0x7f) | 0x80);
  }
}

function u32(value: number): number[] {
  return [value & 0xff, (value >>> 8) & 0xff, (value >>> 16) & 0xff, value >>> 24];
}

/** A .debug_frame section with one CIE. */
export class CallFrames {
  readonly #bytes: number[] = [];

  /** `start`: the rules at a function's first byte. */
  constructor(
    returnAddress: number,
    start: readonly (readonly number[])[],
    private readonly addressSize: 4 | 8 = 8,
  ) {
    const version = 1;
    const codeAlignment = 1;
    const head = [...u32(0xffff_ffff), version, 0, codeAlignment, DATA_ALIGNMENT & 0x7f, returnAddress];
    this.#entry([...head, ...start.flat()]);
  }

  /** One function or stretch of code. */
  add(start: number | bigint, length: number, rules: readonly (readonly number[])[]): void {
    this.#entry([...u32(0), ...this.#address(start), ...this.#address(length), ...rules.flat()]);
  }

  bytes(): Uint8Array {
    return Uint8Array.from(this.#bytes);
  }

  #address(value: number | bigint): number[] {
    const low = u32(Number(BigInt(value) & 0xffff_ffffn));
    return this.addressSize === 4 ? low : [...low, ...u32(Number(BigInt(value) >> 32n))];
  }

  #entry(contents: number[]): void {
    const DW_CFA_nop = 0;
    while ((contents.length + 4) % 8 !== 0) contents.push(DW_CFA_nop);
    this.#bytes.push(...u32(contents.length), ...contents);
  }
}
