import { describe, expect, it } from 'vitest';
import { Sequence, SequenceMachine } from './sequences/sequence.js';
import { Builds, ServerSequence } from './sequences/server-sequence.js';

const COUNT = 150;
const SERVERS = 8;

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

  it('hotfixes, reboots and power failures: what a report says is so', async () => {
    const builds = new Builds(processor);
    for (let seed = 1; seed <= SERVERS; seed++) {
      const sequence = new ServerSequence(builds, seed);
      await sequence.run();
      expect({ seed, broken: sequence.broken, log: sequence.broken.length > 0 && sequence.log }).toEqual({
        seed,
        broken: [],
        log: false,
      });
    }
  });
});
