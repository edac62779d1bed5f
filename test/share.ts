/**
 * What takes long is tested in part by `npm test`, and whole by `npm run test:long`, which sets HOTPATCH_TESTS to `all`.
 */
const isAll = process.env.HOTPATCH_TESTS === 'all';

/** Every `every`th case, from the first on; all of them in `npm run test:long`. */
export function share<T>(cases: readonly T[], every: number): readonly T[] {
  return isAll ? cases : cases.filter((_, index) => index % every === 0);
}

/** How often something random is done. */
export const times = (all: number, usually: number): number => (isAll ? all : usually);
