import { ENTRY, type FixCase } from './case.js';

/** Types and layouts that objects of the running base have, and what every image has for itself. */
export const TYPE_CASES: readonly FixCase[] = [
  {
    what: 'an enumerator before others',
    files: {
      'a.c': `enum st { IDLE,
      #if HP_FIX
        PAUSED,
      #endif
        RUN, STOP };
      static volatile enum st g_s;
      NOINLINE int A(int x) { switch (g_s) { case IDLE: return 1; case RUN: return 2; case STOP: return 3;
      #if HP_FIX
        case PAUSED: return 4;
      #endif
      } return 9; }
      EXPORT int Mk(int x) { g_s = RUN; return 0; } EXPORT int TA(int x) { return A(x); } ${ENTRY}`,
    },
    marked: ['A', 'Mk'],
    architectures: ['x64', 'arm64', 'x86'],
    refused: 'type.enumerator',
  },
  {
    what: 'an enumerator behind the others, before the one that counts them',
    files: {
      'a.c': `enum st { IDLE, RUN, STOP,
      #if HP_FIX
        PAUSED,
      #endif
        ST_COUNT };
      static volatile enum st g_s;
      NOINLINE int A(int x) { if (x >= ST_COUNT) return -1; return g_s * 10 + HP_FIX; }
      EXPORT int Mk(int x) { g_s = RUN; return 0; } EXPORT int TA(int x) { return A(x); } ${ENTRY}`,
    },
    marked: ['A'],
    before: ['Mk 0'],
    after: ['TA 3', 'TA 4'],
    right: [11, -1],
  },
  {
    what: 'a variable of another type and the same size',
    files: {
      'a.c': `#if HP_FIX
      volatile int limit = 5;
      #else
      volatile unsigned limit = 5;
      #endif
      EXPORT NOINLINE int TA(int x) { return x < limit; } ${ENTRY}`,
    },
    marked: ['TA'],
    refused: 'data.type',
  },
  {
    what: 'a member of another type and the same size',
    files: {
      'a.c': `struct session { int id;
      #if HP_FIX
        unsigned left;
      #else
        int left;
      #endif
      }; 
      static struct session g_s = { 1, -1 };
      EXPORT NOINLINE int TA(int x) { struct session *volatile s = &g_s; return s->left > x; } ${ENTRY}`,
    },
    marked: ['TA'],
    refused: 'type.layout',
  },
  {
    what: 'a callback with another signature',
    files: {
      'a.c': `#if HP_FIX
      typedef int callback(int, int);
      #else
      typedef int callback(int);
      #endif
      struct ops { callback *run; };
      static struct ops *volatile g_ops;
      EXPORT NOINLINE int TA(int x) {
      #if HP_FIX
        return g_ops == 0 ? x : g_ops->run(x, 7);
      #else
        return g_ops == 0 ? x : g_ops->run(x);
      #endif
      } ${ENTRY}`,
    },
    marked: ['TA'],
    refused: 'type.layout',
  },
  {
    what: 'a variable that holds a callback with another signature',
    files: {
      'a.c': `#if HP_FIX
      static int (*volatile g_cb)(int, int);
      #else
      static int (*volatile g_cb)(int);
      #endif
      EXPORT NOINLINE int TA(int x) {
      #if HP_FIX
        return g_cb == 0 ? x : g_cb(x, 7);
      #else
        return g_cb == 0 ? x : g_cb(x);
      #endif
      } ${ENTRY}`,
    },
    marked: ['TA'],
    refused: 'data.type',
  },
  {
    what: 'a virtual function before others',
    files: {
      'a.cpp': `typedef __SIZE_TYPE__ size_t;
      inline void *operator new(size_t, void *p) noexcept { return p; }
      struct A { int v;
      #if HP_FIX
        virtual int extra(int i) { return v + i + 1000; }
      #endif
        virtual int get(int i) { return v + i; } virtual int put(int i) { v = i; return v; } };
      static long long buf[8]; static A *volatile p;
      extern "C" {
      EXPORT NOINLINE int init(int i) { p = new (buf) A; p->v = i; return 0; }
      EXPORT NOINLINE int use(int i) { return HP_FIX ? p->get(i) + 1 : p->get(i); } ${ENTRY} }`,
    },
    marked: ['use', 'init'],
    architectures: ['x64', 'arm64', 'x86'],
    refused: 'type.layout',
  },
  {
    what: 'a virtual function with another signature',
    files: {
      'a.cpp': `typedef __SIZE_TYPE__ size_t;
      inline void *operator new(size_t, void *p) noexcept { return p; }
      struct A { int v;
      #if HP_FIX
        virtual int get(long long i) { return v + (int)i; }
      #else
        virtual int get(int i) { return v + i; }
      #endif
      };
      static long long buf[8]; static A *volatile p;
      extern "C" {
      EXPORT NOINLINE int init(int i) { p = new (buf) A; p->v = i; return 0; }
      EXPORT NOINLINE int use(int i) { return HP_FIX ? p->get(i) + 1 : p->get(i); } ${ENTRY} }`,
    },
    marked: ['use', 'init'],
    refused: 'type.layout',
  },
  {
    what: 'a virtual function that only the fix overrides',
    files: {
      'a.cpp': `typedef __SIZE_TYPE__ size_t;
      inline void *operator new(size_t, void *p) noexcept { return p; }
      struct A { int v; virtual int get(int i) { return v + i; } };
      struct B : A {
      #if HP_FIX
        int get(int i) override { return i > 10 ? -1 : v + i; }
      #endif
      };
      static long long buf[8]; static A *volatile p;
      extern "C" {
      EXPORT NOINLINE int init(int i) { p = new (buf) B; p->v = i; return 0; }
      EXPORT NOINLINE int use(int i) { return p->get(i); } EXPORT NOINLINE int other(int i) { return i + HP_FIX; } ${ENTRY} }`,
    },
    marked: ['init', 'other'],
    refused: 'type.virtualTable',
  },
  {
    what: 'the address of the image in a constant declaration',
    files: {
      'a.c': `extern const char __ImageBase[]; volatile int s;
      EXPORT NOINLINE int inside(const char *p) { if (HP_FIX && !p) return -1; s = 1; return p - __ImageBase < 0x10000; }
      EXPORT int me(int i) { return inside((void *)&s); } ${ENTRY}`,
    },
    marked: ['inside'],
    architectures: ['x64', 'arm64', 'x86'],
    refused: 'global.imageBase',
  },
  {
    what: 'the address of the image by a pointer that leads to the base',
    files: {
      'a.c': `extern char __ImageBase[]; volatile int s;
      EXPORT NOINLINE int inside(const char *p) { if (HP_FIX && !p) return -1; s = 1; return p - __ImageBase < 0x10000; }
      EXPORT int me(int i) { return inside((void *)&s); } EXPORT int me2(int i) { return inside((void *)me); } ${ENTRY}`,
    },
    marked: ['inside'],
    after: ['me', 'me2', 'inside 0'],
    right: [1, 1, -1],
  },
  {
    what: 'parts of a structure that -O2 splits',
    files: {
      'a.c': `typedef struct { int a; int b; } S; static S g_s;
      EXPORT NOINLINE int TA(int x) { return g_s.a * 100 + g_s.b * 10 + HP_FIX; }
      EXPORT NOINLINE int Mk(int x) { g_s.a = x; g_s.b = x + 1; return 0; } ${ENTRY}`,
    },
    marked: ['TA'],
    before: ['Mk 5'],
    after: ['TA 3', 'Mk 6', 'TA 3'],
    right: [561, 0, 671],
  },
];
