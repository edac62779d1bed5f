.intel_syntax noprefix
# rdi = slot, rsi = uc, rdx = begin, rcx = until, r8 = timeout, r9 = count
start:
  push rbp
  push rbx
  push r12
  push r13
  push r14
  push r15
  sub rsp, 8
  mov [rdi+8], rsp
  mov rbx, rdi
  mov qword ptr [rdi], 1
  mov rax, [rdi+16]
  mov rdi, rsi
  mov rsi, rdx
  mov rdx, rcx
  mov rcx, r8
  mov r8, r9
  call rax
  mov qword ptr [rbx], 0
resume:
  add rsp, 8
  pop r15
  pop r14
  pop r13
  pop r12
  pop rbx
  pop rbp
  ret
handler:
  mov r8, rdx
  mov eax, 186
  syscall
  mov r9, [rip+slot]
  cmp [r9+24], rax
  jne chain
  cmp qword ptr [r9], 1
  jne chain
  mov qword ptr [r9], 2
  mov rax, [r9+8]
  mov [rdx+0xa0], rax
  lea rax, [rip+resume]
  mov [rdx+0xa8], rax
  mov qword ptr [rdx+0x90], 126
  ret
chain:
  mov rdx, r8
  mov rax, [rip+previous]
  cmp rax, 1
  jbe done
  jmp rax
done:
  ret
  .balign 8
slot: .quad 0x1111111111111111
previous: .quad 0x2222222222222222
