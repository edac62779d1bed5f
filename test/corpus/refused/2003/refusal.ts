import type { ImageBuilder, Layout, SymbolInfo } from 'hotpatch-lab/image';
import {
  type Build2003Input,
  BuildError,
  type BuildFinding,
  type BuildRuleId,
  type Built2003,
  buildHotPatch2003,
} from '../../../../builder/index.js';
import { image, RETURN, source } from '../refusal.js';

export type Processor = 'x86' | 'x64';
export const PROCESSORS: readonly Processor[] = ['x86', 'x64'];

export type Change = (builder: ImageBuilder) => ImageBuilder;
type Symbols = (all: readonly SymbolInfo[]) => readonly SymbolInfo[];

/** A pair of builds that the builder of 2003 refuses or warns of, and the nearest one with which it finds nothing wrong. */
export interface Refusal2003 {
  readonly what: string;
  readonly rule: BuildRuleId;
  /** The function or variable that the finding names. */
  readonly symbol?: string;
  /** What one of the messages says besides. */
  readonly text?: string;
  /** Default: both. */
  readonly processors?: readonly Processor[];
  readonly refused: (processor: Processor) => Build2003Input;
  readonly accepted: (processor: Processor) => Build2003Input;
}

/** Base and fixed build, made in memory. */
export const pair =
  (base: Change, fixed: Change, symbols?: Symbols, fixedSymbols = symbols) =>
  (processor: Processor): Build2003Input => ({
    base: source(image(processor, base), symbols),
    fixed: source(image(processor, fixed), fixedSymbols),
  });

/** f returns 1 in the base and 2 in the fix; the rest is up to the case. */
export const oldF: Change = (builder) => builder.code('f', RETURN(1));
export const newF: Change = (builder) => builder.code('f', RETURN(2));
export const PLAIN = pair(oldF, newF);

/** Gives symbols other facts, by name. */
export const renamed =
  (change: Readonly<Record<string, Partial<SymbolInfo>>>): Symbols =>
  (all) =>
    all.map((symbol) => ({ ...symbol, ...change[symbol.name] }));

/** Adds a second name at the place of a symbol. */
export const alias =
  (name: string, other: string): Symbols =>
  (all) => [
    ...all,
    ...all.filter((symbol) => symbol.name === name).map((symbol) => ({ ...symbol, name: other })),
  ];

/** `inc dword [name]`, `mov eax, [name]`, `call [name]`: behind the opcode a distance on x64, an address on x86. */
export const INCREMENT = [0xff, 0x05];
export const READ = [0x8b, 0x05];
export const CALL_THROUGH = [0xff, 0x15];

/** A function `self` that does something with a variable, or with any place of the image, and returns. */
export const touches =
  (self: string, opcode: readonly number[], name: string | ((layout: Layout) => number)): Change =>
  (builder) => {
    const at = opcode.length;
    const end = at + 4;
    const contents = (layout: Layout) => {
      const rva = typeof name === 'string' ? layout.rva(name) : name(layout);
      const own = layout.rva(self);
      const value =
        builder.architecture === 'x64' ? BigInt(rva - own - end) : layout.address(self) + BigInt(rva - own);
      return [...opcode, ...dword(value), 0xc3];
    };
    return builder.code(self, contents, builder.architecture === 'x64' ? {} : { relocations: [at] });
  };

/** A function `self` that does nothing but branch, in as many bytes as the distance is given. */
export const branches =
  (self: string, opcode: number, name: string, width: 1 | 4): Change =>
  (builder) =>
    builder.code(self, (layout) => [
      opcode,
      ...dword(BigInt(layout.rva(name) - layout.rva(self) - 1 - width)).slice(0, width),
    ]);

/** One change after the other. */
export const all =
  (...changes: readonly Change[]): Change =>
  (builder) =>
    changes.reduce((to, change) => change(to), builder);

export const data =
  (name: string, ...bytes: number[]): Change =>
  (builder) =>
    builder.data(name, bytes);

export const code =
  (name: string, bytes: readonly number[], options: Parameters<ImageBuilder['code']>[2] = {}): Change =>
  (builder) =>
    builder.code(name, bytes, options);

function dword(value: bigint): number[] {
  return Array.from({ length: 4 }, (_, i) => Number((value >> BigInt(8 * i)) & 0xffn));
}

/** The hotpatch, if one is made, and everything that the builder found. */
export function attempt(input: Build2003Input): { built?: Built2003; findings: readonly BuildFinding[] } {
  try {
    const built = buildHotPatch2003(input);
    return { built, findings: built.findings };
  } catch (error) {
    if (error instanceof BuildError) return { findings: error.findings };
    throw error;
  }
}
