import type { FixCase } from './case.js';
import { CODE_CASES } from './code.js';
import { LIFE_CASES } from './life.js';
import { NAME_CASES } from './names.js';
import { OPTIMISED_CASES } from './optimised.js';
import { TYPE_CASES } from './types.js';

/** By kind of fault. */
export const FIX_CASES: readonly FixCase[] = [
  ...CODE_CASES,
  ...NAME_CASES,
  ...TYPE_CASES,
  ...LIFE_CASES,
  ...OPTIMISED_CASES,
];
