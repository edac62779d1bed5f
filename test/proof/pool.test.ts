import { describe, expect, it } from 'vitest';
import { Lab } from '../../lab/index.js';

describe("the kernel's pool", () => {
  it('is as it was when a snapshot is restored: what was freed since can be freed again', async () => {
    using lab = await Lab.boot({ architecture: 'x64' });
    const { pool, machine } = lab.kernel;
    const block = pool.allocate(64, 0, { fill: 0, quota: false });
    const snapshot = machine.snapshot();
    const hash = machine.hash();
    pool.free(block, 0);
    pool.allocate(32, 0, { fill: 0, quota: false });
    machine.restore(snapshot);
    expect(machine.hash()).toBe(hash);
    expect([...pool.blocks.keys()]).toEqual([block]);
    pool.free(block, 0);
  });
});
