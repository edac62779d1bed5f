import { ENTRY, type FixCase } from './case.js';

/** Pointers into code, frames and what runs in them, hidden conventions, what every image has for itself. */
export const CODE_CASES: readonly FixCase[] = [
  {
    what: 'a table of labels for computed goto',
    files: {
      'a.c': `static const unsigned char prog[] = { 0, 1, 0, 2 };
      NOINLINE int Interp(const unsigned char *pc, int acc) {
        static const void *const tbl[] = { &&add, &&mul, &&end };
        goto *tbl[*pc++];
        add: acc += 1; goto *tbl[*pc++];
        mul: acc ^= HP_FIX ? 6 : 5; goto *tbl[*pc++];
        end: return acc; }
      EXPORT int TA(int x) { return Interp(prog, x); } ${ENTRY}`,
    },
    marked: ['Interp'],
    architectures: ['x64', 'arm64', 'x86'],
    after: ['TA 0', 'TA 1', 'TA 2'],
    right: [8, 5, 6],
  },
  {
    what: 'a table of labels whose function changes behind the last label',
    files: {
      'a.c': `NOINLINE int Interp(const unsigned char *pc, int acc) {
        static void *tbl[] = { &&add, &&sub, &&end };
        goto *tbl[*pc++];
        add: acc += 3; goto *tbl[*pc++];
        sub: acc -= 1; goto *tbl[*pc++];
        end: return acc * (HP_FIX ? 2 : 1); }
      static const unsigned char prog[] = { 0, 1, 0, 2 };
      EXPORT int TA(int x) { return Interp(prog, x); } ${ENTRY}`,
    },
    marked: ['Interp'],
    after: ['TA 0', 'TA 1'],
    right: [10, 12],
  },
  {
    what: 'the stack cookie that the caller reads and a helper checks',
    files: {
      'a.c': `static int g_n;
      NOINLINE int fill(char *b, int n) { for (int i = 0; i < n; i++) b[i] = i; return b[n - 1]; }
      NOINLINE int A(int x) { char b[32]; g_n++;
      #if HP_FIX
        if (x > 4) return -3;
      #endif
        return fill(b, x + 3) + g_n; }
      EXPORT int TA(int x) { return A(x); } EXPORT int TB(int x) { char b[32]; return fill(b, x + 3); } ${ENTRY}`,
      'cookie.c': `extern __SIZE_TYPE__ __security_cookie;
      __attribute__((no_stack_protector)) void __security_check_cookie(__SIZE_TYPE__ c) { if (c != __security_cookie) __builtin_trap(); }`,
    },
    compilerFlags: ['-fstack-protector-all', '-Oz'],
    marked: ['A'],
    after: ['TA 1', 'TA 5', 'TB 2'],
    right: [4, -3, 4],
  },
  {
    what: 'a filter whose function has another frame, in flight',
    files: {
      'a.c': `volatile int g_gate;
      NOINLINE int Touch(int x) { g_gate++; if (x == 1) ExRaiseStatus(0xC0000005); return x + 7; }
      NOINLINE int P(int x) { volatile int tag = 5; int r = 0;
      #if HP_FIX
        volatile int more[16]; for (int i = 0; i < 16; i++) more[i] = 1000 + i;
      #endif
        __try { r = Touch(x); } __except (tag == 5 ? 1 : 0) { r = -1; }
      #if HP_FIX
        r += more[3] - 1003;
      #endif
        return r; }
      EXPORT int T(int x) { int r; __try { r = P(x); } __except (1) { r = -99; } return r; } ${ENTRY}`,
    },
    marked: ['P'],
    after: ['T 0', 'T 1', 'T 2'],
    right: [7, -1, 9],
    inFlight: { call: 'T 1', at: 'Touch', result: -1 },
  },
  {
    what: 'a fix in a scope table only',
    files: {
      'a.c': `NOINLINE int Touch(int x) { if (x == 1) ExRaiseStatus(0xC0000005); return x + 7; }
      NOINLINE int P(int x) { int r = 0; __try { r = Touch(x); } __except (HP_FIX) { r = -1; } return r; }
      NOINLINE int Q(int x) { return x + 2 + HP_FIX; }
      EXPORT int T(int x) { int r; __try { r = P(x); } __except (1) { r = -99; } return r; } EXPORT int TQ(int x) { return Q(x); } ${ENTRY}`,
    },
    marked: ['Q'],
    after: ['T 0', 'T 1', 'T 2', 'TQ 1'],
    right: [7, -1, 9, 4],
  },
  {
    what: 'a fix in a filter only',
    files: {
      'a.c': `NOINLINE int Touch(int x) { if (x > 0) ExRaiseStatus(0xC0000005 + x); return x + 7; }
      static NOINLINE int decide(int code) { return code == (HP_FIX ? 0xC0000006 : 0xC0000007); }
      NOINLINE int P(int x) { volatile int r = 0; __try { r = Touch(x); } __except (_exception_code() == (HP_FIX ? 0xC0000006 : 0xC0000007)) { r = -1; } return r; }
      EXPORT int T(int x) { int r; __try { r = P(x); } __except (1) { r = -99; } return r; } ${ENTRY}`,
    },
    marked: ['P'],
    after: ['T 0', 'T 1', 'T 2'],
    right: [7, -1, -99],
  },
  {
    what: 'a fix in a __finally block only',
    files: {
      'a.c': `volatile int g_held; 
      NOINLINE int Touch(int x) { if (x == 1) ExRaiseStatus(0xC0000005); return x + 7; }
      NOINLINE int P(int x) { int r = 0; g_held = 1; __try { r = Touch(x); } __finally { g_held = HP_FIX ? 0 : 2; } return r; }
      EXPORT int T(int x) { int r; __try { r = P(x); } __except (1) { r = -99; } return r * 10 + g_held; } ${ENTRY}`,
    },
    marked: ['P', '?fin$0@0@P@@'],
    after: ['T 0', 'T 1'],
    right: [70, -990],
  },
  {
    what: 'a fix beside __except with a map only',
    files: {
      'a.c': `NOINLINE int Touch(int x) { if (x == 1) ExRaiseStatus(0xC0000005); return x + 7; }
      NOINLINE int P(int x) { volatile int r = 0; __try { r = Touch(x) + HP_FIX; } __except (1) { r = -1; } return r; }
      NOINLINE int Q(int x) { volatile int r = 0; __try { r = Touch(x); } __finally { r += 100 * HP_FIX; } return r; }
      EXPORT int T(int x) { return P(x); } EXPORT int TQ(int x) { return Q(x); } ${ENTRY}`,
    },
    isMapOnly: true,
    after: ['T 0', 'T 1', 'TQ 0'],
    right: [8, -1, 107],
  },
  {
    what: 'constants in a circle',
    files: {
      'a.c': `struct node { const struct node *next; volatile int v; };
      extern const struct node X, Y;
      const struct node X = { &Y, 1 + HP_FIX };
      const struct node Y = { &X, 5 };
      NOINLINE int G(const struct node *n) { return n->v; }
      NOINLINE int H(const struct node *n) { return n->next->v; }
      EXPORT int TG(int i) { DbgPrint("g"); return G(&X); }
      EXPORT int TF(int i) { DbgPrint("f"); return H(&Y); } ${ENTRY}`,
    },
    architectures: ['x64', 'arm64', 'x86'],
    after: ['TG 0', 'TF 0'],
    right: [2, 2],
  },
  {
    what: 'a row more in a constant table of pointers to variables',
    files: {
      'a.c': `typedef unsigned ULONG; static ULONG g_a, g_b;
      struct e { const char *n; ULONG *counter; int (*f)(int); };
      static NOINLINE int f0(int x) { return x + g_a; } static NOINLINE int f1(int x) { return x + g_b; }
      #if HP_FIX
      static ULONG g_c; static NOINLINE int f2(int x) { return x + g_c + g_a; }
      #endif
      static const struct e T[] = { { "a", &g_a, f0 }, { "b", &g_b, f1 },
      #if HP_FIX
       { "c", &g_c, f2 },
      #endif
      };
      NOINLINE int A(int x) { if (x >= sizeof T / sizeof *T) return -1; const struct e *e = &T[x]; ++*e->counter; return *e->counter * 1000 + e->f(x); }
      EXPORT int TA(int x) { return A(x); }
      EXPORT int GetA(void) { return *(volatile ULONG *)&g_a; } EXPORT int GetB(void) { return *(volatile ULONG *)&g_b; } ${ENTRY}`,
    },
    marked: ['A', 'f2'],
    before: ['TA 0', 'TA 1'],
    after: ['TA 0', 'TA 1', 'TA 2', 'GetA', 'GetB'],
    right: [2002, 2003, 1005, 2, 2],
  },
  {
    what: 'a parameter that the base ignored and its caller does not set',
    files: {
      'a.c': `static volatile int g;
      static NOINLINE int Log(int i, int tag) { g += tag; return i + tag; }
      static NOINLINE int F(int a, int b) { g++; return HP_FIX ? a * 10 + b : a * 10; }
      NOINLINE int Caller(int x, int y) { int r = 0; for (int i = 0; i < x; i++) { Log(i, 1000 + i); r += F(i, y); } return r; }
      EXPORT int T(int x) { return Caller(x, 7); } ${ENTRY}`,
    },
    marked: ['F', 'Caller', 'Log'],
    architectures: ['x64', 'arm64', 'x86'],
    refused: 'function.convention',
  },
  {
    what: 'a parameter that the base passed on through a function that ignored it too',
    files: {
      'a.c': `static volatile int g;
      static NOINLINE int Log(int i, int tag) { g += tag; return i + tag; }
      static NOINLINE int F(int a, int b) { g++; return HP_FIX ? a * 10 + b : a * 10; }
      static NOINLINE int Via(int a, int b) { return F(a, b); }
      NOINLINE int Caller(int x, int y) { int r = 0; for (int i = 0; i < x; i++) { Log(i, 1000 + i); r += Via(i, y); } return r; }
      EXPORT int T(int x) { return Caller(x, 7); } ${ENTRY}`,
    },
    marked: ['F', 'Caller', 'Log', 'Via'],
    refused: 'function.convention',
  },
  {
    what: 'a parameter that the base reads already',
    files: {
      'a.c': `static volatile int g;
      static NOINLINE int Log(int i, int tag) { g += tag; return i + tag; }
      static NOINLINE int F(int a, int b) { g++; return HP_FIX ? a * 10 + b : a * 10 - b; }
      NOINLINE int Caller(int x, int y) { int r = 0; for (int i = 0; i < x; i++) { Log(i, 1000 + i + HP_FIX); r += F(i, y); } return r; }
      EXPORT int T(int x) { return Caller(x, 7); } ${ENTRY}`,
    },
    marked: ['F', 'Caller', 'Log'],
    after: ['T 3'],
    right: [51],
    inFlight: { call: 'T 3', at: 'Log', result: 51 },
  },
  {
    what: 'a result that nobody used is not computed any more',
    files: {
      'a.c': `static volatile int g;
      static NOINLINE int F(int a) { g += a; return g * 3; }
      NOINLINE int Log(int i) { g += i; return g; }
      NOINLINE int Caller(int x) { int r = 0; for (int i = 0; i < x; i++) { Log(i);
      #if HP_FIX
        F(i); r += 1;
      #else
        r += F(i);
      #endif
      } return r; }
      EXPORT int T(int x) { return Caller(x); } ${ENTRY}`,
    },
    marked: ['F', 'Caller', 'Log'],
    refused: 'function.convention',
  },
  {
    what: 'a first parameter that the fix ignores, so that the second one moves up',
    files: {
      'a.c': `static volatile int g;
      static NOINLINE int Log(int i, int tag) { g += tag; return i + tag; }
      static NOINLINE int F(int a, int b) { g++; return HP_FIX ? b * 10 : a * 10 - b; }
      NOINLINE int Caller(int x, int y) { int r = 0; for (int i = 0; i < x; i++) { Log(i, 1000 + i + HP_FIX); r += F(i, y); } return r; }
      EXPORT int T(int x) { return Caller(x, 7 + x); } ${ENTRY}`,
    },
    marked: ['F', 'Caller', 'Log'],
    architectures: ['x64', 'arm64', 'x86'],
    refused: 'function.convention',
  },
  {
    what: 'a fix that changes a register of which callers of the base set a byte after the call',
    files: {
      'a.c': `static volatile int g;
      NOINLINE void F(int x) { g += x; if (HP_FIX) DbgPrint("%d %d", x, x); }
      NOINLINE int Caller(int x) { F(x); unsigned char r = x; __asm__("movb $40, %%r8b; addb %%r8b, %0" : "+q"(r) : : "r8"); return r + HP_FIX; }
      EXPORT int T(int x) { return Caller(x); } ${ENTRY}`,
    },
    marked: ['F', 'Caller'],
    architectures: ['x64'],
    after: ['T 3'],
    right: [44],
  },
  {
    what: 'a fix that sets bytes of registers before it reads them',
    files: {
      'a.c': `static volatile int g;
      NOINLINE int F(const int *p) { g++; if (!HP_FIX) return p[0] + p[3]; _Bool a = p[0] == 3, b = p[1] == 4, c = p[2] == 5, d = p[3] == 6; return (a | b) + 2 * (c ^ d) + 4 * (a ^ d); }
      NOINLINE int Caller(int x) { int r = 0; for (int i = 0; i < x; i++) { int p[4] = { i + 2, g, x, 6 }; r += F(p) + HP_FIX; } return r; }
      EXPORT int T(int x) { return Caller(x); } ${ENTRY}`,
    },
    marked: ['F', 'Caller'],
    architectures: ['x64', 'arm64', 'x86'],
    after: ['T 2'],
    right: [11],
  },
  {
    what: 'a register that a caller of the base keeps over its call, because the old function leaves it alone',
    files: {
      'a.c': `static volatile int g;
      static NOINLINE int F(int x) { return HP_FIX ? (g ^ x) * (g + x) - (g | x) * (g & x) : x + 1; }
      EXPORT NOINLINE int T(int x, int a, int b, int c) { int r = 0; for (int i = 0; i < x; i++) r += F(i + HP_FIX) * a + b * c; return r; } ${ENTRY}`,
    },
    marked: ['F', 'T'],
    architectures: ['x64'],
    compilerFlags: ['-mllvm', '-enable-ipra'],
    refused: 'function.convention',
  },
  {
    what: 'a byte that the base ignored and its caller in another object sets all the same',
    files: {
      'a.c': `static volatile int g;
      int F(int a, char c) { g++; return HP_FIX ? a * 10 + c : a * 10; } ${ENTRY}`,
      'b.c': `int F(int a, char c);
      NOINLINE int Caller(int x) { int r = 0; for (int i = 0; i < x; i++) r += F(i, '-') + HP_FIX; return r; }
      EXPORT int T(int x) { return Caller(x); }`,
    },
    marked: ['F', 'Caller'],
    after: ['T 2'],
    right: [102],
  },
];
