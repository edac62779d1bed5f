import type { SymbolInfo } from 'hotpatch-lab/image';
import {
  calls,
  image,
  increments,
  incrementsThrough,
  jumps,
  newF,
  oldF,
  pair,
  RETURN,
  type Refusal,
  ripRelative,
  source,
  takes,
} from './refusal.js';

const named = (all: readonly SymbolInfo[], change: Record<string, Partial<SymbolInfo>>) =>
  all.map((symbol) => ({ ...symbol, ...change[symbol.name] }));

/** Refusals that concern single functions. */
export const FUNCTION_REFUSALS: readonly Refusal[] = [
  {
    what: 'no padding before a function of the base',
    rule: 'entry.padding',
    symbol: 'f',
    input: () =>
      pair(
        (b) => b.code('before', RETURN(9)).code('f', RETURN(1), { padding: 0, alignment: 1 }),
        (b) => newF(b).code('before', RETURN(9)),
      ),
  },
  {
    what: 'padding that belongs to the function before it',
    rule: 'entry.padding',
    symbol: 'f',
    input: () =>
      pair(
        (b) =>
          b
            .code('before', [0xc3, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90])
            .code('f', RETURN(1), { padding: 0, alignment: 1 }),
        newF,
      ),
  },
  {
    what: 'a first instruction of one byte',
    rule: 'entry.firstInstruction',
    symbol: 'f',
    input: () => pair((b) => b.code('f', [0x55, 0x5d, 0xc3]), newF),
  },
  {
    what: 'a branch into the second byte',
    rule: 'entry.branch',
    symbol: 'f',
    input: () => pair((b) => b.code('f', [0xb8, 0x90, 0x90, 0x90, 0xc3, 0xeb, 0xfa]), newF),
  },
  {
    what: 'a loop over the entry',
    rule: 'entry.loop',
    symbol: 'f',
    input: () => pair((b) => b.code('f', [0xff, 0xc9, 0x75, 0xfc, 0xc3]), newF),
  },
  {
    what: 'a loop over the entry, ARM64',
    rule: 'entry.loop',
    symbol: 'f',
    input: () =>
      pair(
        // subs w0, w0, #1; b.ne f; ret
        (b) => b.code('f', [0x00, 0x04, 0x00, 0x71, 0xe1, 0xff, 0xff, 0x54, 0xc0, 0x03, 0x5f, 0xd6]),
        // mov w0, #2; ret
        (b) => b.code('f', [0x40, 0x00, 0x80, 0x52, 0xc0, 0x03, 0x5f, 0xd6]),
        'arm64',
      ),
  },
  {
    what: 'a base relocation that changes the first two bytes, x86',
    rule: 'entry.relocation',
    symbol: 'f',
    input: () =>
      pair(
        (b) =>
          b
            .code('f', (layout) => [0xa1, ...dword(layout.address('counter')), 0xc3], { relocations: [-1] })
            .data('counter', [0, 0, 0, 0]),
        (b) => newF(b).data('counter', [0, 0, 0, 0]),
        'x86',
      ),
  },
  {
    what: 'an ARM64 function more than 128 MB before the HPAT',
    rule: 'entry.range',
    symbol: 'f',
    input: () =>
      pair(
        (b) =>
          b.code('f', [0x20, 0x00, 0x80, 0x52, 0xc0, 0x03, 0x5f, 0xd6]).uninitialized('large', 0x8000000),
        (b) =>
          b.code('f', [0x40, 0x00, 0x80, 0x52, 0xc0, 0x03, 0x5f, 0xd6]).uninitialized('large', 0x8000000),
        'arm64',
      ),
  },
  {
    what: 'two functions folded into one in the base',
    rule: 'entry.folded',
    symbol: 'f',
    input: () => ({
      base: source(image('x64', oldF), (all) => [
        ...all,
        ...all.filter(({ name }) => name === 'f').map((symbol) => ({ ...symbol, name: 'h' })),
      ]),
      fixed: source(image('x64', (b) => newF(b).code('h', RETURN(1)))),
    }),
  },
  {
    what: 'more functions than the HPAT has slots',
    rule: 'hpat.capacity',
    input: () => {
      const many = (value: number) => (b: Parameters<typeof oldF>[0]) =>
        Array.from({ length: 513 }, (_, i) => `f${i}`).reduce((to, name) => to.code(name, RETURN(value)), b);
      return pair(many(1), many(2));
    },
  },
  {
    what: 'a function that removes other parameters from the stack, x86',
    rule: 'function.stack',
    symbol: 'f',
    input: () =>
      pair(
        (b) => b.code('f', [0xb8, 1, 0, 0, 0, 0xc2, 4, 0]),
        (b) => b.code('f', [0xb8, 2, 0, 0, 0, 0xc2, 8, 0]),
        'x86',
      ),
  },
  {
    what: 'a stdcall function with one parameter more',
    rule: 'function.signature',
    symbol: 'f',
    input: () => ({
      base: source(image('x86', oldF), (all) => named(all, { f: { rawName: '_f@4' } })),
      fixed: source(image('x86', newF), (all) => named(all, { f: { rawName: '_f@8' } })),
    }),
  },
  {
    what: 'two static functions of one name in one object',
    rule: 'function.ambiguous',
    input: () => {
      const two = (value: number) =>
        source(
          image('x64', (b) =>
            b
              .code('f', RETURN(value))
              .code('f2', RETURN(4 + value))
              .code('f3', RETURN(6 + 2 * value)),
          ),
          (all) =>
            named(all, {
              f2: { name: 'helper', isStatic: true, module: 'a.obj' },
              f3: { name: 'helper', isStatic: true, module: 'a.obj' },
            }),
        );
      return { base: two(1), fixed: two(2) };
    },
  },
  {
    what: 'patched code counts in its own variable',
    rule: 'global.direct',
    symbol: 'f',
    input: () =>
      pair(
        (b) => oldF(b).data('counter', [7, 0, 0, 0]),
        (b) => b.code('f', increments('f', 'counter')).data('counter', [7, 0, 0, 0]),
      ),
  },
  {
    what: 'a new helper counts in its own variable',
    rule: 'global.direct',
    symbol: 'helper',
    input: () =>
      pair(
        (b) => oldF(b).data('counter', [7, 0, 0, 0]),
        (b) =>
          b
            .code('f', calls('f', 'helper'))
            .code('helper', increments('helper', 'counter'))
            .data('counter', [7, 0, 0, 0]),
      ),
  },
  {
    what: 'an unchanged callee with state that cannot be redirected',
    rule: 'callee.notRedirected',
    symbol: 'g',
    input: () =>
      pair(
        (b) => oldF(b).code('g', increments('g', 'counter')).data('counter', [0, 0, 0, 0]),
        (b) =>
          b
            .code('f', calls('f', 'g'))
            .code('g', increments('g', 'counter'), { padding: 0, alignment: 1 })
            .data('counter', [0, 0, 0, 0]),
      ),
  },
  {
    what: 'a jump into the middle of an unchanged function',
    rule: 'callee.middle',
    symbol: 'g',
    input: () =>
      pair(
        (b) => oldF(b).code('g', RETURN(5)),
        (b) => b.code('f', jumps('f', 'g', 5)).code('g', RETURN(5)),
      ),
  },
  {
    what: 'patched code uses the TLS index of its own image',
    rule: 'global.tls',
    symbol: 'f',
    input: () =>
      pair(
        (b) => oldF(b).data('_tls_index', [0, 0, 0, 0]),
        (b) => b.code('f', increments('f', '_tls_index')).data('_tls_index', [0, 0, 0, 0]),
      ),
  },
  {
    what: 'the address of an unaligned function under Control Flow Guard',
    rule: 'callTarget.guard',
    symbol: 'g',
    input: () => {
      const guarded = (b: Parameters<typeof oldF>[0]) =>
        b.code('g', RETURN(5), { alignment: 1 }).guardFunctions(['g']);
      return pair(
        (b) => guarded(oldF(b)),
        (b) => guarded(b.code('f', takes('f', 'g')).code('filler', [0xc3])),
      );
    },
  },
];

/** Refusals that concern variables and the pointers to them. */
export const DATA_REFUSALS: readonly Refusal[] = [
  {
    what: 'a variable grows',
    rule: 'data.size',
    symbol: 'table',
    input: () =>
      pair(
        (b) => oldF(b).data('table', [1, 2, 3, 4]),
        (b) => newF(b).data('table', [1, 2, 3, 4, 0, 0, 0, 0]),
      ),
  },
  {
    what: 'a variable begins with another value',
    rule: 'data.value',
    symbol: 'limit',
    input: () =>
      pair(
        (b) => oldF(b).data('limit', [100, 0, 0, 0]),
        (b) => newF(b).data('limit', [200, 0, 0, 0]),
      ),
  },
  {
    what: 'a variable begins with another pointer',
    rule: 'data.value',
    symbol: 'hook',
    input: () => {
      const hooks = (target: string) => (b: Parameters<typeof oldF>[0]) =>
        b.code('g', RETURN(5)).code('h', RETURN(6)).pointers('hook', [target], { section: '.data' });
      return pair(
        (b) => hooks('g')(oldF(b)),
        (b) => hooks('h')(newF(b)),
      );
    },
  },
  {
    what: 'a constant becomes a variable',
    rule: 'data.protection',
    symbol: 'limit',
    input: () =>
      pair(
        (b) => oldF(b).constant('limit', [100, 0, 0, 0]),
        (b) => newF(b).data('limit', [100, 0, 0, 0]),
      ),
  },
  {
    what: 'a constant of the patch image points at a variable that may be either of two of the base',
    rule: 'data.constToMutable',
    symbol: 'where',
    input: () => {
      const data = (b: Parameters<typeof oldF>[0]) =>
        b.data('counter', [7, 0, 0, 0]).data('counter2', [7, 0, 0, 0]).pointers('where', ['counter']);
      const symbols = (all: readonly SymbolInfo[]) =>
        named(all, {
          counter: { name: 'n', isStatic: true, module: 'a.obj' },
          counter2: { name: 'n', isStatic: true, module: 'a.obj' },
        });
      return {
        base: source(
          image('x64', (b) => data(oldF(b))),
          symbols,
        ),
        fixed: source(
          image('x64', (b) => data(b.code('f', takes('f', 'where')))),
          symbols,
        ),
      };
    },
  },
  {
    what: 'a `__ref_` pointer to a static of another object (/force:multiple)',
    rule: 'ref.wrongStatic',
    symbol: '__ref_s',
    input: () => {
      const statics = (b: Parameters<typeof oldF>[0]) => b.data('s1', [1, 0, 0, 0]).data('s2', [2, 0, 0, 0]);
      const symbols = (all: readonly SymbolInfo[]) =>
        named(all, {
          f: { module: 'a.obj' },
          s1: { name: 's', isStatic: true, module: 'a.obj' },
          s2: { name: 's', isStatic: true, module: 'b.obj' },
        });
      return {
        base: source(
          image('x64', (b) => statics(oldF(b))),
          symbols,
        ),
        fixed: source(
          image('x64', (b) =>
            statics(b.code('f', incrementsThrough('f', '__ref_s')).pointers('__ref_s', ['s2'])),
          ),
          symbols,
        ),
      };
    },
  },
  {
    what: 'a `__ref_` pointer to one of two statics that nothing tells apart',
    rule: 'ref.ambiguous',
    symbol: '__ref_s',
    input: () => {
      const statics = (b: Parameters<typeof oldF>[0]) => b.data('s1', [1, 0, 0, 0]).data('s2', [1, 0, 0, 0]);
      const symbols = (all: readonly SymbolInfo[]) =>
        named(all, {
          s1: { name: 's', isStatic: true, module: 'a.obj' },
          s2: { name: 's', isStatic: true, module: 'a.obj' },
        });
      return {
        base: source(
          image('x64', (b) => statics(oldF(b))),
          symbols,
        ),
        fixed: source(
          image('x64', (b) =>
            statics(b.code('f', incrementsThrough('f', '__ref_s')).pointers('__ref_s', ['s2'])),
          ),
          symbols,
        ),
      };
    },
  },
  {
    what: 'a `__ref_` pointer to nothing that has a name',
    rule: 'ref.unknown',
    symbol: '__ref_x',
    input: () => {
      const fixed = (b: Parameters<typeof oldF>[0]) =>
        b
          .code('f', incrementsThrough('f', '__ref_x'))
          .data('__ref_x', (layout) => [...dword(layout.address('f') - 0x1000n), 0, 0, 0, 0], {
            section: '.rdata',
            relocations: [0],
          });
      return pair(oldF, fixed);
    },
  },
  {
    what: 'patched code reads its own copy of a variable',
    rule: 'global.direct',
    symbol: 'f',
    input: () =>
      pair(
        (b) => oldF(b).data('state', [1, 0, 0, 0]),
        (b) =>
          b
            .code('f', ripRelative([0x8b, 0x05, 0, 0, 0, 0, 0xc3], 2, 'f', 'state'))
            .data('state', [1, 0, 0, 0]),
      ),
  },
];

function dword(value: bigint): number[] {
  return Array.from({ length: 4 }, (_, i) => Number((value >> BigInt(8 * i)) & 0xffn));
}
