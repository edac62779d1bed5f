/*
 * What <math.h> of mingw-w64 calls for isnan, fpclassify, isfinite, isinf, isnormal and signbit where nothing is inlined (-O0,
 * C89). The values are those of its FP_ macros: the condition codes of FXAM.
 */
#define FP_NAN 0x0100
#define FP_NORMAL 0x0400
#define FP_INFINITE (FP_NAN | FP_NORMAL)
#define FP_ZERO 0x4000
#define FP_SUBNORMAL (FP_NORMAL | FP_ZERO)
typedef unsigned long long u64;

static int classify(int exponent, int most, u64 fraction)
{
    if (exponent == most) return fraction ? FP_NAN : FP_INFINITE;
    if (exponent == 0) return fraction ? FP_SUBNORMAL : FP_ZERO;
    return FP_NORMAL;
}

int __fpclassify(double value)
{
    union { double value; u64 bits; } all = { value };
    return classify((int)(all.bits >> 52) & 0x7ff, 0x7ff, all.bits << 12);
}
int __fpclassifyf(float value)
{
    union { float value; unsigned bits; } all = { value };
    return classify((int)(all.bits >> 23) & 0xff, 0xff, all.bits << 9);
}
int __isnan(double value) { return __fpclassify(value) == FP_NAN; }
int __isnanf(float value) { return __fpclassifyf(value) == FP_NAN; }
int __signbit(double value)
{
    union { double value; u64 bits; } all = { value };
    return (int)(all.bits >> 63);
}
int __signbitf(float value)
{
    union { float value; unsigned bits; } all = { value };
    return (int)(all.bits >> 31);
}

#if __LDBL_MANT_DIG__ == 64
union extended { long double value; struct { u64 mantissa; unsigned short sign; } parts; };
/* The integer bit of the mantissa is there: it does not tell infinity from NaN, nor make a zero. */
int __fpclassifyl(long double value)
{
    union extended all;
    all.value = value;
    if ((all.parts.sign & 0x7fff) == 0) return all.parts.mantissa ? FP_SUBNORMAL : FP_ZERO;
    return classify(all.parts.sign & 0x7fff, 0x7fff, all.parts.mantissa << 1);
}
int __signbitl(long double value)
{
    union extended all;
    all.value = value;
    return all.parts.sign >> 15;
}
#else
int __fpclassifyl(long double value) { return __fpclassify(value); }
int __signbitl(long double value) { return __signbit(value); }
#endif
int __isnanl(long double value) { return __fpclassifyl(value) == FP_NAN; }
