/* <complex.h>, by the formulas that define the functions; without C99's table of special cases (Annex G). */
#include <stddef.h>
extern double hypot(double, double), atan2(double, double), exp(double), log(double), sqrt(double), fabs(double);
extern double sin(double), cos(double), sinh(double), cosh(double);
typedef double _Complex complex;
#define RE(z) __real__(z)
#define IM(z) __imag__(z)
static complex make(double re, double im) { complex z; RE(z) = re; IM(z) = im; return z; }

double creal(complex z) { return RE(z); }
double cimag(complex z) { return IM(z); }
double cabs(complex z) { return hypot(RE(z), IM(z)); }
double carg(complex z) { return atan2(IM(z), RE(z)); }
complex conj(complex z) { return make(RE(z), -IM(z)); }
complex cproj(complex z)
{
    double inf = __builtin_inf();
    if (fabs(RE(z)) != inf && fabs(IM(z)) != inf) return z;
    return make(inf, __builtin_copysign(0, IM(z)));
}
complex cexp(complex z) { double size = exp(RE(z)); return make(size * cos(IM(z)), size * sin(IM(z))); }
complex clog(complex z) { return make(log(cabs(z)), carg(z)); }
static complex times(complex a, complex b) { return make(RE(a) * RE(b) - IM(a) * IM(b), RE(a) * IM(b) + IM(a) * RE(b)); }
complex cpow(complex base, complex power)
{
    if (RE(base) == 0 && IM(base) == 0) return RE(power) == 0 && IM(power) == 0 ? make(1, 0) : make(0, 0);
    return cexp(times(power, clog(base)));
}
complex csqrt(complex z)
{
    double size = cabs(z), re = sqrt((size + fabs(RE(z))) / 2), im;
    if (size == 0) return make(0, IM(z));
    im = fabs(IM(z)) / (2 * re);
    return RE(z) >= 0 ? make(re, __builtin_copysign(im, IM(z))) : make(im, __builtin_copysign(re, IM(z)));
}
complex csin(complex z) { return make(sin(RE(z)) * cosh(IM(z)), cos(RE(z)) * sinh(IM(z))); }
complex ccos(complex z) { return make(cos(RE(z)) * cosh(IM(z)), -sin(RE(z)) * sinh(IM(z))); }
complex csinh(complex z) { return make(sinh(RE(z)) * cos(IM(z)), cosh(RE(z)) * sin(IM(z))); }
complex ccosh(complex z) { return make(cosh(RE(z)) * cos(IM(z)), sinh(RE(z)) * sin(IM(z))); }

typedef float _Complex complexf;
static complexf narrow(complex z) { complexf to; RE(to) = (float)RE(z); IM(to) = (float)IM(z); return to; }
static complex wide(complexf z) { return make(RE(z), IM(z)); }
float crealf(complexf z) { return RE(z); }
float cimagf(complexf z) { return IM(z); }
float cabsf(complexf z) { return (float)cabs(wide(z)); }
float cargf(complexf z) { return (float)carg(wide(z)); }
complexf conjf(complexf z) { return narrow(conj(wide(z))); }
complexf cexpf(complexf z) { return narrow(cexp(wide(z))); }
complexf clogf(complexf z) { return narrow(clog(wide(z))); }
complexf cpowf(complexf base, complexf power) { return narrow(cpow(wide(base), wide(power))); }
complexf csqrtf(complexf z) { return narrow(csqrt(wide(z))); }
