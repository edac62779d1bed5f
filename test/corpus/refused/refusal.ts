import { type BuiltImage, ImageBuilder, type SymbolInfo, symbolTable } from 'hotpatch-lab/image';
import type { BuildInput, BuildRuleId, BuildSource } from '../../../builder/index.js';
import type { ImageBuilderOptions } from '../../../image/index.js';

export type Architecture = 'x64' | 'arm64' | 'x86';

/** A pair of builds of which no hotpatch may be made. */
export interface Refusal {
  readonly what: string;
  readonly rule: BuildRuleId;
  readonly symbol?: string;
  readonly input: () => BuildInput;
}

/** `mov eax, n; ret` */
export const RETURN = (n: number) => [0xb8, n, 0, 0, 0, 0xc3];

type Change = (builder: ImageBuilder) => ImageBuilder;

/** An image with everything that makes it a base or a fixed build. */
export function image(
  architecture: Architecture,
  change: Change,
  options: ImageBuilderOptions = {},
): BuiltImage {
  return change(
    new ImageBuilder(architecture, { name: 'victim.sys', ...options }).hotPatchCompatible().loadConfig(),
  ).build();
}

export function source(
  built: BuiltImage,
  symbols: (all: readonly SymbolInfo[]) => readonly SymbolInfo[] = (all) => all,
): BuildSource {
  return { image: built.image, symbols: symbolTable(symbols(built.symbols.all)) };
}

/** Base and fixed build of one architecture. */
export function pair(base: Change, fixed: Change, architecture: Architecture = 'x64'): BuildInput {
  return { base: source(image(architecture, base)), fixed: source(image(architecture, fixed)) };
}

/** f returns 1 in the base and 2 in the fix; the rest is up to the case. */
export const oldF: Change = (builder) => builder.code('f', RETURN(1));
export const newF: Change = (builder) => builder.code('f', RETURN(2));

/** Code with a RIP-relative dword at `at` that shall mean `name`. */
export function ripRelative(bytes: readonly number[], at: number, self: string, name: string, offset = 0) {
  return (layout: { rva(name: string): number }): number[] => {
    const result = [...bytes];
    const distance = layout.rva(name) + offset - (layout.rva(self) + at + 4);
    for (let i = 0; i < 4; i++) result[at + i] = (distance >> (8 * i)) & 0xff;
    return result;
  };
}

/** `inc dword [name]; ret` */
export const increments = (self: string, name: string) =>
  ripRelative([0xff, 0x05, 0, 0, 0, 0, 0xc3], 2, self, name);
/** `call name; nop; ret` */
export const calls = (self: string, name: string) =>
  ripRelative([0xe8, 0, 0, 0, 0, 0x90, 0xc3], 1, self, name);
/** `jmp name+offset` */
export const jumps = (self: string, name: string, offset = 0) =>
  ripRelative([0xe9, 0, 0, 0, 0], 1, self, name, offset);
/** `lea rax, [name]; ret` */
export const takes = (self: string, name: string) =>
  ripRelative([0x48, 0x8d, 0x05, 0, 0, 0, 0, 0xc3], 3, self, name);
/** `mov rax, [name]; inc dword [rax]; ret`: through a `__ref_` pointer. */
export const incrementsThrough = (self: string, name: string) =>
  ripRelative([0x48, 0x8b, 0x05, 0, 0, 0, 0, 0xff, 0x00, 0xc3], 3, self, name);
