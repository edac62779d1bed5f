/*
 * IMAGE_LOAD_CONFIG_DIRECTORY for x86_64, aarch64 and i686 in one file: lld fills the guard tables, and
 * HotPatchTableOffset is zero until a hotpatch is made of the image.
 */
#if defined(__i386__)
# define SYM2(x) _##x
# define SYM(x) SYM2(x)
# define PTR .long
# define P2A .p2align 2
#else
# define SYM(x) x
# define PTR .quad
# define P2A .p2align 3
#endif
        .section .rdata$loadcfg,"dr"
        P2A
        .globl SYM(_load_config_used)
SYM(_load_config_used):
1:
        .long 2f - 1b           /* Size */
        .long 0                         /* TimeDateStamp */
        .short 0, 0                     /* Major/MinorVersion */
        .long 0, 0, 0                   /* GlobalFlagsClear/Set, CritSecTimeout */
        PTR 0, 0, 0, 0, 0               /* DeCommit*, LockPrefix, MaxAlloc, VmThreshold */
#if defined(__i386__)
        .long 0, 0                      /* ProcessHeapFlags, ProcessAffinityMask */
#else
        PTR 0                           /* ProcessAffinityMask */
        .long 0                         /* ProcessHeapFlags */
#endif
        .short 0, 0                     /* CSDVersion, DependentLoadFlags */
        PTR 0                           /* EditList */
        PTR SYM(__security_cookie)
#if defined(__i386__)
        PTR SYM(__safe_se_handler_table), SYM(__safe_se_handler_count)
#else
        PTR 0, 0
#endif
        PTR SYM(__guard_check_icall_fptr)
#if defined(__x86_64__)
        PTR SYM(__guard_dispatch_icall_fptr)
#else
        PTR 0
#endif
        PTR SYM(__guard_fids_table), SYM(__guard_fids_count)
        .long SYM(__guard_flags)        /* GuardFlags (abs symbol, ADDR32) */
        .short 0, 0                     /* CodeIntegrity */
        .long 0, 0
        PTR SYM(__guard_iat_table), SYM(__guard_iat_count)
        PTR SYM(__guard_longjmp_table), SYM(__guard_longjmp_count)
        PTR 0, 0                        /* DynamicValueRelocTable, CHPEMetadata */
        PTR 0, 0                        /* GuardRF* */
        .long 0                         /* DynamicValueRelocTableOffset */
        .short 0, 0                     /* ...Section, Reserved2 */
        PTR 0                           /* GuardRFVerifyStackPointer... */
        .long 0                         /* HotPatchTableOffset */
        .long 0                         /* Reserved3 */
        PTR 0, 0                        /* Enclave, VolatileMetadata */
        PTR SYM(__guard_eh_cont_table), SYM(__guard_eh_cont_count)
        PTR 0, 0, 0, 0                  /* XFG x3, CastGuard */
        PTR 0                           /* GuardMemcpyFunctionPointer */
2:

        .data
        P2A
        .globl SYM(__security_cookie)
SYM(__security_cookie):
#if defined(__i386__)
        .long 0xBB40E64E
#else
        .quad 0x00002B992DDFA232
#endif
#if defined(__i386__)
        .globl @feat.00
@feat.00 = 1 | 0x800                    /* safeseh compatible | guard cf */
#else
        .globl @feat.00
@feat.00 = 0x800
#endif
