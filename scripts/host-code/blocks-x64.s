.intel_syntax noprefix
# Block hooks of Unicorn (System V): rdi = uc, rsi = address, edx = size, rcx = slot
# slot: +0 left, +8 reason, +16 table, +24 mask, +32 log, +40 end of the log, +48 last entry,
#       +56 address and +64 size of an unknown block, +72 uc_emu_stop
# entry of the table: +0 address, +8 size (0: none), +10 instructions, +12 identity
# mask: bytes of the table without its last entry
count:
  imul eax, esi, 0x9e3779b1
  shr eax, 8
0:
  and eax, [rcx+24]
  mov r10, [rcx+16]
  cmp [r10+rax], rsi
  jne 1f
  cmp [r10+rax+8], dx
  jne 1f
  movzx r11d, word ptr [r10+rax+10]
  add r10, rax
  mov rax, [rcx]
  sub rax, r11
  jb limit
  mov [rcx], rax
  mov [rcx+48], r10
  ret
1:
  cmp word ptr [r10+rax+8], 0
  je unknown
  add eax, 16
  jmp 0b
  .balign 16
log:
  imul eax, esi, 0x9e3779b1
  shr eax, 8
0:
  and eax, [rcx+24]
  mov r10, [rcx+16]
  cmp [r10+rax], rsi
  jne 1f
  cmp [r10+rax+8], dx
  jne 1f
  movzx r11d, word ptr [r10+rax+10]
  add r10, rax
  mov rax, [rcx]
  sub rax, r11
  jb limit
  mov r11, [rcx+32]
  cmp r11, [rcx+40]
  jae full
  mov [rcx], rax
  mov [rcx+48], r10
  mov eax, [r10+12]
  mov [r11], eax
  add r11, 4
  mov [rcx+32], r11
  ret
1:
  cmp word ptr [r10+rax+8], 0
  je unknown
  add eax, 16
  jmp 0b
limit:
  mov eax, 1
  jmp stop
unknown:
  mov [rcx+56], rsi
  mov [rcx+64], edx
  mov eax, 2
  jmp stop
full:
  mov eax, 3
stop:
  mov [rcx+8], eax
  jmp [rcx+72]
