import { assembleImage } from 'hotpatch-lab/builder';
import { describe, expect, it } from 'vitest';
import type { ArchitectureName } from '../../cpu/index.js';
import { defineExport, Kernel } from '../../loader/index.js';

interface Code {
  /** DllMain, which notes `number` + its reason. */
  readonly main: (number: number) => string;
  readonly addOne: string;
  /** ExitThread(7). */
  readonly exit: string;
  /** DisableThreadLibraryCalls(its argument). */
  readonly disable: string;
}

const CODE: Readonly<Record<ArchitectureName, Code>> = {
  x64: {
    main: (number) =>
      `sub rsp, 40; lea ecx, [rdx+${number}]; call qword ptr [rip+__imp_note]; mov eax, 1; add rsp, 40; ret`,
    addOne: 'lea eax, [rcx+1]; ret',
    exit: 'sub rsp, 40; mov ecx, 7; call qword ptr [rip+__imp_ExitThread]; int 3',
    disable: 'sub rsp, 40; call qword ptr [rip+__imp_DisableThreadLibraryCalls]; add rsp, 40; ret',
  },
  x86: {
    main: (number) =>
      `mov eax, [esp+8]; add eax, ${number}; push eax; call dword ptr [__imp_note]; mov eax, 1; ret 12`,
    addOne: 'mov eax, [esp+4]; inc eax; ret 4',
    exit: 'push 7; call dword ptr [__imp_ExitThread]; int 3',
    disable: 'push dword ptr [esp+4]; call dword ptr [__imp_DisableThreadLibraryCalls]; ret 4',
  },
  arm64: {
    main: (number) =>
      `stp x29, x30, [sp, #-16]!; add w0, w1, #${number}; ldr x8, __imp_note; blr x8; mov w0, #1; ldp x29, x30, [sp], #16; ret`,
    addOne: 'add w0, w0, #1; ret',
    exit: 'stp x29, x30, [sp, #-16]!; mov w0, #7; ldr x8, __imp_ExitThread; blr x8; brk #0',
    disable:
      'stp x29, x30, [sp, #-16]!; ldr x8, __imp_DisableThreadLibraryCalls; blr x8; ldp x29, x30, [sp], #16; ret',
  },
};

/** A process with first.dll (0x10 + reason) and second.dll (0x20 + reason). */
async function processWithTwo(architecture: ArchitectureName) {
  const { main, ...functions } = CODE[architecture];
  const dll = (name: string, number: number, imageBase: bigint) =>
    assembleImage(architecture, {
      name,
      code: { main: main(number), ...functions },
      imports: { 'log.dll': ['note'], 'kernel32.dll': ['ExitThread', 'DisableThreadLibraryCalls'] },
      exports: Object.keys(functions),
      entryPoint: 'main',
      options: { imageBase, relocationsStripped: true },
    });
  const images = [await dll('first.dll', 0x10, 0x1000_0000n), await dll('second.dll', 0x20, 0x1100_0000n)];
  const kernel = Kernel.boot({ architecture });
  const noted: number[] = [];
  kernel.userServices().define({
    name: 'log.dll',
    exports: [
      defineExport('note', ['u32'], (_call, value) => {
        noted.push(value);
      }),
    ],
  });
  const process = kernel.createProcess({ name: 'two.exe' });
  const [first, second] = images.map(({ image }, index) =>
    process.loadImage(image, { name: ['first.dll', 'second.dll'][index] ?? '' }),
  );
  if (first === undefined || second === undefined) throw new Error('two images');
  return { kernel, process, first, second, noted, [Symbol.dispose]: () => kernel[Symbol.dispose]() };
}

// winnt.h: DLL_PROCESS_DETACH 0, DLL_PROCESS_ATTACH 1, DLL_THREAD_ATTACH 2, DLL_THREAD_DETACH 3.
describe.each(['x64', 'x86', 'arm64'] as const)('DLLs of a process of %s', (architecture) => {
  it('hear of a thread that begins, in the order of loading, and that ends, the other way round', async () => {
    using machine = await processWithTwo(architecture);
    const { kernel, process, first, noted } = machine;
    expect(noted).toEqual([0x11, 0x21]);
    const thread = process.createThread(first.symbol('addOne'), [41]);
    expect(noted).toEqual([0x11, 0x21]);
    kernel.run({ until: thread.returns() });
    expect(noted).toEqual([0x11, 0x21, 0x12, 0x22, 0x23, 0x13]);
    expect(thread.result).toBe(42);
  });

  it('hear of a thread that ends itself', async () => {
    using machine = await processWithTwo(architecture);
    const { kernel, process, first, noted } = machine;
    const thread = process.createThread(first.symbol('exit'));
    kernel.run({ until: thread.returns() });
    expect(noted.slice(2)).toEqual([0x12, 0x22, 0x23, 0x13]);
    expect(thread.result).toBe(7);
  });

  it('hear of none when they have said so', async () => {
    using machine = await processWithTwo(architecture);
    const { kernel, process, first, noted } = machine;
    expect(process.call(first.symbol('disable'), [first.dllBase])).toBe(1);
    noted.length = 0;
    kernel.run({ until: process.createThread(first.symbol('addOne'), [1]).returns() });
    expect(noted).toEqual([0x22, 0x23]);
  });

  it('hear of no thread that only makes a call for somebody outside', async () => {
    using machine = await processWithTwo(architecture);
    const { process, first, noted } = machine;
    expect(process.call(first.symbol('addOne'), [1])).toBe(2);
    expect(noted).toEqual([0x11, 0x21]);
  });
});
