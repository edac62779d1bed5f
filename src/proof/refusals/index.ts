export { type Refusal, tryDamage } from './check.js';
export { DAMAGES } from './corpus.js';
export type { Damage } from './damage.js';
