// w0 = signal
handler:
  mov w10, w0
  ldr x9, slot
  ldr x1, [x9]
  ldr x2, [x1]
  add x1, x1, #8
  mov x0, #2
  mov x8, #64
  svc #0
  ldr x1, [x9, #8]
  cbz x1, end
  mov x0, #-100
  mov x2, #0
  mov x8, #35
  svc #0
end:
  mov x8, #172
  svc #0
  mov w1, w10
  mov x8, #129
  svc #0
  ret
  .balign 8
slot: .quad 0x1111111111111111
