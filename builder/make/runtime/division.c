/* 64-bit division on x86, under the names that windows-gnu compilers call. */
#if defined(__i386__)
typedef unsigned long long u64;
typedef long long i64;

static u64 divide(u64 value, u64 by, u64 *rest)
{
    u64 quotient = 0, remainder = 0;
    unsigned bit;
    if (by == 0) { volatile unsigned zero = 0; return 1u / zero; }
    if ((value >> 32) == 0 && (by >> 32) == 0) {
        *rest = (unsigned)value % (unsigned)by;
        return (unsigned)value / (unsigned)by;
    }
    for (bit = 64; bit-- > 0;) {
        unsigned carry = (unsigned)(remainder >> 63);
        remainder = (remainder << 1) | ((value >> bit) & 1);
        if (carry || remainder >= by) { remainder -= by; quotient |= (u64)1 << bit; }
    }
    *rest = remainder;
    return quotient;
}
static u64 magnitude(i64 value) { return value < 0 ? 0 - (u64)value : (u64)value; }

u64 __udivdi3(u64 a, u64 b) { u64 rest; return divide(a, b, &rest); }
u64 __umoddi3(u64 a, u64 b) { u64 rest; divide(a, b, &rest); return rest; }
u64 __udivmoddi4(u64 a, u64 b, u64 *rest) { u64 own; return divide(a, b, rest ? rest : &own); }
i64 __divdi3(i64 a, i64 b)
{
    u64 rest, quotient = divide(magnitude(a), magnitude(b), &rest);
    return (a < 0) != (b < 0) ? (i64)(0 - quotient) : (i64)quotient;
}
i64 __moddi3(i64 a, i64 b)
{
    u64 rest;
    divide(magnitude(a), magnitude(b), &rest);
    return a < 0 ? (i64)(0 - rest) : (i64)rest;
}
i64 __divmoddi4(i64 a, i64 b, i64 *rest)
{
    i64 quotient = __divdi3(a, b);
    if (rest) *rest = (i64)((u64)a - (u64)quotient * (u64)b);
    return quotient;
}
#endif
