import { ENTRY, type FixCase } from './case.js';

/** What has run already, what the base has stored, what others have bound themselves to. */
export const LIFE_CASES: readonly FixCase[] = [
  {
    what: 'a function that asks for its own address',
    files: {
      'a.c': `typedef int CB(int); CB *g_cb; static int g_n;
      NOINLINE int Work(int x) { g_n += HP_FIX ? 0x10 : 1; return g_cb == Work ? 1 : 0; }
      EXPORT int Init(void) { g_cb = Work; return 0; } EXPORT int Run(void) { return g_cb(1); } ${ENTRY}`,
    },
    marked: ['Work'],
    architectures: ['x64', 'arm64', 'x86'],
    refused: 'identity.address',
  },
  {
    what: 'a function that asks for the address of another one, behind other code',
    files: {
      'a.c': `typedef int CB(int); volatile CB *g_cb; static int g_n; volatile int g_k;
      NOINLINE int Other(int x) { g_n++; return x; }
      NOINLINE int Work(int x) { CB *cb = g_cb; if (x > 3 && g_k) { g_n += x; g_k = x + HP_FIX; } if (cb != Other) g_n = 9; return g_n; }
      EXPORT int Init(void) { g_cb = Other; return 0; } EXPORT int Run(int x) { return Work(x); } ${ENTRY}`,
    },
    marked: ['Work'],
    refused: 'identity.address',
  },
  {
    what: 'a function that asks for the address of a constant',
    files: {
      'a.c': `static const char *g_name; static int g_n; static const char kName[] = "default-name";
      NOINLINE int A(int x) { g_n += x; if (HP_FIX && x > 1000) return 3; return g_name == kName; }
      EXPORT int Init(void) { g_name = kName; return 0; } EXPORT int TA(int x) { return A(x); } ${ENTRY}`,
    },
    marked: ['A'],
    architectures: ['x64', 'arm64', 'x86'],
    refused: 'identity.address',
  },
  {
    what: 'a loop over a constant table, and a format string',
    files: {
      'a.c': `static const short primes[] = { 2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37 };
      EXPORT NOINLINE int TA(int x) { int n = 0; for (const short *p = primes; p != primes + 12; p++) { if (*p < x + HP_FIX) n += *p; DbgPrint("%d", n); } return n; } ${ENTRY}`,
    },
    marked: ['TA'],
    isQuiet: true,
    after: ['TA 5', 'TA 4'],
    right: [10, 5],
  },
  {
    what: 'a fix in the entry point',
    files: {
      'a.c': `static volatile int g_lim; EXPORT int TA(int x) { return g_lim; }
      EXPORT int __stdcall DriverEntry(void *a, void *b) { g_lim = HP_FIX ? 64 : 65; return 0; }`,
    },
    marked: ['DriverEntry'],
    warned: 'entry.hasRun',
  },
  {
    what: 'a fix in a function that only the entry point calls',
    files: {
      'a.c': `static volatile int g_lim; EXPORT int TA(int x) { return g_lim; }
      static NOINLINE void setup(int n) { g_lim = n + (HP_FIX ? 64 : 65); g_lim += n * 3; }
      EXPORT int __stdcall DriverEntry(void *a, void *b) { setup(g_lim); setup(g_lim + 1); return 0; }`,
    },
    marked: ['setup'],
    warned: 'entry.hasRun',
  },
  {
    what: 'a fix in a static initialiser',
    files: {
      'a.cpp': `extern "C" { ${ENTRY} NOINLINE int first(int x) { return x * (HP_FIX ? 2 : 3); } }
      volatile int seed; int limit = first(seed) + HP_FIX; extern "C" EXPORT int TA(int x) { return limit + x * (1 + HP_FIX); }
      #pragma section(".CRT$XCA", read)
      #pragma section(".CRT$XCZ", read)`,
    },
    marked: ['TA'],
    architectures: ['x64'],
    warned: 'entry.hasRun',
  },
  {
    what: 'a function of INIT that nobody calls any more',
    files: {
      'a.c': `static volatile int table[4];
      #pragma code_seg(push, i, "INIT")
      NOINLINE int setup(int n) { if (HP_FIX && n > 4) n = 4; for (int i = 0; i < n; i++) table[i & 3] = i * 10; return n; }
      EXPORT int __stdcall DriverEntry(void *a, void *b) { setup(4); return 0; }
      #pragma code_seg(pop, i)
      EXPORT NOINLINE int check(int i) { return table[i & 3] + HP_FIX; }`,
    },
    marked: ['setup', 'check'],
    linkerFlags: ['/section:INIT,ERD'],
    warned: 'entry.discarded',
    after: ['check 2'],
    right: [21],
  },
  {
    what: 'a call of a function of INIT',
    files: {
      'a.c': `static volatile int table[4];
      #pragma code_seg(push, i, "INIT")
      NOINLINE int setup(int n) { if (HP_FIX && n > 4) n = 4; for (int i = 0; i < n; i++) table[i & 3] = i * 10; return n; }
      EXPORT int __stdcall DriverEntry(void *a, void *b) { setup(4); return 0; }
      #pragma code_seg(pop, i)
      EXPORT NOINLINE int check(int i) { if (HP_FIX && i > 3) return setup(2) - 3; return table[i & 3]; }`,
    },
    marked: ['setup', 'check'],
    linkerFlags: ['/section:INIT,ERD'],
    refused: 'callee.discarded',
  },
  {
    what: 'an exported constant table',
    files: {
      'a.c': `EXPORT const int limits[4] = { 10, 20, 30, HP_FIX ? 40 : 9999 }; EXPORT NOINLINE int TA(int x) { return limits[x & 3] + HP_FIX; } ${ENTRY}`,
    },
    marked: ['TA'],
    architectures: ['x64', 'arm64', 'x86'],
    refused: 'export.data',
  },
  {
    what: 'an exported table of functions',
    files: {
      'a.c': `static NOINLINE int h1(int i) { volatile int x = i; return x + 2; } static NOINLINE int h2(int i) { volatile int x = i; return x + 3; }
      EXPORT int (*const ops[2])(int) = { h2, HP_FIX ? h2 : h1 }; EXPORT NOINLINE int TA(int x) { return ops[x & 1](x) + HP_FIX + h1(x); } ${ENTRY}`,
    },
    marked: ['TA'],
    refused: 'export.data',
  },
  {
    what: 'an alias of a .def file that leads elsewhere',
    files: {
      'a.c': `EXPORT NOINLINE int one(int x) { return x + 1; } EXPORT NOINLINE int two(int x) { return x + 2; } EXPORT NOINLINE int TA(int x) { return x * (3 + HP_FIX); }
      #if HP_FIX
      #pragma comment(linker, "/export:alias=two")
      #else
      #pragma comment(linker, "/export:alias=one")
      #endif
      ${ENTRY}`,
    },
    marked: ['TA'],
    architectures: ['x64', 'arm64'],
    refused: 'export.target',
  },
  {
    what: 'a variable under another name',
    files: {
      'a.c': `#if HP_FIX
      #define N g_total_bytes
      #else
      #define N g_total
      #endif
      static int N;
      NOINLINE int F(int x) { N += x; return N; } NOINLINE int G(void) { return N * 10; }
      EXPORT int TF(int x) { return F(x); } EXPORT int TG(void) { return G(); } ${ENTRY}`,
    },
    marked: ['F', 'G'],
    warned: 'variable.renamed',
  },
  {
    what: 'a variable under another name, with --pair',
    files: {
      'a.c': `#if HP_FIX
      #define N g_total_bytes
      #else
      #define N g_total
      #endif
      static int N;
      NOINLINE int F(int x) { N += x; return N; } NOINLINE int G(void) { return N * 10; }
      EXPORT int TF(int x) { return F(x); } EXPORT int TG(void) { return G(); } ${ENTRY}`,
    },
    marked: ['F', 'G'],
    pairs: [{ base: 'g_total', fixed: 'g_total_bytes' }],
    before: ['TF 1'],
    after: ['TF 1', 'TG'],
    right: [2, 20],
  },
];
