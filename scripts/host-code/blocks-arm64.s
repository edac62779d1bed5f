// Block hooks of Unicorn: x0 = uc, x1 = address, w2 = size, x3 = slot
// slot and table: as in blocks-x64.s
count:
  ldp x4, x5, [x3, #16]
  mov w7, #0x79b1
  movk w7, #0x9e37, lsl #16
  mul w8, w1, w7
  lsr w8, w8, #8
0:
  and w8, w8, w5
  add x9, x4, x8
  ldr x10, [x9]
  ldrh w11, [x9, #8]
  cmp x10, x1
  b.ne 1f
  cmp w11, w2
  b.ne 1f
  ldrh w10, [x9, #10]
  ldr x11, [x3]
  subs x11, x11, x10
  b.lo limit
  str x11, [x3]
  str x9, [x3, #48]
  ret
1:
  cbz w11, unknown
  add w8, w8, #16
  b 0b
log:
  ldp x4, x5, [x3, #16]
  mov w7, #0x79b1
  movk w7, #0x9e37, lsl #16
  mul w8, w1, w7
  lsr w8, w8, #8
0:
  and w8, w8, w5
  add x9, x4, x8
  ldr x10, [x9]
  ldrh w11, [x9, #8]
  cmp x10, x1
  b.ne 1f
  cmp w11, w2
  b.ne 1f
  ldrh w10, [x9, #10]
  ldr x11, [x3]
  subs x11, x11, x10
  b.lo limit
  ldp x12, x13, [x3, #32]
  cmp x12, x13
  b.hs full
  str x11, [x3]
  str x9, [x3, #48]
  ldr w10, [x9, #12]
  str w10, [x12], #4
  str x12, [x3, #32]
  ret
1:
  cbz w11, unknown
  add w8, w8, #16
  b 0b
limit:
  mov w10, #1
  b stop
unknown:
  str x1, [x3, #56]
  str w2, [x3, #64]
  mov w10, #2
  b stop
full:
  mov w10, #3
stop:
  str w10, [x3, #8]
  ldr x10, [x3, #72]
  br x10
