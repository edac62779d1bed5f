// x0 = slot, x1 = uc, x2 = begin, x3 = until, x4 = timeout, x5 = count
start:
  sub sp, sp, #160
  stp x19, x20, [sp]
  stp x21, x22, [sp, #16]
  stp x23, x24, [sp, #32]
  stp x25, x26, [sp, #48]
  stp x27, x28, [sp, #64]
  stp x29, x30, [sp, #80]
  stp d8, d9, [sp, #96]
  stp d10, d11, [sp, #112]
  stp d12, d13, [sp, #128]
  stp d14, d15, [sp, #144]
  mov x6, sp
  str x6, [x0, #8]
  mov x19, x0
  mov x6, #1
  str x6, [x0]
  ldr x7, [x0, #16]
  mov x0, x1
  mov x1, x2
  mov x2, x3
  mov x3, x4
  mov x4, x5
  blr x7
  str xzr, [x19]
resume:
  ldp x19, x20, [sp]
  ldp x21, x22, [sp, #16]
  ldp x23, x24, [sp, #32]
  ldp x25, x26, [sp, #48]
  ldp x27, x28, [sp, #64]
  ldp x29, x30, [sp, #80]
  ldp d8, d9, [sp, #96]
  ldp d10, d11, [sp, #112]
  ldp d12, d13, [sp, #128]
  ldp d14, d15, [sp, #144]
  add sp, sp, #160
  ret
handler:
  mov x9, x0
  mov x8, #178
  svc #0
  adr x10, slot
  ldr x10, [x10]
  ldr x11, [x10, #24]
  cmp x11, x0
  b.ne chain
  ldr x11, [x10]
  cmp x11, #1
  b.ne chain
  mov x11, #2
  str x11, [x10]
  ldr x11, [x10, #8]
  mov sp, x11
  mov w0, #126
  b resume
chain:
  mov x0, x9
  adr x10, previous
  ldr x10, [x10]
  cmp x10, #1
  b.ls done
  br x10
done:
  ret
  .balign 8
slot: .quad 0x1111111111111111
previous: .quad 0x2222222222222222
