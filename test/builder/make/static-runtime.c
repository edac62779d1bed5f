/* Each line is the same when gcc builds this for the machine that it runs on. Nothing is inlined: -O0. */
#define _GNU_SOURCE
#include <complex.h>
#include <dirent.h>
#include <fenv.h>
#include <getopt.h>
#include <libgen.h>
#include <math.h>
#include <search.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>
#include <wchar.h>

#ifdef _WIN32
int asprintf(char **to, const char *format, ...);
void *mempcpy(void *to, const void *from, size_t size);
#define EXPORT __declspec(dllexport)
#else
#define EXPORT
#endif

static char *out;
static void say(const char *format, ...)
{
    va_list list;
    va_start(list, format);
    out += vsprintf(out, format, list);
    va_end(list);
}

static void classes(void)
{
    volatile double zero = 0, values[] = { 0, -0.0, 1, -2.5, 1e300, 4e-320, 1 / zero, -1 / zero, NAN };
    for (int at = 0; at < 9; at++) {
        double d = values[at];
        float f = (float)d;
        long double l = d;
        say("%d%d%d%d%d ", isnan(d) != 0, isinf(d) != 0, isfinite(d) != 0, isnormal(d) != 0, signbit(d) != 0);
        say("%d%d%d%d%d ", isnan(f) != 0, isinf(f) != 0, isfinite(f) != 0, isnormal(f) != 0, signbit(f) != 0);
        /* No long double of 80 bits is so small. */
        if (at == 5) say("\n");
        else say("%d%d%d%d%d\n", isnan(l) != 0, isinf(l) != 0, isfinite(l) != 0, isnormal(l) != 0, signbit(l) != 0);
    }
}

static unsigned long long bits(double value) { unsigned long long all; memcpy(&all, &value, 8); return all; }
static void put(const char *name, long double value) { say("%s=%llx ", name, bits((double)value)); }
static void longDoubles(void)
{
    static const double values[] = { 0, -0.0, 0.5, -0.5, 1.5, -2.5, 2.5, 3.75, -7.999, 1e10, -123456789.75, 1e300, 5e-324 };
    volatile long double whole;
    int exponent, quotient;
    for (unsigned at = 0; at < sizeof values / sizeof *values; at++) {
        long double x = values[at], part;
        put("floor", floorl(x)); put("ceil", ceill(x)); put("trunc", truncl(x)); put("round", roundl(x));
        put("rint", rintl(x)); put("nearbyint", nearbyintl(x)); put("fabs", fabsl(x)); put("copysign", copysignl(x, -1));
        put("frexp", frexpl(x, &exponent)); say("%d ", exponent);
        part = modfl(x, (long double *)&whole); put("modf", part); put("whole", whole);
        put("scalbn", scalbnl(x, 7)); put("ldexp", ldexpl(x, -9)); put("fmod", fmodl(x, 0.75L)); put("rem", remainderl(x, 1.25L));
        put("remquo", remquol(x, 3, &quotient)); say("%d ", quotient & 7);
        put("fmax", fmaxl(x, 1)); put("fmin", fminl(x, 1)); put("fdim", fdiml(x, 1)); put("fma", fmal(x, 2, 1));
        if (x != 0) { say("%d ", ilogbl(x)); put("logb", logbl(x)); }
        if (fabsl(x) < 1e9L) say("%ld %ld %lld %lld ", lrintl(x), lroundl(x), llrintl(x), llroundl(x));
        put("sqrt", sqrtl(fabsl(x) < 1e100L && fabsl(x) > 1e-100L ? x * x : 4));
        say("\n");
    }
    say("%d %d %d %d\n", nextafterl(1, 2) > 1, nextafterl(1, 0) < 1, nextafterl(0, -1) < 0, nextafterl(nextafterl(8, 0), 9) == 8);
    say("%llx %llx %llx %llx\n", bits(nexttoward(1.0, 2.0L)), bits(nexttoward(1.0, 0.0L)), bits(nexttoward(0.0, -1.0L)), bits(nexttowardf(1.0f, 2.0L)));
    say("%.12g %.12g %.12g\n", (double)sinl(1), (double)powl(2, 0.5L), (double)strtold("2.25e3x", 0));
}

static void environment(void)
{
    fenv_t kept;
    volatile double one = 1, three = 3, sink;
    static const int modes[] = { FE_TONEAREST, FE_UPWARD, FE_DOWNWARD, FE_TOWARDZERO };
    feclearexcept(FE_ALL_EXCEPT);
    say("%d ", fetestexcept(FE_ALL_EXCEPT) != 0);
    feraiseexcept(FE_OVERFLOW | FE_DIVBYZERO);
    say("%d %d ", fetestexcept(FE_DIVBYZERO) == FE_DIVBYZERO, fetestexcept(FE_INVALID) != 0);
    feclearexcept(FE_DIVBYZERO);
    say("%d %d\n", fetestexcept(FE_DIVBYZERO) != 0, fetestexcept(FE_OVERFLOW) == FE_OVERFLOW);
    for (int at = 0; at < 4; at++) {
        say("%d ", fesetround(modes[at]));
        sink = one / three;
        say("%d %llx %llx\n", fegetround() == modes[at], bits(sink), bits(-one / three));
    }
    fesetround(FE_TONEAREST);
    feholdexcept(&kept);
    say("%d ", fetestexcept(FE_OVERFLOW) != 0);
    fesetround(FE_UPWARD);
    fesetenv(&kept);
    say("%d %d\n", fegetround() == FE_TONEAREST, fetestexcept(FE_OVERFLOW) != 0);
    (void)sink;
}

static void complexNumbers(void)
{
    double _Complex z = 3 - 4 * I;
    say("%g %g %g %g %g\n", cabs(z), creal(z), cimag(z), creal(conj(z)), cimag(conj(z)));
    say("%.12g %.12g %.12g\n", carg(z), creal(csqrt(z)), cimag(csqrt(z)));
    say("%.12g %.12g %.12g %.12g\n", creal(cexp(z)), cimag(cexp(z)), creal(clog(z)), cimag(clog(z)));
    say("%.10g %.10g %.12g %.12g %.12g\n", creal(cpow(z, 2)), cimag(cpow(z, 2)), creal(csin(z)), cimag(ccos(z)), (double)cabsf((float _Complex)z));
}

static void options(const char *text, const char *letters, int kind)
{
    static const struct option table[] = { { "verbose", no_argument, 0, 'v' }, { "file", required_argument, 0, 'f' },
        { "level", optional_argument, 0, 'l' }, { "files", no_argument, 0, 'F' }, { 0, 0, 0, 0 } };
    char copy[200], *words[20], *word;
    int count = 0, found, index;
    strcpy(copy, text);
    for (word = strtok(copy, " "); word; word = strtok(0, " ")) words[count++] = word;
    words[count] = 0;
    optind = 0;
    opterr = 0;
    for (;;) {
        index = -1;
        found = kind == 0 ? getopt(count, words, letters) : kind == 1 ? getopt_long(count, words, letters, table, &index)
            : getopt_long_only(count, words, letters, table, &index);
        if (found == -1) break;
        say("%c(%s,%d) ", found < ' ' ? '0' + found : found, optarg ? optarg : "", index);
        if (found == '?' && kind == 0) say("<%c> ", optopt);
    }
    say("|");
    for (; optind < count; optind++) say(" %s", words[optind]);
    say("\n");
}

static int byText(const void *one, const void *other) { return strcmp(one, other); }
static void visit(const void *node, VISIT when, int depth)
{
    if (when == postorder || when == leaf) say("%s%d ", *(const char *const *)node, depth > 9 ? 9 : 0);
}
static void trees(void)
{
    static const char *const words[] = { "m", "d", "x", "a", "f", "z", "d" };
    void *root = 0;
    for (int at = 0; at < 7; at++) say("%d", *(const char **)tsearch(words[at], &root, byText) == words[at]);
    say(" ");
    twalk(root, visit);
    tdelete("m", &root, byText);
    tdelete("a", &root, byText);
    say("%d %d ", tfind("m", &root, byText) != 0, tfind("f", &root, byText) != 0);
    twalk(root, visit);
    say("\n");
}

static void texts(void)
{
    static const char *const paths[] = { "/usr/lib", "/usr/", "usr", "/", ".", "..", "", "/a//b//", "a/b/c.d" };
    char copy[40], *made = 0, bytes[10] = "----------";
    wchar_t wide[10];
    mbstate_t state;
    const char *from = "abc";
    const wchar_t *back = L"xyz";
    for (int at = 0; at < 9; at++) {
        strcpy(copy, paths[at]);
        say("[%s] ", basename(copy));
        strcpy(copy, paths[at]);
        say("[%s] ", dirname(copy));
    }
    say("\n%d ", asprintf(&made, "%d-%s-%05.2f", 42, "text", 3.14159));
    say("%s ", made);
    free(made);
    say("%d %s\n", (int)((char *)mempcpy(copy, "hello", 6) - copy), copy);
    memset(&state, 0, sizeof state);
    say("%d ", (int)mbsrtowcs(wide, &from, 10, &state));
    say("%d ", from == 0);
    say("%d %d ", wmemcmp(wide, L"abd", 3) < 0, wmemchr(wide, L'c', 3) == wide + 2);
    wmemset(wide, L'q', 2);
    wmemcpy(wide + 2, L"rs", 2);
    wmemmove(wide + 1, wide, 3);
    say("%d%d%d%d ", (int)wide[0] - 'a', (int)wide[1] - 'a', (int)wide[2] - 'a', (int)wide[3] - 'a');
    say("%d ", (int)wcsrtombs(bytes, &back, 2, &state));
    say("%.3s %d\n", bytes, back != 0);
}

EXPORT int report(char *to)
{
    struct timeval now;
    char *begin = out = to;
    classes();
    longDoubles();
    environment();
    complexNumbers();
    options("p -a -bvalue rest -b other -- -c", "ab:c", 0);
    options("p -xa -b", "ab:", 0);
    options("p -xa -b", ":ab:", 0);
    options("p one -a two -b three four", "+ab:", 0);
    options("p one -a two", "-a", 0);
    options("p in --verbose --file=x out --file y --level --level=3 --bogus --fil z --files", "vf:", 1);
    options("p -verbose -file x -v --file", "vf:", 2);
    trees();
    texts();
    say("%d ", gettimeofday(&now, 0));
    say("%d\n", now.tv_usec >= 0 && now.tv_usec < 1000000);
    return (int)(out - begin);
}

#ifndef _WIN32
int main(void)
{
    static char text[100000];
    report(text);
    fputs(text, stdout);
    return 0;
}
#endif
