import type { WriteProtocol } from './write-protocol.js';

/**
 * The steps of the real engine, as they were recorded: whatever generation and architecture the machine was booted with.
 */
export const windows: WriteProtocol = {
  name: 'windows',
  description: 'the hotpatch engine: jump staged in padding and HPAT, one store at the entry',
  kind: 'real',
  operations: ['apply', 'repatch', 'revert'],
  steps: ({ steps }) => steps,
};
