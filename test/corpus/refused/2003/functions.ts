import { RETURN } from '../refusal.js';
import {
  alias,
  all,
  branches,
  code,
  newF,
  oldF,
  type Processor,
  pair,
  type Refusal2003,
  renamed,
  touches,
} from './refusal.js';

/** `f` directly behind `before`, with so many bytes of padding. */
const padded = (value: number, padding: number) =>
  all(code('before', RETURN(9)), code('f', RETURN(value), { padding, alignment: 1 }));
const PADDING: Readonly<Record<Processor, number>> = { x86: 5, x64: 6 };
const before = all(newF, code('before', RETURN(9)));

/** dec ecx; jne back; ret */
const loops = (distance: number, ...first: number[]) =>
  code('f', [...first, 0xff, 0xc9, 0x75, 0x100 - distance, 0xc3]);

const JMP_REL8 = 0xeb;
const JMP_REL32 = 0xe9;
const G = code('g', RETURN(5));

/** What concerns single functions: their entries, how they leave, what their callers rely on. */
export const FUNCTIONS: readonly Refusal2003[] = [
  {
    what: 'no padding before a function of the base',
    rule: 'hotp1.padding',
    symbol: 'f',
    refused: (processor) => pair(padded(1, PADDING[processor] - 1), before)(processor),
    accepted: (processor) => pair(padded(1, PADDING[processor]), before)(processor),
  },
  {
    what: 'five bytes of padding and a jump that needs six',
    rule: 'hotp1.padding',
    symbol: 'f',
    processors: ['x64'],
    refused: (processor) => ({ ...pair(padded(1, 5), before)(processor), form: 'indirect' }),
    accepted: (processor) => ({ ...pair(padded(1, 5), before)(processor), form: 'near' }),
  },
  {
    what: 'padding that belongs to the function before it',
    rule: 'hotp1.padding',
    symbol: 'f',
    refused: pair(
      all(
        code('before', [0xc3, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90]),
        code('f', RETURN(1), { padding: 0, alignment: 1 }),
      ),
      newF,
    ),
    accepted: pair(all(code('before', [0xc3]), code('f', RETURN(1), { padding: 6, alignment: 1 })), newF),
  },
  {
    what: 'a first instruction of one byte',
    rule: 'hotp1.entry',
    symbol: 'f',
    refused: pair(code('f', [0x55, 0x5d, 0xc3]), newF),
    accepted: pair(code('f', [0x8b, 0xff, 0x55, 0x5d, 0xc3]), newF),
  },
  {
    what: 'a branch into the second byte',
    rule: 'hotp1.entry',
    symbol: 'f',
    refused: pair(code('f', [0xb8, 0x90, 0x90, 0x90, 0x90, 0x75, 0xfa, 0xc3]), newF),
    accepted: pair(code('f', [0xb8, 0x90, 0x90, 0x90, 0x90, 0x75, 0xfb, 0xc3]), newF),
  },
  {
    what: 'a base relocation in the first two bytes',
    rule: 'hotp1.entry',
    symbol: 'f',
    processors: ['x86'],
    refused: pair(
      all(touches('f', [0xa1], 'counter'), (b) => b.data('counter', [0, 0, 0, 0])),
      all(newF, (b) => b.data('counter', [0, 0, 0, 0])),
    ),
    accepted: pair(
      all(touches('f', [0x8b, 0x05], 'counter'), (b) => b.data('counter', [0, 0, 0, 0])),
      all(newF, (b) => b.data('counter', [0, 0, 0, 0])),
    ),
  },
  {
    what: 'a loop over the entry',
    rule: 'entry.loop',
    symbol: 'f',
    refused: pair(loops(6, 0x8b, 0xff), newF),
    accepted: pair(loops(4, 0x8b, 0xff), newF),
  },
  {
    what: 'two functions folded into one in the base',
    rule: 'entry.folded',
    symbol: 'f',
    refused: pair(oldF, all(newF, code('h', RETURN(1))), alias('f', 'h'), (symbols) => symbols),
    accepted: pair(oldF, newF, alias('f', 'h')),
  },
  {
    what: 'a loop that nothing ends',
    rule: 'hotp1.neverLeaves',
    symbol: 'f',
    refused: pair(code('f', [0x8b, 0xff, 0xeb, 0xfe]), newF),
    accepted: pair(code('f', [0x8b, 0xff, 0x75, 0xfe, 0xc3]), newF),
  },
  {
    what: 'a tail call in two bytes',
    rule: 'hotp1.shortBranch',
    symbol: 'f',
    refused: pair(all(oldF, G), all(branches('f', JMP_REL8, 'g', 1), G)),
    accepted: pair(all(oldF, G), all(branches('f', JMP_REL32, 'g', 4), G)),
  },
  {
    what: 'a stdcall function with one parameter more',
    rule: 'function.signature',
    symbol: 'f',
    processors: ['x86'],
    refused: pair(oldF, newF, renamed({ f: { rawName: '_f@4' } }), renamed({ f: { rawName: '_f@8' } })),
    accepted: pair(oldF, newF, renamed({ f: { rawName: '_f@4' } })),
  },
  {
    what: 'a function that removes other parameters from the stack',
    rule: 'function.stack',
    symbol: 'f',
    refused: pair(code('f', [0xb8, 1, 0, 0, 0, 0xc2, 4, 0]), code('f', [0xb8, 2, 0, 0, 0, 0xc2, 8, 0])),
    accepted: pair(code('f', [0xb8, 1, 0, 0, 0, 0xc2, 8, 0]), code('f', [0xb8, 2, 0, 0, 0, 0xc2, 8, 0])),
  },
  {
    what: 'two static functions of one name in one object',
    rule: 'function.ambiguous',
    symbol: 'helper',
    refused: helpers('a.obj', 'a.obj', 3),
    accepted: helpers('a.obj', 'b.obj', 0),
  },
  {
    what: 'a function that the fix removes and somebody may have the address of',
    rule: 'function.removed',
    symbol: 'g',
    refused: pair(
      all(oldF, G, (b) => b.pointers('table', ['g'])),
      newF,
    ),
    accepted: pair(all(oldF, G), newF),
  },
];

function helpers(first: string, second: string, change: number) {
  const two = (f: typeof oldF, value: number) =>
    all(f, code('f2', RETURN(5 + value)), code('f3', RETURN(6 + 2 * value)));
  return pair(
    two(oldF, 0),
    two(newF, change),
    renamed({
      f2: { name: 'helper', isStatic: true, module: first },
      f3: { name: 'helper', isStatic: true, module: second },
    }),
  );
}
