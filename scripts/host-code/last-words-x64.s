.intel_syntax noprefix
# edi = signal
handler:
  push rbx
  push r12
  mov r12d, edi
  mov rbx, [rip+slot]
  mov rsi, [rbx]
  mov rdx, [rsi]
  add rsi, 8
  mov edi, 2
  mov eax, 1
  syscall
  mov rdi, [rbx+8]
  test rdi, rdi
  je end
  mov eax, 87
  syscall
end:
  mov eax, 39
  syscall
  mov edi, eax
  mov esi, r12d
  mov eax, 62
  syscall
  pop r12
  pop rbx
  ret
  .balign 8
slot: .quad 0x1111111111111111
