/* Touches each page of a large frame in order, so that the guard page moves down; registers are kept. */
        .text
#if defined(__x86_64__)
        .globl ___chkstk_ms
        .globl __chkstk
___chkstk_ms:
__chkstk:                               /* rax: bytes */
        pushq %rcx
        pushq %rax
        leaq 24(%rsp), %rcx
1:      cmpq $0x1000, %rax
        jb 2f
        subq $0x1000, %rcx
        orb $0, (%rcx)
        subq $0x1000, %rax
        jmp 1b
2:      subq %rax, %rcx
        orb $0, (%rcx)
        popq %rax
        popq %rcx
        retq
#elif defined(__aarch64__)
        .globl __chkstk
__chkstk:                               /* x15: bytes / 16 */
        lsl x16, x15, #4
        mov x17, sp
1:      cmp x16, #0x1000
        b.lo 2f
        sub x17, x17, #0x1000
        ldr xzr, [x17]
        sub x16, x16, #0x1000
        b 1b
2:      sub x17, x17, x16
        ldr xzr, [x17]
        ret
#else
        .globl __alloca
        .globl __chkstk
__alloca:                               /* eax: bytes; lowers esp by them */
__chkstk:
        pushl %ecx
        leal 8(%esp), %ecx
1:      cmpl $0x1000, %eax
        jb 2f
        subl $0x1000, %ecx
        orb $0, (%ecx)
        subl $0x1000, %eax
        jmp 1b
2:      subl %eax, %ecx
        orb $0, (%ecx)
        movl %esp, %eax
        movl %ecx, %esp
        movl (%eax), %ecx
        movl 4(%eax), %eax
        jmpl *%eax
        .globl ___chkstk_ms
___chkstk_ms:
        pushl %ecx
        pushl %eax
        leal 12(%esp), %ecx
1:      cmpl $0x1000, %eax
        jb 2f
        subl $0x1000, %ecx
        orb $0, (%ecx)
        subl $0x1000, %eax
        jmp 1b
2:      subl %eax, %ecx
        orb $0, (%ecx)
        popl %eax
        popl %ecx
        ret
#endif
#if defined(__i386__)
        .globl @feat.00
@feat.00 = 1 | 0x800
#else
        .globl @feat.00
@feat.00 = 0x800
#endif
