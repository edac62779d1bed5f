import type { ArchitectureName } from '../../../cpu/index.js';

/** Guest functions, the same in every instruction set; arguments in the order of the signature in the comment. */
export interface Programs {
  /** fold of n arguments: r = 0; for each: r = 3 r + argument */
  readonly fold: (count: number) => string;
  /** (double a, double b, double c) => a * b + c */
  readonly multiplyAdd: string;
  /** (float a, float b) => a - b */
  readonly subtractSingles: string;
  /** (n) => fib(n), recursive */
  readonly fibonacci: string;
  /** (pointer) => the pointer-sized word there */
  readonly load: string;
  /** (pointer, word) */
  readonly store: string;
  /** (pointer) jumps there */
  readonly jump: string;
  /** (pointer, n): n atomic increments of the word */
  readonly countAtomically: string;
  /** (pointer, n): n increments by load, add, store */
  readonly count: string;
  /** (value at which a constant lies, new value, function): stores, does what the architecture demands, calls */
  readonly modifyAndCall: string;
  /** returns 1; its second half may be patched */
  readonly constant: (value: number) => string;
  /** (pointer to code): the architecture's way to see current code on this processor */
  readonly refetch: string;
  readonly exceptions: Readonly<Record<ExceptionProgram, string>>;
}

export type ExceptionProgram =
  | 'breakpoint'
  | 'fastFail'
  | 'assertion'
  | 'undefined'
  | 'systemCall'
  | 'privileged'
  | 'halt';

const x64: Programs = {
  fold: (count) =>
    [
      'mov rax, 0',
      ...Array.from({ length: count }, (_, i) => {
        const argument = ['rcx', 'rdx', 'r8', 'r9'][i] ?? `qword ptr [rsp + ${8 + i * 8}]`;
        return `imul rax, rax, 3\nadd rax, ${argument}`;
      }),
      'ret',
    ].join('\n'),
  multiplyAdd: 'mulsd xmm0, xmm1\naddsd xmm0, xmm2\nret',
  subtractSingles: 'subss xmm0, xmm1\nret',
  fibonacci: `
    fib: cmp rcx, 2
      jb base
      push rbx
      sub rsp, 0x30
      mov qword ptr [rsp + 0x20], rcx
      dec rcx
      call fib
      mov rbx, rax
      mov rcx, qword ptr [rsp + 0x20]
      sub rcx, 2
      call fib
      add rax, rbx
      add rsp, 0x30
      pop rbx
      ret
    base: mov rax, rcx
      ret`,
  load: 'mov rax, qword ptr [rcx]\nret',
  store: 'mov qword ptr [rcx], rdx\nret',
  jump: 'jmp rcx',
  countAtomically: `
    again: lock inc qword ptr [rcx]
      dec rdx
      jnz again
      ret`,
  count: `
    again: mov rax, qword ptr [rcx]
      inc rax
      mov qword ptr [rcx], rax
      dec rdx
      jnz again
      ret`,
  modifyAndCall: 'mov byte ptr [rcx], dl\njmp r8',
  constant: (value) => `mov eax, ${value}\nret`,
  refetch: 'push rbx\ncpuid\npop rbx\nret',
  exceptions: {
    breakpoint: 'int3',
    fastFail: 'mov ecx, 5\nint 0x29',
    assertion: 'int 0x2c',
    undefined: 'ud2',
    systemCall: 'mov eax, 42\nsyscall',
    privileged: 'mov rax, cr0',
    halt: 'hlt',
  },
};

const arm64: Programs = {
  fold: (count) =>
    [
      'mov x9, #0',
      'mov x10, #3',
      ...Array.from({ length: count }, (_, i) =>
        i < 8 ? `madd x9, x9, x10, x${i}` : `ldr x11, [sp, #${(i - 8) * 8}]\nmadd x9, x9, x10, x11`,
      ),
      'mov x0, x9',
      'ret',
    ].join('\n'),
  multiplyAdd: 'fmul d0, d0, d1\nfadd d0, d0, d2\nret',
  subtractSingles: 'fsub s0, s0, s1\nret',
  fibonacci: `
    fib: cmp x0, #2
      b.lo done
      stp x29, x30, [sp, #-32]!
      stp x19, x20, [sp, #16]
      mov x19, x0
      sub x0, x19, #1
      bl fib
      mov x20, x0
      sub x0, x19, #2
      bl fib
      add x0, x0, x20
      ldp x19, x20, [sp, #16]
      ldp x29, x30, [sp], #32
    done: ret`,
  load: 'ldr x0, [x0]\nret',
  store: 'str x1, [x0]\nret',
  jump: 'br x0',
  countAtomically: `
    again: ldxr x9, [x0]
      add x9, x9, #1
      stxr w10, x9, [x0]
      cbnz w10, again
      subs x1, x1, #1
      b.ne again
      ret`,
  count: `
    again: ldr x9, [x0]
      add x9, x9, #1
      str x9, [x0]
      subs x1, x1, #1
      b.ne again
      ret`,
  modifyAndCall: `
      str w1, [x0]
      dc cvau, x0
      dsb ish
      ic ivau, x0
      dsb ish
      isb
      br x2`,
  constant: (value) => `movz w0, #${value}\nret`,
  refetch: `
      dc cvau, x0
      dsb ish
      ic ivau, x0
      dsb ish
      isb
      ret`,
  exceptions: {
    breakpoint: 'brk #0xf000',
    fastFail: 'mov x0, #5\nbrk #0xf003',
    assertion: 'brk #0xf001',
    undefined: '.word 0',
    systemCall: 'svc #42',
    privileged: 'msr daifset, #2',
    halt: 'wfi',
  },
};

const x86: Programs = {
  fold: (count) =>
    [
      'mov eax, 0',
      ...Array.from({ length: count }, (_, i) => `imul eax, eax, 3\nadd eax, dword ptr [esp + ${4 + i * 4}]`),
      'ret',
    ].join('\n'),
  multiplyAdd: `
      fld qword ptr [esp + 4]
      fmul qword ptr [esp + 12]
      fadd qword ptr [esp + 20]
      ret`,
  subtractSingles: 'fld dword ptr [esp + 4]\nfsub dword ptr [esp + 8]\nret',
  fibonacci: `
    fib: mov eax, dword ptr [esp + 4]
      cmp eax, 2
      jb done
      push ebx
      dec eax
      push eax
      call fib
      mov ebx, eax
      mov eax, dword ptr [esp + 12]
      sub eax, 2
      mov dword ptr [esp], eax
      call fib
      add eax, ebx
      add esp, 4
      pop ebx
    done: ret`,
  load: 'mov eax, dword ptr [esp + 4]\nmov eax, dword ptr [eax]\nret',
  store: 'mov eax, dword ptr [esp + 4]\nmov ecx, dword ptr [esp + 8]\nmov dword ptr [eax], ecx\nret',
  jump: 'mov eax, dword ptr [esp + 4]\njmp eax',
  countAtomically: `
      mov eax, dword ptr [esp + 4]
      mov ecx, dword ptr [esp + 8]
    again: lock inc dword ptr [eax]
      dec ecx
      jnz again
      ret`,
  count: `
      mov eax, dword ptr [esp + 4]
      mov ecx, dword ptr [esp + 8]
    again: mov edx, dword ptr [eax]
      inc edx
      mov dword ptr [eax], edx
      dec ecx
      jnz again
      ret`,
  modifyAndCall: `
      mov eax, dword ptr [esp + 4]
      mov ecx, dword ptr [esp + 8]
      mov byte ptr [eax], cl
      jmp dword ptr [esp + 12]`,
  constant: (value) => `mov eax, ${value}\nret`,
  refetch: 'push ebx\ncpuid\npop ebx\nret',
  exceptions: {
    breakpoint: 'int3',
    fastFail: 'mov ecx, 5\nint 0x29',
    assertion: 'int 0x2c',
    undefined: 'ud2',
    systemCall: 'mov eax, 42\nint 0x2e',
    privileged: 'cli',
    halt: 'hlt',
  },
};

export const PROGRAMS: Readonly<Record<ArchitectureName, Programs>> = { x64, arm64, x86 };
