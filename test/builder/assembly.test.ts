import { Lab } from 'hotpatch-lab';
import { describe, expect, it } from 'vitest';
import { type AssemblyProgram, assembleImage, assemblePatch } from '../../builder/index.js';

interface Lesson {
  readonly architecture: 'x64' | 'arm64' | 'x86';
  readonly base: AssemblyProgram;
  readonly fixed: Partial<AssemblyProgram>;
}

const data = { counter: [5, 0, 0, 0] };
const exports = ['count', 'peek'];

/** `count` adds one and forgets to add its argument; `peek` is not touched by the fix. */
const LESSONS: readonly Lesson[] = [
  {
    architecture: 'x64',
    base: {
      name: 'lesson.sys',
      code: {
        count: 'inc dword ptr [rip + counter]; mov eax, dword ptr [rip + counter]; ret',
        peek: 'mov eax, dword ptr [rip + counter]; ret',
        through: 'sub rsp, 0x28; call count; add rsp, 0x28; ret',
      },
      data,
      exports,
    },
    fixed: {
      code: {
        count:
          'push rbx; sub rsp, 0x20; mov rax, qword ptr [rip + __ref_counter]; add dword ptr [rax], ecx; call peek; add rsp, 0x20; pop rbx; ret',
      },
      references: ['counter'],
    },
  },
  {
    architecture: 'x86',
    base: {
      name: 'lesson.sys',
      code: {
        count: 'inc dword ptr [counter]; mov eax, dword ptr [counter]; ret',
        peek: 'mov ecx, dword ptr [counter]; mov eax, ecx; ret',
        through: 'push dword ptr [esp + 4]; call count; add esp, 4; ret',
      },
      data,
      exports,
    },
    fixed: {
      code: {
        count:
          'mov ecx, dword ptr [esp + 4]; mov eax, dword ptr [__ref_counter]; add dword ptr [eax], ecx; call peek; ret',
      },
      references: ['counter'],
    },
  },
  {
    architecture: 'arm64',
    base: {
      name: 'lesson.sys',
      code: {
        count:
          'adrp x8, counter; ldr w9, [x8, :lo12:counter]; add w0, w9, #1; str w0, [x8, :lo12:counter]; ret',
        peek: 'adrp x8, counter; ldr w0, [x8, :lo12:counter]; ret',
        through: 'stp x29, x30, [sp, #-16]!; bl count; ldp x29, x30, [sp], #16; ret',
      },
      data,
      exports,
    },
    fixed: {
      code: {
        count:
          'stp x29, x30, [sp, #-16]!; adrp x8, __ref_counter; ldr x8, [x8, :lo12:__ref_counter]; ldr w9, [x8]; add w9, w9, w0; str w9, [x8]; bl peek; ldp x29, x30, [sp], #16; ret',
      },
      references: ['counter'],
    },
  },
];

describe.each(LESSONS)('a lesson in assembly, $architecture', ({ architecture, base, fixed }) => {
  it('runs, is patched, calls back into the base and is rolled back', async () => {
    const built = await assemblePatch(architecture, { base, fixed });
    expect(built.patch.functions.map(({ name, role }) => `${name} ${role}`).toSorted()).toEqual([
      'count patched',
      'peek redirected',
      'through out',
    ]);
    using lab = await Lab.boot({ architecture });
    const { symbols } = built.base;
    const loaded = lab.kernel.loadImage(built.base.image, { name: 'lesson.sys', symbols });
    const call = (name: string, ...parameters: number[]) => lab.call(loaded.symbol(name), parameters);
    expect([call('through', 10), call('peek')]).toEqual([6, 6]);
    const patch = lab.engine.load(built.patchImage, {
      name: 'lesson_hp1.sys',
      symbols: built.fixed.symbols,
    });
    expect([call('through', 10), call('peek')]).toEqual([16, 16]);
    lab.unloadHotPatch(patch);
    expect([call('through', 10), call('peek')]).toEqual([17, 17]);
  });

  it('finds base relocations of absolute addresses only', async () => {
    const { image } = await assembleImage(architecture, base);
    const inCode = image.relocations.filter(({ rva }) => image.sectionAt(rva)?.name === '.text');
    expect(inCode.length).toBe(architecture === 'x86' ? 3 : 0);
  });
});
