/* Control Flow Guard's pointers; the loader overwrites them (.00cfg). Every image needs them. */
int _fltused = 0x9875;
static void guard_check_nop(void) { }
#if defined(__x86_64__)
__attribute__((naked)) static void guard_dispatch_nop(void) { __asm__("jmp *%rax"); }
#endif
#define GUARD __attribute__((section(".00cfg"), used))
GUARD const void *const __guard_check_icall_fptr = (const void *)guard_check_nop;
#if defined(__x86_64__)
GUARD const void *const __guard_dispatch_icall_fptr = (const void *)guard_dispatch_nop;
#endif
