import { ENTRY, type FixCase } from './case.js';

const ALL = ['x64', 'arm64', 'x86'] as const;
const GUARDED = ['-fno-threadsafe-statics'];
const MAKE = 'static volatile int seed = 3; NOINLINE int mk(int x) { return x * 10 + seed; }';

/** The compiler keeps `flag` in one byte as long as it has two values. */
const ONCE_IN_ONE_BYTE = {
  'a.c': `static int flag, n;
  EXPORT NOINLINE int W(int x) {
  #if HP_FIX
    flag = x;
  #else
    if (x) flag = 5;
  #endif
    n++; return 0; }
  EXPORT NOINLINE int R(void) { return flag; } ${ENTRY}`,
};

/** What the optimiser makes of variables, guards of static initialisers, and addresses that patched code hands out. */
export const OPTIMISED_CASES: readonly FixCase[] = [
  {
    what: 'members of a split structure that change places',
    files: {
      'a.c': `typedef struct {
      #if HP_FIX
        int b; int a;
      #else
        int a; int b;
      #endif
      } S; static S g_s;
      NOINLINE int A(int x) { return g_s.a * 100 + g_s.b * 10 + HP_FIX; }
      EXPORT NOINLINE int Mk(int x) { g_s.a = 1; g_s.b = 2; return 0; } EXPORT int TA(int x) { return A(x); } ${ENTRY}`,
    },
    marked: ['A', 'Mk'],
    architectures: ALL,
    hasMap: true,
    refused: 'variable.optimised',
  },
  {
    what: 'members of a split structure of which the fix uses one more',
    files: {
      'a.c': `static struct { int a, b, c; } s;
      #if HP_FIX
      EXPORT NOINLINE int W(int x) { s.a = x; s.b = x + 1; s.c = x * 2; return 0; } EXPORT NOINLINE int R(void) { return s.a * 100 + s.b * 10 + s.c; }
      #else
      EXPORT NOINLINE int W(int x) { s.a = x; s.c = x * 2; return 0; } EXPORT NOINLINE int R(void) { return s.a * 100 + s.c; }
      #endif
      ${ENTRY}`,
    },
    marked: ['W', 'R'],
    hasMap: true,
    refused: 'ref.ambiguous',
  },
  {
    what: 'members of a split structure of which the fix uses another one, with a map only',
    files: {
      'a.c': `static struct { int a, b, c; } s;
      #if HP_FIX
      EXPORT NOINLINE int W(int x) { s.b = x; s.c = x + 1; return 0; } EXPORT NOINLINE int R(void) { return s.b + 1 + s.c; }
      #else
      EXPORT NOINLINE int W(int x) { s.a = x; s.b = 2; return 0; } EXPORT NOINLINE int R(void) { return s.a + s.b; }
      #endif
      ${ENTRY}`,
    },
    marked: ['W', 'R'],
    isMapOnly: true,
    architectures: ['x64'],
    refused: 'variable.optimised',
  },
  {
    what: 'static functions of one name with other parameters',
    files: {
      'a.cpp': `static volatile int g; static NOINLINE int f(int x) { g = x; return x + 1; }
      static NOINLINE int f(long long x) { return (int)x * (HP_FIX ? 3 : 2); }
      extern "C" { EXPORT int TA(int x) { return f(x); } EXPORT int TB(int x) { return f((long long)x); } ${ENTRY} }`,
    },
    hasMap: true,
    architectures: ALL,
    after: ['TA 4', 'TB 4'],
    right: [5, 12],
  },
  {
    what: 'an anonymous namespace in another folder, with a map only',
    files: {
      'a.cpp': `namespace { volatile int count; NOINLINE int k(int x) { count += x; return count; } NOINLINE int m(int x) { return x * (2 + HP_FIX); } }
      extern "C" { EXPORT int TA(int x) { return k(x); } EXPORT int TB(int x) { return m(x); } ${ENTRY} }`,
    },
    isMapOnly: true,
    before: ['TA 5'],
    after: ['TA 1', 'TB 4'],
    right: [6, 12],
  },
  {
    what: 'a variable that only the base keeps in one byte',
    files: ONCE_IN_ONE_BYTE,
    marked: ['W', 'R'],
    architectures: ALL,
    hasMap: true,
    refused: 'data.size',
  },
  {
    what: 'a variable that only the base keeps in one byte, without a map',
    files: ONCE_IN_ONE_BYTE,
    marked: ['W', 'R'],
    refused: 'ref.ambiguous',
  },
  {
    what: 'a variable of two values in one byte, of which the fix changes one',
    files: {
      'a.c': `static int flag, n; EXPORT NOINLINE int W(int x) { if (x) flag = HP_FIX ? 7 : 5; n++; return 0; }
      EXPORT NOINLINE int R(void) { return flag; } ${ENTRY}`,
    },
    marked: ['W', 'R'],
    hasMap: true,
    warned: 'variable.shrunk',
  },
  {
    what: 'a variable that nothing of the fix writes, so that its first value takes its place',
    files: {
      'a.c': `static int mode = 3, n; EXPORT NOINLINE int R(int x) { n++; return mode * x + n; }
      #if HP_FIX
      EXPORT int Set(int x) { return 1; }
      #else
      EXPORT int Set(int x) { mode = x; return 0; }
      #endif
      ${ENTRY}`,
    },
    marked: ['R'],
    warned: 'variable.removed',
  },
  {
    what: 'a static local that is initialised when it is reached',
    files: {
      'a.cpp': `extern "C" { ${MAKE}
      NOINLINE int f(int x) { static int once = mk(x); once += HP_FIX; return once; } EXPORT int T(int x) { return f(x); } ${ENTRY} }`,
    },
    compilerFlags: GUARDED,
    marked: ['f'],
    architectures: ALL,
    hasMap: true,
    before: ['T 1'],
    after: ['T 2', 'T 3'],
    right: [14, 15],
  },
  {
    what: 'a static local before another one: the bits of their guard change places',
    files: {
      'a.cpp': `extern "C" { ${MAKE}
      #if HP_FIX
      NOINLINE int f(int x) { if (x > 5) { static int b = mk(x + 1); b++; return b; } static int a = mk(x); a += 2; return a; }
      #else
      NOINLINE int f(int x) { if (x <= 5) { static int a = mk(x); a++; return a; } static int b = mk(x + 1); b++; return b; }
      #endif
      EXPORT int T(int x) { return f(x); } ${ENTRY} }`,
    },
    compilerFlags: GUARDED,
    marked: ['f'],
    architectures: ALL,
    hasMap: true,
    refused: 'ref.ambiguous',
  },
  {
    what: 'a static local that the fix removes before another one',
    files: {
      'a.cpp': `extern "C" { ${MAKE}
      NOINLINE int f(int x) {
      #if !HP_FIX
        if (x > 5) { static int b = mk(x + 1); b++; return b; }
      #endif
        static int a = mk(x); a++; return a; }
      EXPORT int T(int x) { return f(x); } ${ENTRY} }`,
    },
    compilerFlags: GUARDED,
    marked: ['f'],
    hasMap: true,
    refused: 'ref.ambiguous',
  },
  {
    what: 'the address of a function that the base compares with',
    files: {
      'a.c': `typedef int F(int); static int g = 3;
      static NOINLINE int f0(int x) { return g + x; } static NOINLINE int f1(int x) { return g * x; }
      static F *cur = f0; EXPORT NOINLINE int Sel(int i) { cur = i ? f1 : f0; g += HP_FIX; return g; }
      EXPORT int Run(int x) { return cur(x); } EXPORT int IsF1(void) { return cur == f1; } ${ENTRY}`,
    },
    marked: ['Sel'],
    architectures: ALL,
    refused: 'identity.address',
  },
  {
    what: 'the address of a function that nobody compares with',
    files: {
      'a.c': `typedef int F(int); static int g = 3;
      static NOINLINE int f0(int x) { return g + x; } static NOINLINE int f1(int x) { return g * x; }
      static F *cur = f0; EXPORT NOINLINE int Sel(int i) { cur = i ? f1 : f0; g += HP_FIX; return g; }
      EXPORT int Run(int x) { return cur(x); } EXPORT int IsSet(void) { return cur != 0; } ${ENTRY}`,
    },
    marked: ['Sel'],
    architectures: ALL,
    before: ['Sel 1'],
    after: ['Run 5', 'Sel 0', 'Run 5', 'IsSet'],
    right: [15, 4, 9, 1],
  },
  {
    what: 'the address of a constant that the base compares with',
    files: {
      'a.c': `static const char *last; static int n; static const char kNone[] = "none", kOne[] = "one";
      EXPORT NOINLINE int f(int x) { last = x ? kOne : kNone; n += 1 + HP_FIX; return last[1] + n; }
      EXPORT int IsNone(void) { return last == kNone; } ${ENTRY}`,
    },
    marked: ['f'],
    architectures: ALL,
    refused: 'identity.address',
  },
  {
    what: 'labels of a changed function that the base has put into a variable',
    files: {
      'a.c': `static void *tb[3]; static int n; static const unsigned char pr[] = { 0, 1, 0, 1, 2 };
      NOINLINE int f(const unsigned char *p, int a) {
        if (!n) { n = 1; tb[0] = &&A; tb[1] = &&B; tb[2] = &&C; }
        goto *tb[*p++];
        A: a += 1; goto *tb[*p++];
        B: a *= HP_FIX ? 3 : 2; goto *tb[*p++];
        C: return a; }
      EXPORT int T(int x) { return f(pr, x); } ${ENTRY}`,
    },
    marked: ['f'],
    architectures: ALL,
    hasMap: true,
    refused: 'function.label',
  },
  {
    what: 'distances between labels',
    files: {
      'a.c': `static const unsigned char pr[] = { 0, 1, 0, 1, 2 };
      NOINLINE int f(const unsigned char *p, int a) {
        static const int off[] = { &&A - &&A, &&B - &&A, &&C - &&A };
        goto *(&&A + off[*p++]);
        A: a += 1; goto *(&&A + off[*p++]);
        B: a *= HP_FIX ? 3 : 2; goto *(&&A + off[*p++]);
        C: return a; }
      EXPORT int T(int x) { return f(pr, x); } ${ENTRY}`,
    },
    marked: ['f'],
    after: ['T 1', 'T 2'],
    right: [21, 30],
  },
];
