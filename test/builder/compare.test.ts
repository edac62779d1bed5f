import { describe, expect, it } from 'vitest';
import {
  type AssemblyProgram,
  assembleImage,
  type BuildSource,
  compare,
  Program,
} from '../../builder/index.js';
import { readSource } from '../corpus/victim.js';
import { fixture } from '../support.js';

const DEMO_CHANGED = ['call_op', 'copy_name', 'dispatch', 'hp_entry', 'leaf_opaque', 'set_hook'];

function verdicts(base: BuildSource, fixed: BuildSource): Record<string, string[]> {
  const result: Record<string, string[]> = { changed: [], unchanged: [], new: [], removed: [] };
  for (const { verdict, base: from, fixed: to } of compare(new Program(base), new Program(fixed)).functions)
    result[verdict]?.push((to ?? from)?.name ?? '');
  return result;
}

describe.each(['x64', 'arm64', 'x86'] as const)('the two builds of demo.dll, %s', (architecture) => {
  const load = (kind: string) => readSource(fixture(`${architecture}/${kind}/demo.dll`));

  it('differ in exactly the functions that the fix changes', () => {
    const found = verdicts(load('base'), load('fixed'));
    expect(found.changed?.toSorted()).toEqual(DEMO_CHANGED);
    expect(found.new).toEqual(['new_helper']);
    expect(found.removed).toEqual([]);
  });

  it('a build does not differ from itself', () => {
    expect(verdicts(load('fixed'), load('fixed')).changed).toEqual([]);
  });
});

/** One program with one change; everything else moves, because `aaa` is new or the data is larger. */
const COMMON: AssemblyProgram = {
  name: 'victim.sys',
  code: {
    f: 'sub rsp, 0x28; call one; mov ecx, dword ptr [rip + limit]; lea rax, [rip + names]; add rsp, 0x28; ret',
    g: 'call qword ptr [rip + __imp_DbgPrint]; inc dword ptr [rip + counter]; ret',
    one: 'mov eax, 1; ret',
    two: 'mov eax, 2; ret',
  },
  constants: { limit: [9, 0, 0, 0], text: [65, 66, 0], other: [66, 65, 0] },
  pointers: { names: ['text', 'one'] },
  data: { counter: [1, 0, 0, 0], another: [2, 0, 0, 0] },
  imports: { 'ntoskrnl.exe': ['DbgPrint', 'DbgPrintEx'] },
};

const MOVED = { aaa: 'mov eax, 9; ret; .fill 4096, 1, 0x90' };

const CHANGES: readonly {
  readonly what: string;
  readonly fixed: Partial<AssemblyProgram>;
  readonly changed: Readonly<Record<string, RegExp>>;
}[] = [
  { what: 'only the layout', fixed: {}, changed: {} },
  {
    what: 'only the target of a call',
    fixed: { code: { ...COMMON.code, f: COMMON.code.f?.replace('call one', 'call two') ?? '' } },
    changed: { f: /calls two instead of one/ },
  },
  {
    what: 'only an import',
    fixed: { code: { ...COMMON.code, g: COMMON.code.g?.replace('DbgPrint', 'DbgPrintEx') ?? '' } },
    changed: { g: /ntoskrnl\.exe!DbgPrintEx instead of ntoskrnl\.exe!DbgPrint/ },
  },
  {
    what: 'only the variable',
    fixed: { code: { ...COMMON.code, g: COMMON.code.g?.replace('counter', 'another') ?? '' } },
    changed: { g: /another instead of counter/ },
  },
  {
    what: 'the contents of a constant',
    fixed: { constants: { ...COMMON.constants, limit: [10, 0, 0, 0] } },
    changed: { f: /limit, whose contents differ/ },
  },
  {
    what: 'what a constant points at',
    fixed: { pointers: { names: ['other', 'one'] } },
    changed: { f: /names, whose contents differ/ },
  },
  {
    what: 'a function that a constant points at',
    fixed: { pointers: { names: ['text', 'two'] } },
    changed: { f: /names, whose contents differ/ },
  },
  {
    what: 'one instruction',
    fixed: { code: { ...COMMON.code, one: 'mov eax, 3; ret' } },
    changed: { one: /the instructions differ from \+0x0 on/ },
  },
  {
    what: 'the length',
    fixed: { code: { ...COMMON.code, one: 'mov eax, 1; ret; int3; int3; int3' } },
    changed: { one: /8|9 bytes/ },
  },
];

describe('what is taken for a change', () => {
  it.each(CHANGES)('$what', async ({ fixed, changed }) => {
    const before = await assembleImage('x64', COMMON);
    const after = await assembleImage('x64', {
      ...COMMON,
      ...fixed,
      code: { ...MOVED, ...(fixed.code ?? COMMON.code) },
    });
    const { functions } = compare(new Program(before), new Program(after));
    const found = functions.filter(({ verdict }) => verdict === 'changed');
    expect(found.map((entry) => entry.fixed?.name)).toEqual(Object.keys(changed));
    for (const { fixed: code, reasons } of found)
      expect(reasons.join('; ')).toMatch(changed[code?.name ?? ''] ?? /never/);
  });

  it('follows ADRP and its low half through branches, whatever page they lie on', async () => {
    const program: AssemblyProgram = {
      name: 'victim.sys',
      code: {
        f: `adrp x8, counter
            cbz w0, skip
            ldr w0, [x8, :lo12:counter]
            ret
          skip:
            add x0, x8, :lo12:counter
            adrp x8, other
            ldr w1, [x8, :lo12:other]
            str w1, [x0]
            ret`,
      },
      data: { counter: [1, 0, 0, 0], other: [2, 0, 0, 0] },
    };
    const before = await assembleImage('arm64', program);
    const after = await assembleImage('arm64', {
      ...program,
      data: { large: new Uint8Array(0x1234), ...program.data },
    });
    expect(compare(new Program(before), new Program(after)).functions.map(({ verdict }) => verdict)).toEqual([
      'unchanged',
    ]);
    const swapped = await assembleImage('arm64', {
      ...program,
      code: { f: program.code.f?.replace('ldr w1, [x8, :lo12:other]', 'ldr w1, [x8, :lo12:counter]') ?? '' },
    });
    expect(
      compare(new Program(before), new Program(swapped)).functions.map(({ verdict }) => verdict),
    ).toEqual(['changed']);
  });
});
