import * as v from 'valibot';

export const ARCHITECTURES = ['x64', 'arm64', 'x86'] as const;

const natural = (most = Number.MAX_SAFE_INTEGER) =>
  v.pipe(v.number(), v.integer(), v.minValue(0), v.maxValue(most));
const count = v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(1_000_000_000));

/** Part of a unit: the cases of so many numbers from the first on. */
export const rangeOfUnit = { first: natural(), count } as const;

/** Part of a line of a plan: how many cases, from which number on (default 1), and how many make a unit. */
export const rangeOfWork = {
  first: v.optional(natural(), 1),
  count,
  unit: v.optional(count),
} as const;

export const architecture = v.picklist(ARCHITECTURES);
export const architecturesOfWork = v.optional(v.pipe(v.array(architecture), v.minLength(1)), [
  ...ARCHITECTURES,
]);

export const fileReference = v.strictObject({
  name: v.string(),
  sha256: v.pipe(v.string(), v.regex(/^[0-9a-f]{64}$/)),
  size: natural(),
});

export interface Range {
  readonly first: number;
  readonly count: number;
}

/** The range in parts of at most `size`. */
export function* cutRange({ first, count: all }: Range, size: number): Generator<Range> {
  for (let done = 0; done < all; done += size)
    yield { first: first + done, count: Math.min(size, all - done) };
}

/** The two halves of a unit of several cases. */
export function halves<U extends Range>(unit: U): U[] {
  if (unit.count < 2) return [];
  const half = Math.floor(unit.count / 2);
  return [
    { ...unit, count: half },
    { ...unit, first: unit.first + half, count: unit.count - half },
  ];
}

/** The numbers of a range. */
export function* numbersOf({ first, count: all }: Range): Generator<number> {
  for (let number = first; number < first + all; number++) yield number;
}
