/** PCMPESTRI, PCMPESTRM, PCMPISTRI and PCMPISTRM (Intel SDM vol. 2, "Imm8 Control Byte Operation for PCMPxSTRx"). */
export interface StringComparison {
  /** IntRes2, one bit per element. */
  readonly matches: number;
  readonly elements: 8 | 16;
  /** Whether the first, the second operand ends within its register. */
  readonly endsFirst: boolean;
  readonly endsSecond: boolean;
}

/** Elements of a 128-bit value as the control byte says: bytes or words, unsigned or signed. */
function elementsOf(value: bigint, control: number): number[] {
  const size = (control & 1) === 0 ? 8 : 16;
  const isSigned = (control & 2) !== 0;
  return Array.from({ length: 128 / size }, (_, index) => {
    const element = value >> BigInt(index * size);
    return Number(isSigned ? BigInt.asIntN(size, element) : BigInt.asUintN(size, element));
  });
}

const lengthUpToZero = (elements: readonly number[]): number => {
  const zero = elements.indexOf(0);
  return zero < 0 ? elements.length : zero;
};

/** `lengths`: of both operands, at most as many as there are elements; undefined: up to the first zero. */
export function compareStrings(
  first: bigint,
  second: bigint,
  control: number,
  lengths?: readonly [first: number, second: number],
): StringComparison {
  const a = elementsOf(first, control);
  const b = elementsOf(second, control);
  const count = a.length;
  const [inA = 0, inB = 0] = (lengths ?? [lengthUpToZero(a), lengthUpToZero(b)]).map((length) =>
    Math.min(length, count),
  );
  const at = (list: readonly number[], index: number): number => list[index] ?? 0;
  const positions = Array.from({ length: count }, (_, index) => index);
  const aggregations: readonly ((j: number) => boolean)[] = [
    (j) => j < inB && positions.some((i) => i < inA && at(a, i) === at(b, j)),
    (j) =>
      j < inB &&
      positions.some((i) => i % 2 === 0 && i + 1 < inA && at(a, i) <= at(b, j) && at(b, j) <= at(a, i + 1)),
    (j) => (j < inA && j < inB ? at(a, j) === at(b, j) : j >= inA && j >= inB),
    (j) => positions.every((i) => i >= inA || i + j >= count || (i + j < inB && at(a, i) === at(b, i + j))),
  ];
  const aggregate = aggregations[(control >> 2) & 3];
  const polarity = (control >> 4) & 3;
  let matches = 0;
  for (const j of positions) {
    const isMatch = aggregate?.(j) === true;
    const isNegated = polarity === 1 || (polarity === 3 && j < inB);
    if (isMatch !== isNegated) matches |= 1 << j;
  }
  return {
    matches,
    elements: count === 8 ? 8 : 16,
    endsFirst: inA < count,
    endsSecond: inB < count,
  };
}

/** What PCMPxSTRI leaves in ECX. */
export function indexOfMatch({ matches, elements }: StringComparison, control: number): number {
  if (matches === 0) return elements;
  return (control & 0x40) === 0 ? 31 - Math.clz32(matches & -matches) : 31 - Math.clz32(matches);
}

/** What PCMPxSTRM leaves in XMM0. */
export function maskOfMatches({ matches, elements }: StringComparison, control: number): bigint {
  if ((control & 0x40) === 0) return BigInt(matches);
  const size = 128 / elements;
  let mask = 0n;
  for (let index = 0; index < elements; index++) {
    if (((matches >> index) & 1) !== 0) mask |= ((1n << BigInt(size)) - 1n) << BigInt(index * size);
  }
  return mask;
}
