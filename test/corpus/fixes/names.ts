import { ENTRY, type FixCase } from './case.js';

/** Which function and which variable of the fix is which of the base. */
export const NAME_CASES: readonly FixCase[] = [
  {
    what: 'one of two folded functions is fixed',
    files: {
      'a.c': `NOINLINE int E1(int x) { DbgPrint("q"); return x * 2; }
      NOINLINE int E2(int x) { DbgPrint("q"); return x * (HP_FIX ? 3 : 2); }
      NOINLINE int E3(int x) { return x * (HP_FIX ? 7 : 5); }
      EXPORT int TA(int x) { return E1(x); } EXPORT int TB(int x) { return E2(x); } EXPORT int TC(int x) { return E3(x); } ${ENTRY}`,
    },
    linkerFlags: ['/opt:icf'],
    refused: 'entry.folded',
  },
  {
    what: 'folded functions that nothing changes',
    files: {
      'a.c': `NOINLINE int E1(int x) { DbgPrint("q"); return x * 2; }
      NOINLINE int E2(int x) { DbgPrint("q"); return x * 2; }
      NOINLINE int E3(int x) { return E2(x) + (HP_FIX ? 7 : 5); }
      EXPORT int TA(int x) { return E1(x); } EXPORT int TB(int x) { return E2(x); } EXPORT int TC(int x) { return E3(x); } ${ENTRY}`,
    },
    linkerFlags: ['/opt:icf'],
    after: ['TA 1', 'TB 2', 'TC 3'],
    right: [2, 4, 13],
  },
  {
    what: 'functions that only the fix makes the same, folded there',
    files: {
      'a.c': `volatile int s;
      EXPORT NOINLINE int read_a(int i) { if (i > 10) i = 10; s = i; return s * 3; }
      EXPORT NOINLINE int read_b(int i) {
      #if HP_FIX
        if (i > 10) i = 10;
      #endif
        s = i; return s * 3; }
      EXPORT NOINLINE int other(int i) {
      #if HP_FIX
        if (i > 20) i = 20;
      #endif
        s = i; return s + 1; } ${ENTRY}`,
    },
    marked: ['read_a', 'read_b', 'other'],
    linkerFlags: ['/opt:icf'],
    architectures: ['x64', 'arm64', 'x86'],
    after: ['read_a 50', 'read_b 50', 'other 50'],
    right: [30, 30, 21],
  },
  {
    what: 'static functions of one name in two objects',
    files: {
      'a.c': `static NOINLINE int chk(int x) { DbgPrint("a"); return x; } EXPORT int TA(int x) { return chk(x); } ${ENTRY}`,
      'b.c': `static NOINLINE int chk(int x) { DbgPrint("b"); return x * (HP_FIX ? 3 : 2); } EXPORT int TB(int x) { return chk(x); }`,
    },
    after: ['TA 1', 'TB 100'],
    right: [1, 300],
  },
  {
    what: 'static functions of one name in two objects, with a map only',
    files: {
      'a.c': `static NOINLINE int chk(int x) { DbgPrint("a"); return x; } EXPORT int TA(int x) { return chk(x); } ${ENTRY}`,
      'b.c': `static NOINLINE int chk(int x) { DbgPrint("b"); return x * (HP_FIX ? 3 : 2); } EXPORT int TB(int x) { return chk(x); }`,
    },
    isMapOnly: true,
    after: ['TA 1', 'TB 100'],
    right: [1, 300],
  },
  {
    what: 'a static function of another object',
    files: {
      'a.c': `volatile int sinka; int (*volatile hook)(int);
      #if HP_FIX
      static NOINLINE int plusone(int i) { sinka = i; return i + 1; }
      EXPORT int setup(int i) { hook = plusone; return 0; }
      #else
      static NOINLINE int helper(int i) { sinka = i; return i + 1; }
      EXPORT int setup(int i) { hook = helper; return 0; }
      #endif
      EXPORT int run(int i) { return hook(i); } ${ENTRY}`,
      'b.c': `volatile int sinkb;
      #if HP_FIX
      static NOINLINE int helper(int i) { sinkb = i; return i * 100; }
      EXPORT int other(int i) { return helper(i) + 1; }
      #else
      EXPORT int other(int i) { return i + 1; }
      #endif`,
    },
    marked: ['setup', 'plusone', 'helper', 'other'],
    architectures: ['x64', 'arm64', 'x86'],
    before: ['setup 0', 'run 5'],
    after: ['run 5', 'other 5'],
    right: [6, 501],
  },
  {
    what: 'a static variable of another object',
    files: {
      'a.c': `#if !HP_FIX
      static int g_cnt;
      NOINLINE int A(void) { return ++g_cnt; }
      #else
      NOINLINE int A(void) { return -1; }
      #endif
      EXPORT int TA(void) { return A(); } ${ENTRY}`,
      'b.c': `#if HP_FIX
      static int g_cnt;
      NOINLINE int B(void) { return ++g_cnt; }
      #else
      NOINLINE int B(void) { return 0; }
      #endif
      EXPORT int TB(void) { return B(); }`,
    },
    marked: ['A', 'B'],
    before: ['TA', 'TA', 'TA'],
    after: ['TB', 'TB', 'TA'],
    right: [1, 2, -1],
  },
  {
    what: 'a static of another function',
    files: {
      'a.c': `volatile int sink;
      NOINLINE int f(int i) { sink = i;
      #if HP_FIX
        return i;
      #else
        static int calls; calls += i; sink = calls; return calls;
      #endif
      }
      NOINLINE int g(int i) { sink = i;
      #if HP_FIX
        static int calls; calls += 1; sink = calls; return calls;
      #else
        return 0;
      #endif
      }
      EXPORT int run(int i) { return f(i) * 1000 + g(i); } ${ENTRY}`,
    },
    marked: ['f', 'g'],
    architectures: ['x64', 'arm64', 'x86'],
    before: ['run 5', 'run 5', 'run 5'],
    after: ['run 5', 'run 5'],
    right: [5001, 5002],
  },
  {
    what: 'a static of another block',
    files: {
      'a.c': `NOINLINE int F(int x) {
      #if HP_FIX
        if (x < 50) { return -1; } else { static int n = 7; n += x; return n; }
      #else
        if (x < 50) { static int n = 7; n += x; return n; } else { static int n = 7; n += x; return n; }
      #endif
      }
      EXPORT int TF(int x) { return F(x); } ${ENTRY}`,
    },
    marked: ['F'],
    refused: 'ref.ambiguous',
  },
  {
    what: 'statics of two blocks with other first values',
    files: {
      'a.c': `NOINLINE int F(int x) {
        if (x < 50) { static int n = 7; n += x; return n + HP_FIX; } else { static int n = 9; n += x; return n; }
      }
      EXPORT int TF(int x) { return F(x); } ${ENTRY}`,
    },
    marked: ['F'],
    before: ['TF 1', 'TF 100'],
    after: ['TF 1', 'TF 100'],
    right: [10, 209],
  },
  {
    what: 'a lambda before two others',
    files: {
      'a.cpp': `typedef int (*fn)(int);
      static fn volatile onready, ondone;
      #if HP_FIX
      static fn volatile onerror;
      #endif
      extern "C" {
      EXPORT NOINLINE int setup(int i) {
      #if HP_FIX
        onerror = [](int x) -> int { return -x; };
      #endif
        onready = [](int x) -> int { return x + 1; };
        ondone = [](int x) -> int { return x * 100; };
        return i; }
      EXPORT int ready(int i) { return onready(i); }
      EXPORT int done(int i) { return ondone(i); }
      EXPORT int other(int i) {
      #if HP_FIX
        if (i > 10) i = 10;
      #endif
        return i; } ${ENTRY} }`,
    },
    marked: ['setup'],
    architectures: ['x64', 'arm64', 'x86'],
    before: ['setup 0', 'ready 5', 'done 5'],
    after: ['ready 5', 'done 5', 'setup 0', 'ready 6', 'done 6', 'other 11'],
    right: [6, 500, 0, 7, 600, 10],
  },
  {
    what: 'a lambda before two others, one of which is fixed too',
    files: {
      'a.cpp': `typedef int (*fn)(int);
      static fn volatile onready, ondone;
      #if HP_FIX
      static fn volatile onerror;
      #endif
      extern "C" {
      EXPORT NOINLINE int setup(int i) {
      #if HP_FIX
        onerror = [](int x) -> int { return -x; };
      #endif
        onready = [](int x) -> int { return x + 1 + HP_FIX; };
        ondone = [](int x) -> int { return x * 100; };
        return i; }
      EXPORT int ready(int i) { return onready(i); } ${ENTRY} }`,
    },
    marked: ['setup'],
    refused: 'function.ambiguous',
  },
];
