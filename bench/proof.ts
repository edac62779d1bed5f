import { explore, firstInstruction, shapeSubject, windows } from '../proof/index.js';

/** How fast interleavings are explored: each case executed once, and every transition executed. */
export async function benchProof(): Promise<void> {
  for (const executeEach of [false, true])
    for (const processors of [1, 2, 3]) {
      if (executeEach && processors === 3) continue;
      const source = await shapeSubject(firstInstruction('x64', 5), 'revert');
      const result = await explore(source, { protocol: windows, processors, fetch: 'weak', executeEach });
      if (result === undefined) continue;
      const { states, transitions, executed, seconds } = result;
      const rate = Math.round(transitions / seconds).toLocaleString('en');
      console.log(
        `explore x64 revert, weak, ${processors} processor(s), ${executeEach ? 'every transition' : 'each case once'}: ` +
          `${states} states, ${transitions} transitions, ${executed} executed, ${seconds.toFixed(2)} s, ${rate} transitions/s`,
      );
    }
}

if (process.argv[1]?.endsWith('proof.ts') === true) await benchProof();
