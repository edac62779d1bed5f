/* <fenv.h>: the exceptions and rounding of the processor that runs; x86 and x64 have those of the x87 and of SSE. */
#if defined(__aarch64__)
typedef unsigned fexcept_t;
typedef struct { unsigned control; } fenv_t;
#define ALL 0x1f
#define ROUNDING 0x00c00000u
#define DEFAULT ((const fenv_t *)-1l)
typedef unsigned long long u64;
static unsigned status(void) { u64 value; __asm__ volatile("mrs %0, fpsr" : "=r"(value)); return (unsigned)value; }
static void setStatus(unsigned value) { __asm__ volatile("msr fpsr, %0" : : "r"((u64)value)); }
static unsigned control(void) { u64 value; __asm__ volatile("mrs %0, fpcr" : "=r"(value)); return (unsigned)value; }
static void setControl(unsigned value) { __asm__ volatile("msr fpcr, %0" : : "r"((u64)value)); }
static unsigned raised(void) { return status() & ALL; }
static void setRaised(unsigned which) { setStatus((status() & ~(unsigned)ALL) | which); }
int fegetround(void) { return (int)(control() & ROUNDING); }
int fesetround(int mode)
{
    if ((unsigned)mode & ~ROUNDING) return 1;
    setControl((control() & ~ROUNDING) | (unsigned)mode);
    return 0;
}
/* FPCR has its traps at bits 8 to 12 and its rounding at 22; FPSR its exceptions at 0 to 4. */
#define KEPT (ROUNDING | 0x1f00u)
int fegetenv(fenv_t *to) { to->control = (control() & KEPT) | raised(); return 0; }
int fesetenv(const fenv_t *from)
{
    unsigned value = from == DEFAULT ? 0 : from->control;
    setControl((control() & ~KEPT) | (value & KEPT));
    setRaised(value & ALL);
    return 0;
}
static void noTraps(void) { setControl(control() & ~0x1f00u); }
#else
typedef unsigned short fexcept_t;
typedef struct {
    unsigned short controlWord, unused0, statusWord, unused1, tagWord, unused2;
    unsigned instruction; unsigned short selector, opcode; unsigned data; unsigned short dataSelector, unused3;
    unsigned mxcsr;
} fenv_t;
#define ALL 0x3f
#define ROUNDING 0x0c00
static unsigned mxcsr(void) { unsigned value; __asm__ volatile("stmxcsr %0" : "=m"(value)); return value; }
static void setMxcsr(unsigned value) { __asm__ volatile("ldmxcsr %0" : : "m"(value)); }
static unsigned short word(void) { unsigned short value; __asm__ volatile("fnstcw %0" : "=m"(value)); return value; }
static void setWord(unsigned short value) { __asm__ volatile("fldcw %0" : : "m"(value)); }
static void store(fenv_t *to) { __asm__ volatile("fnstenv %0\n\tfldenv %0" : "=m"(*to)); to->mxcsr = mxcsr(); }
static void load(const fenv_t *from) { __asm__ volatile("fldenv %0" : : "m"(*from)); setMxcsr(from->mxcsr); }
static unsigned raised(void) { fenv_t now; store(&now); return (now.statusWord | now.mxcsr) & ALL; }
static void setRaised(unsigned which)
{
    fenv_t now;
    store(&now);
    now.statusWord = (unsigned short)((now.statusWord & ~ALL) | which);
    now.mxcsr = (now.mxcsr & ~(unsigned)ALL) | which;
    load(&now);
}
int fegetround(void) { return word() & ROUNDING; }
int fesetround(int mode)
{
    if (mode & ~ROUNDING) return 1;
    setWord((unsigned short)((word() & ~ROUNDING) | mode));
    setMxcsr((mxcsr() & ~(ROUNDING << 3)) | (unsigned)mode << 3);
    return 0;
}
int fegetenv(fenv_t *to) { store(to); return 0; }
/* 0 and -1 are FE_DFL_ENV and FE_PC64_ENV: a mantissa of 64 bits; -2 is FE_PC53_ENV. */
int fesetenv(const fenv_t *from)
{
    long long special = (long long)(__INTPTR_TYPE__)from;
    if (special <= 0 && special >= -2) {
        __asm__ volatile("fninit");
        if (special == -2) setWord(0x027f);
        setMxcsr(0x1f80);
    } else load(from);
    return 0;
}
static void noTraps(void) { setWord(word() | ALL); setMxcsr(mxcsr() | ALL << 7); }
#endif

int feclearexcept(int which) { setRaised(raised() & ~(unsigned)which); return 0; }
int fetestexcept(int which) { return (int)(raised() & (unsigned)which & ALL); }
int feraiseexcept(int which) { setRaised(raised() | ((unsigned)which & ALL)); return 0; }
int fegetexceptflag(fexcept_t *to, int which) { *to = (fexcept_t)(raised() & (unsigned)which & ALL); return 0; }
int fesetexceptflag(const fexcept_t *from, int which)
{
    setRaised((raised() & ~(unsigned)which) | (*from & (unsigned)which & ALL));
    return 0;
}
int feholdexcept(fenv_t *to) { fegetenv(to); setRaised(0); noTraps(); return 0; }
int feupdateenv(const fenv_t *from) { unsigned was = raised(); fesetenv(from); setRaised(raised() | was); return 0; }
