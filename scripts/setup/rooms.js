import { readFileSync } from 'node:fs';

/** The rooms from the ground up: what tsconfig.build.json compiles, in that order. */
export const ROOMS = JSON.parse(
  readFileSync(new URL('../../tsconfig.build.json', import.meta.url), 'utf8'),
).include;
