import type { BuildRuleId } from '../../../../builder/index.js';
import type { Processor } from './refusal.js';

/**
 * A program that a compiler turns into a base (HP_FIX 0) and a fixed build (HP_FIX 1) of which no hotpatch of 2003 may be
 * made; with ACCEPTED 1 it becomes the nearest pair of which one can be made.
 */
export interface SourcePair2003 {
  readonly what: string;
  readonly rule: BuildRuleId;
  readonly symbol: string;
  readonly processor: Processor;
  readonly source: string;
  /** Compile the refused pair without -fms-hotpatch. */
  readonly unprepared?: boolean;
}

const HEAD = `
#define EXPORT __declspec(dllexport)
#define NOINLINE __attribute__((noinline))
int __stdcall start(void *m, unsigned r, void *p) { (void)m; (void)r; (void)p; return 1; }
`;

export const SOURCE_PAIRS_2003: readonly SourcePair2003[] = [
  {
    what: 'a structure of shared objects grows in the middle',
    rule: 'type.layout',
    symbol: 'session',
    processor: 'x64',
    source: `${HEAD}
      #if HP_FIX && !ACCEPTED
      struct session { int id; int checked; int flags; };
      #else
      struct session { int id; int flags; };
      #endif
      EXPORT NOINLINE int f(struct session *s) { return s->flags + s->id * (2 + HP_FIX); }`,
  },
  {
    what: 'an enumerator is put before others',
    rule: 'type.enumerator',
    symbol: 'state',
    processor: 'x64',
    source: `${HEAD}
      #if HP_FIX && !ACCEPTED
      enum state { IDLE, PAUSED, RUNNING };
      #else
      enum state { IDLE, RUNNING, PAUSED };
      #endif
      volatile enum state current;
      EXPORT NOINLINE int f(int a) { if (current == RUNNING) current = PAUSED; return a * (2 + HP_FIX); }`,
  },
  {
    what: 'a variable becomes signed',
    rule: 'data.type',
    symbol: 'limit',
    processor: 'x64',
    source: `${HEAD}
      #if HP_FIX && !ACCEPTED
      volatile int limit;
      #else
      volatile unsigned limit;
      #endif
      EXPORT NOINLINE int f(int a) { return a < (long long)limit + HP_FIX; }`,
  },
  {
    what: 'a function gets one parameter more',
    rule: 'function.signature',
    symbol: 'f',
    processor: 'x64',
    source: `${HEAD}
      #if HP_FIX && !ACCEPTED
      NOINLINE int f(int a, int b) { return a / (b | 1); }
      EXPORT NOINLINE int h(int a) { return f(a, 4) + 1; }
      #else
      NOINLINE int f(int a) { return a / (3 + 2 * HP_FIX); }
      EXPORT NOINLINE int h(int a) { return f(a) + 1; }
      #endif`,
  },
  {
    what: 'a worker that serves for ever',
    rule: 'hotp1.neverLeaves',
    symbol: 'f',
    processor: 'x86',
    source: `${HEAD}
      volatile int stop, served;
      NOINLINE void serve(int n) { served += n; }
      EXPORT NOINLINE int f(int a) {
        do serve(a + HP_FIX); while (!ACCEPTED || !stop);
        return served;
      }`,
  },
  {
    what: 'a function uses thread-local storage',
    rule: 'hotp1.tls',
    symbol: 'f',
    processor: 'x64',
    source: `${HEAD}
      unsigned _tls_index; __declspec(thread) int t = 5; int g = 5;
      #pragma section(".tls", read, write)
      #pragma section(".tls$ZZZ", read, write)
      __declspec(allocate(".tls")) char _tls_start = 0; __declspec(allocate(".tls$ZZZ")) char _tls_end = 0;
      typedef __SIZE_TYPE__ word;
      const struct { void *start, *end, *index, *callbacks; unsigned fill, flags; } _tls_used = { &_tls_start, &_tls_end, &_tls_index, 0, 0, 0 };
      NOINLINE int count(int a) { t += a; return t; }
      EXPORT NOINLINE int f(int a) {
      #if ACCEPTED
        return count(a + HP_FIX) ^ g;
      #else
        t += a + HP_FIX; return count(0) ^ g;
      #endif
      }`,
  },
  {
    what: 'the base was compiled without -fms-hotpatch: it begins with push',
    rule: 'hotp1.entry',
    symbol: 'f',
    processor: 'x86',
    unprepared: true,
    source: `${HEAD} void *memset(void *, int, __SIZE_TYPE__); int x(char *);
      EXPORT NOINLINE int x(char *p) { return p[0]; }
      EXPORT NOINLINE int f(int a) { int r = a; for (int i = 0; i < 3 + HP_FIX; i++) { char c = (char)i; r += x(&c) * a; } return r; }`,
  },
];
