import { describe, expect, it } from 'vitest';
import { Sequence, SequenceMachine } from './sequences/sequence.js';

const COUNT = 150;

describe.each(['x86', 'x64'] as const)('random sequences on %s', (processor) => {
  it('each function leads to the newest hotpatch in force that covers it, or is its own', async () => {
    using machine = await SequenceMachine.boot(processor);
    for (let seed = 1; seed <= COUNT; seed++) {
      const sequence = new Sequence(machine, seed);
      sequence.run();
      expect({ seed, broken: sequence.broken, log: sequence.broken.length > 0 && sequence.log }).toEqual({
        seed,
        broken: [],
        log: false,
      });
    }
  });
});
