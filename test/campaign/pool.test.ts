import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { type PoolOptions, WorkerPool } from '../../campaign/index.js';

const dying: Pick<PoolOptions, 'program' | 'folder'> = {
  folder: '.',
  program: {
    file: fileURLToPath(new URL('./dying-worker.js', import.meta.url)),
    execArgv: [],
  },
};
const unit = (first: number, count: number) =>
  ({ kind: 'fuzz', target: 'guest', architecture: 'x64', first, count }) as const;

describe('a process that dies', () => {
  it('costs the one case that kills it, which is found', async () => {
    await using pool = new WorkerPool({ ...dying, workers: 1 });
    const { outcome } = await pool.perform(unit(1, 8));
    expect(outcome).toEqual({
      cases: 8,
      counts: { counted: 7, 'process.ended': 1 },
      findings: [
        {
          rule: 'process.ended',
          message: 'the process was ended by SIGABRT before it had run guest code',
          unit: unit(7, 1),
          inputs: [],
        },
      ],
    });
    expect((await pool.perform(unit(20, 5))).outcome.counts).toEqual({ counted: 5 });
  });

  it('is told from one that hangs', async () => {
    await using pool = new WorkerPool({ ...dying, workers: 1, timeout: 1 });
    const { outcome } = await pool.perform(unit(10, 2));
    expect(outcome.findings).toMatchObject([{ rule: 'process.hung', unit: unit(11, 1) }]);
  });

  it('does a unit again when it was ended from outside: nothing is found', async () => {
    await using pool = new WorkerPool({ ...dying, workers: 1 });
    await pool.perform(unit(20, 1));
    const [before] = pool.pids;
    process.kill(before ?? 0, 'SIGKILL');
    expect((await pool.perform(unit(21, 3))).outcome).toEqual({
      cases: 3,
      counts: { counted: 3 },
      findings: [],
    });
    expect(pool.pids).not.toContain(before);
  });

  it('is gone with its pool', async () => {
    const pool = new WorkerPool({ ...dying, workers: 2 });
    await Promise.all([pool.perform(unit(20, 1)), pool.perform(unit(21, 1))]);
    const { pids } = pool;
    expect(pids).toHaveLength(2);
    await pool[Symbol.asyncDispose]();
    for (const pid of pids) expect(() => process.kill(pid, 0)).toThrow('ESRCH');
  });
});
