import type { BuildRuleId } from '../../../builder/index.js';
import type { Architecture } from './refusal.js';

/** A program that a compiler turns into a base and a fixed build of which no hotpatch may be made. */
export interface SourcePair {
  readonly what: string;
  readonly rule: BuildRuleId;
  readonly symbol?: string;
  /** C files; HP_FIX tells the builds apart. */
  readonly files: readonly string[];
  readonly marked?: readonly string[];
  readonly architecture?: Architecture;
  readonly compilerFlags?: readonly string[];
  readonly linkerFlags?: readonly string[];
  /** Link both without padding. */
  readonly unpadded?: boolean;
  /** Compile the base without -fms-hotpatch. */
  readonly unprepared?: boolean;
}

const HEAD = `
#define EXPORT __declspec(dllexport)
#define NOINLINE __attribute__((noinline))
int __stdcall start(void *m, unsigned r, void *p) { (void)m; (void)r; (void)p; return 1; }
`;

export const SOURCE_PAIRS: readonly SourcePair[] = [
  {
    what: 'a changed function is not marked and counts in a global',
    rule: 'global.direct',
    symbol: 'f',
    files: [`${HEAD} int g = 3; EXPORT NOINLINE int f(int a) { g += a + HP_FIX; return g; }`],
  },
  {
    what: 'the host of an inlined function is not marked',
    rule: 'global.direct',
    symbol: 'h',
    files: [
      `${HEAD} int g = 3;
       static inline int f(int a) { g ^= a + HP_FIX; return g; }
       EXPORT NOINLINE int f_alone(int a) { return f(a); }
       EXPORT NOINLINE int h(int a) { return f(a) * 2; }`,
    ],
    marked: ['f', 'f_alone'],
  },
  {
    what: 'a marked function uses thread-local storage',
    rule: 'ref.tls',
    symbol: '__ref_t',
    files: [
      `${HEAD} unsigned _tls_index; __declspec(thread) int t = 5;
       #pragma section(".tls", read, write)
       #pragma section(".tls$ZZZ", read, write)
       __declspec(allocate(".tls")) char _tls_start = 0; __declspec(allocate(".tls$ZZZ")) char _tls_end = 0;
       typedef __SIZE_TYPE__ word;
       const struct { void *start, *end, *index, *callbacks; unsigned fill, flags; } _tls_used = { &_tls_start, &_tls_end, &_tls_index, 0, 0, 0 };
       EXPORT NOINLINE int f(int a) { t += a + HP_FIX; return t; }`,
    ],
    marked: ['f'],
  },
  {
    what: 'two objects share the `__ref_` pointer of two statics',
    rule: 'ref.wrongStatic',
    symbol: '__ref_s',
    files: [
      `${HEAD} static int s = 1; EXPORT NOINLINE int fa(int a) { s += a + HP_FIX; return s; }`,
      `#define EXPORT __declspec(dllexport)
       static int s = 2; EXPORT __attribute__((noinline)) int fb(int a) { s -= a + HP_FIX; return s; }`,
    ],
    marked: ['fa', 'fb'],
    linkerFlags: ['/force:multiple'],
  },
  {
    what: 'a structure of shared objects grows in the middle',
    rule: 'type.layout',
    symbol: 'session',
    files: [
      `${HEAD}
       #if HP_FIX
       struct session { int id; int checked; int flags; };
       #else
       struct session { int id; int flags; };
       #endif
       EXPORT NOINLINE int f(struct session *s) { return s->flags + s->id * (2 + HP_FIX); }`,
    ],
    marked: ['f'],
  },
  {
    what: 'a function gets one parameter more',
    rule: 'function.signature',
    symbol: 'f',
    files: [
      `${HEAD}
       #if HP_FIX
       NOINLINE int f(int a, int b) { return a / (b | 1); }
       EXPORT NOINLINE int h(int a) { return f(a, 4) + 1; }
       #else
       NOINLINE int f(int a) { return a / 3; }
       EXPORT NOINLINE int h(int a) { return f(a) + 1; }
       #endif`,
    ],
    marked: ['f', 'h'],
  },
  {
    what: 'a function returns a pointer instead of a number',
    rule: 'function.signature',
    symbol: 'f',
    files: [
      `${HEAD} static const char k[] = "abc";
       #if HP_FIX
       EXPORT NOINLINE const char *f(int a) { return k + (a & 1); }
       #else
       EXPORT NOINLINE int f(int a) { return a & 1; }
       #endif`,
    ],
    marked: ['f'],
  },
  {
    what: 'an array of the base grows',
    rule: 'data.size',
    symbol: 'table',
    files: [
      `${HEAD} int table[4 + 4 * HP_FIX] = { 1, 2, 3, 4 }; EXPORT NOINLINE int f(unsigned i) { return table[i % (4 + 4 * HP_FIX)]++; }`,
    ],
    marked: ['f'],
  },
  {
    what: 'the base was linked without padding',
    rule: 'entry.padding',
    files: [
      `${HEAD}
       #define F(n) EXPORT NOINLINE int f##n(int a) { __asm__ volatile(".skip " #n ", 0x90"); return a / (7 + HP_FIX); }
       F(1) F(2) F(3) F(4) F(5) F(6) F(7) F(8) F(9) F(10) F(11) F(12) F(13) F(14) F(15)`,
    ],
    marked: ['f'],
    unpadded: true,
  },
  {
    what: 'the base was compiled without -fms-hotpatch: it begins with push',
    rule: 'entry.firstInstruction',
    symbol: 'f',
    files: [
      `${HEAD} void *memset(void *, int, __SIZE_TYPE__); int x(char *);
       EXPORT NOINLINE int x(char *p) { return p[0]; }
       EXPORT NOINLINE int f(int a) { int r = a; for (int i = 0; i < 3 + HP_FIX; i++) { char c = (char)i; r += x(&c) * a; } return r; }`,
    ],
    marked: ['f'],
    unprepared: true,
    architecture: 'x86',
  },
  {
    what: 'identical functions are folded in the base',
    rule: 'entry.folded',
    files: [
      `${HEAD} EXPORT NOINLINE int f(int a) { return a * (HP_FIX ? 5 : 3) + 1; } EXPORT NOINLINE int g(int a) { return a * 3 + 1; }`,
    ],
    marked: ['f'],
    linkerFlags: ['/opt:icf'],
  },
  {
    what: 'a variable of the base starts at another value',
    rule: 'data.value',
    symbol: 'limit',
    files: [
      `${HEAD} int limit = 10 + HP_FIX; EXPORT NOINLINE int f(int a) { return a < limit ? a + HP_FIX : limit++; }`,
    ],
    marked: ['f'],
  },
];
