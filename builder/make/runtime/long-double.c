/*
 * The functions of <math.h> for long double. On x86 and x64 it has 64 bits of mantissa: what rounds, splits or compares is
 * exact; the others compute with double precision (docs/limitations.md). On ARM64, and with a Windows SDK, it is a double.
 */
typedef long double ld;
typedef unsigned long long u64;
extern double acos(double), asin(double), atan(double), atan2(double, double), cos(double), sin(double), tan(double);
extern double acosh(double), asinh(double), atanh(double), cosh(double), sinh(double), tanh(double);
extern double exp(double), exp2(double), expm1(double), log(double), log10(double), log1p(double), log2(double);
extern double cbrt(double), hypot(double, double), pow(double, double), sqrt(double);
extern double erf(double), erfc(double), lgamma(double), tgamma(double);

#define IN_DOUBLE(name) ld name##l(ld x) { return name((double)x); }
IN_DOUBLE(acos) IN_DOUBLE(asin) IN_DOUBLE(atan) IN_DOUBLE(cos) IN_DOUBLE(sin) IN_DOUBLE(tan)
IN_DOUBLE(acosh) IN_DOUBLE(asinh) IN_DOUBLE(atanh) IN_DOUBLE(cosh) IN_DOUBLE(sinh) IN_DOUBLE(tanh)
IN_DOUBLE(exp) IN_DOUBLE(exp2) IN_DOUBLE(expm1) IN_DOUBLE(log) IN_DOUBLE(log10) IN_DOUBLE(log1p) IN_DOUBLE(log2)
IN_DOUBLE(cbrt) IN_DOUBLE(erf) IN_DOUBLE(erfc) IN_DOUBLE(lgamma) IN_DOUBLE(tgamma)
ld atan2l(ld y, ld x) { return atan2((double)y, (double)x); }
ld hypotl(ld x, ld y) { return hypot((double)x, (double)y); }
ld powl(ld x, ld y) { return pow((double)x, (double)y); }

#if __LDBL_MANT_DIG__ == 64
union parts { ld value; struct { u64 mantissa; unsigned short sign; } bits; };
#define MOST 0x7fff
#define BIAS 0x3fff
static int exponentOf(ld x) { union parts p; p.value = x; return p.bits.sign & MOST; }
static int isNegative(ld x) { union parts p; p.value = x; return p.bits.sign >> 15; }
static ld withSign(ld x, int negative)
{
    union parts p;
    p.value = x;
    p.bits.sign = (unsigned short)((p.bits.sign & MOST) | negative << 15);
    return p.value;
}
ld sqrtl(ld x) { ld root; __asm__("fsqrt" : "=t"(root) : "0"(x)); return root; }
#else
union parts { ld value; u64 bits; };
#define MOST 0x7ff
#define BIAS 0x3ff
static int exponentOf(ld x) { union parts p; p.value = x; return (int)(p.bits >> 52) & MOST; }
static int isNegative(ld x) { union parts p; p.value = x; return (int)(p.bits >> 63); }
static ld withSign(ld x, int negative)
{
    union parts p;
    p.value = x;
    p.bits = (p.bits & ~0ull >> 1) | (u64)negative << 63;
    return p.value;
}
ld sqrtl(ld x) { return sqrt(x); }
#endif
#define isSpecial(x) (exponentOf(x) == MOST)

ld fabsl(ld x) { return withSign(x, 0); }
ld copysignl(ld x, ld y) { return withSign(x, isNegative(y)); }
ld nanl(const char *tag) { (void)tag; return __builtin_nan(""); }
ld fmaxl(ld x, ld y) { return x != x ? y : y != y ? x : x > y ? x : y; }
ld fminl(ld x, ld y) { return x != x ? y : y != y ? x : x < y ? x : y; }
ld fdiml(ld x, ld y) { return x != x ? x : y != y ? y : x > y ? x - y : 0; }

/* What has no fraction any more: beyond 2^63, and what is no number. */
static int isWhole(ld x) { return !(fabsl(x) < 9223372036854775808.0L); }
ld truncl(ld x) { return isWhole(x) ? x : withSign((ld)(long long)x, isNegative(x)); }
ld floorl(ld x) { ld whole = truncl(x); return whole > x ? whole - 1 : whole; }
ld ceill(ld x) { ld whole = truncl(x); return whole < x ? withSign(whole + 1, isNegative(x)) : whole; }
ld roundl(ld x)
{
    ld whole = truncl(x);
    if (fabsl(x - whole) >= 0.5L) whole += isNegative(x) ? -1 : 1;
    return isWhole(x) ? x : withSign(whole, isNegative(x));
}
#if __LDBL_MANT_DIG__ == 64
/* Whatever precision the control word says: that of Windows' threads is 53 bits. */
ld rintl(ld x) { __asm__("frndint" : "+t"(x)); return x; }
#else
/* Adding and taking away the number whose last bit counts ones rounds as the processor is set to. */
ld rintl(ld x)
{
    volatile ld large = 4503599627370496.0L, sum = fabsl(x);
    if (!(sum < large)) return x;
    if (isNegative(x)) { sum = x - large; return withSign(sum + large, 1); }
    sum = sum + large;
    return withSign(sum - large, 0);
}
#endif
ld nearbyintl(ld x) { return rintl(x); }
long lrintl(ld x) { return (long)rintl(x); }
long long llrintl(ld x) { return (long long)rintl(x); }
long lroundl(ld x) { return (long)roundl(x); }
long long llroundl(ld x) { return (long long)roundl(x); }
ld modfl(ld x, ld *whole)
{
    *whole = truncl(x);
    return x - x != 0 && x == x ? withSign(0, isNegative(x)) : withSign(x - *whole, isNegative(x));
}

static ld powerOfTwo(int exponent)
{
    ld factor = exponent < 0 ? 0.5L : 2, power = 1;
    unsigned left = exponent < 0 ? 0u - (unsigned)exponent : (unsigned)exponent;
    for (; left; left >>= 1, factor *= factor) if (left & 1) power *= factor;
    return power;
}
/* In steps, so that a result which is subnormal is rounded once. */
ld scalbnl(ld x, int exponent)
{
    int step = MOST / 2 - 1;
    if (x == 0 || isSpecial(x)) return x;
    if (exponent > 5 * step) exponent = 5 * step;
    if (exponent < -5 * step) exponent = -5 * step;
    for (; exponent > step; exponent -= step) x *= powerOfTwo(step);
    for (; exponent < -step; exponent += step - __LDBL_MANT_DIG__) x *= powerOfTwo(__LDBL_MANT_DIG__ - step);
    return x * powerOfTwo(exponent);
}
ld scalblnl(ld x, long exponent) { return scalbnl(x, (int)exponent); }
ld ldexpl(ld x, int exponent) { return scalbnl(x, exponent); }
ld frexpl(ld x, int *exponent)
{
    *exponent = 0;
    if (x == 0 || isSpecial(x)) return x;
    if (exponentOf(x) == 0) { x *= powerOfTwo(__LDBL_MANT_DIG__); *exponent = -__LDBL_MANT_DIG__; }
    *exponent += exponentOf(x) - BIAS + 1;
    return x * powerOfTwo(BIAS - 1 - exponentOf(x));
}
int ilogbl(ld x)
{
    int exponent;
    if (x == 0) return -2147483647 - 1;
    if (isSpecial(x)) return 2147483647;
    frexpl(x, &exponent);
    return exponent - 1;
}
ld logbl(ld x) { return x == 0 ? -1 / fabsl(x) : isSpecial(x) ? x * x : ilogbl(x); }

/* A binary digit of the quotient at a time: each step is exact. */
static ld rest(ld x, ld y, unsigned *quotient)
{
    ld left = fabsl(x), by = fabsl(y);
    int distance, top, bottom;
    unsigned digits = 0;
    frexpl(left, &top);
    frexpl(by, &bottom);
    for (distance = top - bottom; distance >= 0; distance--) {
        ld part = scalbnl(by, distance);
        digits <<= 1;
        if (left >= part) { left -= part; digits |= 1; }
    }
    *quotient = digits;
    return left;
}
ld fmodl(ld x, ld y)
{
    unsigned quotient;
    if (y == 0 || isSpecial(x) || y != y) return (x * y) / (x * y);
    return isSpecial(y) ? x : withSign(rest(x, y, &quotient), isNegative(x));
}
ld remquol(ld x, ld y, int *quotient)
{
    unsigned digits = 0;
    ld left, by = fabsl(y);
    *quotient = 0;
    if (y == 0 || isSpecial(x) || y != y) return (x * y) / (x * y);
    if (isSpecial(y)) return x;
    left = rest(x, y, &digits);
    if (left > by - left || (left == by - left && (digits & 1))) { left -= by; digits++; }
    *quotient = isNegative(x) != isNegative(y) ? -(int)(digits & 0x7fffffff) : (int)(digits & 0x7fffffff);
    if (left == 0) return withSign(left, isNegative(x));
    return isNegative(x) ? -left : left;
}
ld remainderl(ld x, ld y) { int quotient; return remquol(x, y, &quotient); }

ld nextafterl(ld x, ld to)
{
    union parts p;
    int away;
    if (x != x || to != to) return x + to;
    if (x == to) return to;
    p.value = 0;
    if (x == 0) {
#if __LDBL_MANT_DIG__ == 64
        p.bits.mantissa = 1;
#else
        p.bits = 1;
#endif
        return withSign(p.value, to < 0);
    }
    away = (to > x) == (x > 0);
    p.value = x;
#if __LDBL_MANT_DIG__ == 64
    /* The integer bit of the mantissa goes with the exponent. */
    if (away) {
        p.bits.mantissa++;
        if (p.bits.mantissa == 0) { p.bits.mantissa = 1ull << 63; p.bits.sign++; }
        else if (p.bits.mantissa == 1ull << 63 && (p.bits.sign & MOST) == 0) p.bits.sign++;
    } else {
        if (p.bits.mantissa == 1ull << 63) {
            p.bits.sign--;
            p.bits.mantissa = p.bits.sign & MOST ? ~0ull : ~0ull >> 1;
        } else p.bits.mantissa--;
    }
#else
    p.bits += away ? 1 : -1;
#endif
    return p.value;
}
ld nexttowardl(ld x, ld to) { return nextafterl(x, to); }
double nexttoward(double x, ld to)
{
    union { double value; u64 bits; } p = { x };
    if (x != x || to != to) return x + (double)to;
    if ((ld)x == to) return (double)to;
    if (x == 0) { p.bits = 1 | (u64)(to < 0) << 63; return p.value; }
    p.bits += (to > x) == (x > 0) ? 1 : -1;
    return p.value;
}
float nexttowardf(float x, ld to)
{
    union { float value; unsigned bits; } p = { x };
    if (x != x || to != to) return x + (float)to;
    if ((ld)x == to) return (float)to;
    if (x == 0) { p.bits = 1 | (unsigned)(to < 0) << 31; return p.value; }
    p.bits += (to > x) == (x > 0) ? 1 : -1;
    return p.value;
}
/* Rounded twice where long double has more bits than the product of two of them. */
ld fmal(ld x, ld y, ld z) { return x * y + z; }
