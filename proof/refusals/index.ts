export { type Refusal, tryDamage, tryDamageBySystemCall } from './check.js';
export { DAMAGES } from './corpus.js';
export type { Damage } from './damage.js';
