import { isLabError, Lab } from 'hotpatch-lab';
import { expect, it } from 'vitest';
import { fixture } from '../support.js';

/** A scenario is run without a check of its types: what a compiler would refuse gets as far as the laboratory. */
const mistake = (value: unknown) => value as never;

const HPIMPORT = fixture('x64/hpimport.dll');
const DEMO = fixture('x64/base/demo.dll');
const PATCH = fixture('x64/patch/demo_hp.dll');

function booted() {
  const lab = Lab.boot({ architecture: 'x64' });
  lab.loadImage(HPIMPORT);
  return { lab, demo: lab.loadImage(DEMO) };
}

type Machine = ReturnType<typeof booted>;

it.each<[string, string, (machine: Machine) => unknown]>([
  [
    'an engine that there is not',
    'engine.boot',
    () => Lab.boot({ architecture: 'x64', engine: mistake('xp') }),
  ],
  [
    'a name of every object as an engine',
    'engine.boot',
    () => Lab.boot({ architecture: 'x64', engine: mistake('constructor') }),
  ],
  [
    'a fetch that there is not',
    'boot.option',
    () => Lab.boot({ architecture: 'x64', instructionFetch: mistake('week') }),
  ],
  [
    'a layout that there is not',
    'boot.option',
    () => Lab.boot({ architecture: 'x64', hpatLayout: mistake('pair') }),
  ],
  ['a heap that there is not', 'boot.option', () => Lab.boot({ architecture: 'x64', heap: mistake('') })],
  ['no options of a boot', 'boot.option', () => Lab.boot(mistake(undefined))],
  ['a boot of an architecture alone', 'boot.option', () => Lab.boot(mistake('x64'))],
  ['a boot without an architecture', 'boot.option', () => Lab.boot(mistake({}))],
  [
    'an option of a boot that is mistyped',
    'boot.option',
    () => Lab.boot(mistake({ architecture: 'x64', procesors: 2 })),
  ],
  ['a word for no', 'boot.option', () => Lab.boot({ architecture: 'x64', vbs: mistake('no') })],
  ['processors in words', 'boot.option', () => Lab.boot({ architecture: 'x64', processors: mistake('2') })],
  ['a retpoline of arm64', 'boot.option', () => Lab.boot({ architecture: 'arm64', retpoline: true })],
  ['a Server 2003 of arm64', 'engine.boot', () => Lab.boot({ architecture: 'arm64', engine: 'server-2003' })],
  [
    'an option of the other engine',
    'boot.option',
    () => Lab.boot({ architecture: 'x64', engineOptions: mistake({ checkEntries: false }) }),
  ],
  [
    'an option of the engine in words',
    'boot.option',
    () => Lab.boot({ architecture: 'x64', engineOptions: { allowUndo: mistake('yes') } }),
  ],
  [
    'a seam that is not',
    'boot.option',
    () => Lab.boot({ architecture: 'x64', seams: mistake({ befor: () => {} }) }),
  ],
  [
    'a build of Windows that nothing is known of',
    'boot.option',
    () => Lab.boot({ architecture: 'x64', windowsBuild: mistake(7601) }),
  ],
  ['a call of a number', 'address', ({ lab }) => lab.call(mistake(7))],
  ['a call of nothing', 'address', ({ lab }) => lab.call64(mistake(undefined))],
  ['a call of a name', 'address', ({ lab }) => lab.call(mistake('demo!leaf_opaque'))],
  ['a call of nothing in a process', 'address', ({ lab }) => lab.createProcess('p').call(mistake(undefined))],
  ['a thread at a number', 'address', ({ lab }) => lab.startThread(mistake(7))],
  ['the name of a number', 'address', ({ lab }) => lab.describe(mistake(7))],
  ['instructions at a number', 'address', ({ lab }) => lab.disassemble(mistake(7), 1)],
  [
    'to reach nothing, which would be to return',
    'address',
    ({ lab, demo }) => lab.startThread(demo.symbol('leaf_opaque')).reaches(mistake(undefined)),
  ],
  ['half a byte behind a symbol', 'address', ({ demo }) => demo.symbol('leaf_opaque', 1.5)],
  ['no count of instructions', 'run.instructions', ({ lab }) => lab.run({ instructions: Number.NaN })],
  ['fewer than no instructions', 'run.instructions', ({ lab }) => lab.run({ instructions: -1 })],
  [
    'an argument that is nothing',
    'callArgument',
    ({ lab, demo }) => lab.call(demo.symbol('leaf_opaque'), [mistake(undefined)]),
  ],
  [
    'an argument of another kind',
    'callArgument',
    ({ lab, demo }) => lab.call(demo.symbol('leaf_opaque'), [mistake({})]),
  ],
  [
    'an argument that is text',
    'callArgument',
    ({ lab, demo }) => lab.call(demo.symbol('leaf_opaque'), [mistake('1')]),
  ],
  ['a page of the web', 'file.url', ({ lab }) => lab.loadImage(new URL('https://example.org/demo.dll'))],
  ['no file', 'file.url', ({ lab }) => lab.loadImage(mistake(undefined))],
  ['no hotpatch', 'patch.engine', ({ lab }) => lab.unloadHotPatch(mistake(undefined))],
])('%s is refused by a rule: %s', async (_, rule, action) => {
  const machine = booted();
  using _lab = machine.lab;
  const error: unknown = await (async () => action(machine))().catch((thrown: unknown) => thrown);
  expect(isLabError(error), String(error)).toBe(true);
  expect(error).toMatchObject({ rule, status: { name: 'STATUS_INVALID_PARAMETER' } });
});

it('a hotpatch of another lab is refused, and stays in force there', () => {
  const [one, other] = [booted(), booted()];
  using _one = one.lab;
  using _other = other.lab;
  const patch = one.lab.loadHotPatch(PATCH);
  expect(() => other.lab.unloadHotPatch(patch)).toThrow('patch.engine');
  expect(patch.state).toBe('applied');
  expect(one.lab.call(one.demo.symbol('leaf_opaque'))).toBe(43);
});

it.each([
  [{ architecture: 'x64', procesors: 2 }, 'procesors', "did you mean 'processors'?"],
  [
    { architecture: 'x64', engineOptions: { allowundo: true } },
    'engineOptions: allowundo',
    "did you mean 'allowUndo'?",
  ],
  [{ architecture: 'x64', seams: { wrter: () => {} } }, 'seams.wrter', "did you mean 'writer'?"],
  [{ architecture: 'x64', xyz: 1 }, 'xyz', 'the options are: architecture, windowsBuild'],
  [{ processors: 2 }, 'architecture', 'the options are: architecture'],
])('an option that is refused is named, and the nearest one with it: %o', (options, place, hint) => {
  expect(() => Lab.boot(mistake(options))).toThrow(
    expect.objectContaining({ rule: 'boot.option', place, hint: expect.stringContaining(hint) }),
  );
});
