import { describe, expect, it } from 'vitest';
import { explore, type Shape, type SubjectSource, shapeSubject, windows } from '../../proof/index.js';

/** Asks the C runtime for a variable of the environment, then calls the patched function. */
const ASKING: Shape = {
  name: 'x64, a call of getenv',
  architecture: 'x64',
  base: [
    { name: 'f', code: ['mov eax, 7; ret'] },
    {
      name: 'caller',
      code: [
        'push rbx; sub rsp, 32; mov rbx, rcx; mov rcx, rdx; call rbx',
        { call: 'f' },
        'add rsp, 32; pop rbx; ret',
      ],
    },
  ],
  patches: [
    { functions: [{ name: 'g', code: ['mov eax, 9; ret'] }], forward: { f: 'g' } },
    { functions: [{ name: 'g', code: ['mov eax, 11; ret'] }], forward: { f: 'g' } },
  ],
  call: 'caller',
  arguments: [],
  results: [7, 9, 11],
};

/** @param asked the runtime has been asked before, so that it has its copy of the environment */
async function asking(asked: boolean): Promise<SubjectSource> {
  const source = await shapeSubject(ASKING, 'apply', {}, 'processes');
  return {
    ...source,
    roles: 1,
    create: async (options) => {
      const subject = await source.create(options);
      const [call] = subject.calls;
      const domain = subject.lab.kernel.domains.find(({ name }) => name === call.place);
      const getenv = domain?.services.resolve('ucrtbase.dll', 'getenv');
      if (domain === undefined || getenv === undefined) throw new Error('the runtime is in every process');
      const text = domain.allocateMemory('pool', 16);
      domain.addressSpace.write(text, Buffer.from('NOTHING\0'));
      if (asked) subject.lab.kernel.call64(getenv, [text], { domain });
      return {
        ...subject,
        [Symbol.dispose]: () => subject[Symbol.dispose](),
        calls: [{ ...call, arguments: [getenv, text] }],
      };
    },
  };
}

describe('memory that a simulated export hands to other processors', () => {
  it('is noticed: the search is not complete, and says whose memory it is', async () => {
    const result = await explore(await asking(false), { protocol: windows, processors: 2 });
    expect(result).toMatchObject({ complete: false, violations: [] });
    expect(result?.bound).toContain('ucrtbase.dll!getenv');
  });

  it('stands in nobody’s way once it is there', async () => {
    const result = await explore(await asking(true), { protocol: windows, processors: 2 });
    expect(result).toMatchObject({ complete: true, violations: [] });
    expect(result?.outcomes?.results.map((text) => text.replace(/ in .*/, ''))).toEqual([
      'after: 9',
      'during: 7',
      'during: 9',
    ]);
  });
});
