export { DapFront } from './front.js';
export type { DapInput, DapOutput, DapRequest } from './messages.js';
