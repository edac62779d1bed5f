import { describe, expect, it } from 'vitest';
import { type Cell, exploreCell, MATRIX, PLACES_MATRIX } from '../../proof/index.js';

/** All of them with HOTPATCH_PROOF=all; else those with one processor, and some with two and three. */
const isChosen = ({ processors, fetch }: Cell, index: number): boolean =>
  process.env.HOTPATCH_PROOF === 'all' ||
  (processors === 1 && fetch === 'weak') ||
  (processors === 2 && index % 6 === 3) ||
  index % 31 === 5;

async function check(cell: Cell): Promise<void> {
  const { complete, violations } = await exploreCell(cell);
  expect(violations.map(({ rule, text }) => `${rule}: ${text}`)).toEqual([]);
  expect(complete).toBe(true);
}

const NAME = '$form, $places, $operation, $processors processor(s), $fetch fetch';

describe('no interleaving breaks a property, and every one was visited', () => {
  it('in the whole required matrix', () => {
    expect(new Set(MATRIX.map((cell) => JSON.stringify(cell))).size).toBe(5 * 3 * 3 * 2);
  });
  it.each(MATRIX.filter(isChosen))(NAME, check);
  it.each(PLACES_MATRIX.filter(isChosen))(NAME, check);
});
