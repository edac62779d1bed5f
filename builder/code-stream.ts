import { type InstructionFlow, instructionsOf, retarget } from '../cpu/index.js';
import type { ImageArchitecture } from '../image/index.js';
import { resolvePages } from './arm64-pages.js';
import type { CodeFunction, Program } from './program.js';

/** How code refers to a place outside its own function. */
export interface Reference {
  /** `call` and `jump` transfer control; `data`: reads it, writes it, or takes its address. */
  readonly kind: 'call' | 'jump' | 'data';
  readonly target: number;
  /** Offset of the instruction in the function. */
  readonly offset: number;
}

export interface CodeInstruction {
  readonly offset: number;
  readonly length: number;
  readonly flow: InstructionFlow;
  /** The instruction with every field zeroed whose value depends on where things lie. */
  readonly bytes: Uint8Array;
  /** Branch inside the function: the offset that it leads to. */
  readonly branch?: number;
  /** What those fields mean. */
  readonly references: readonly Reference[];
}

/** A function as instructions that can be compared with those of another build. */
export interface CodeStream {
  /** The bytes of all instructions. */
  readonly masked: Uint8Array;
  readonly instructions: readonly CodeInstruction[];
  readonly references: readonly Reference[];
}

const NO_PAGES = (): undefined => undefined;

/** Pairs of instructions that make one address. */
const PAGES: Readonly<
  Record<ImageArchitecture, (bytes: Uint8Array, rva: number) => ReturnType<typeof resolvePages> | undefined>
> = {
  x64: NO_PAGES,
  x86: NO_PAGES,
  arm64: resolvePages,
};

/** Decodes a function from its first byte to its last. */
export function decodeFunction(program: Program, code: CodeFunction): CodeStream {
  const { image } = program;
  const { architecture } = image;
  const base = image.optionalHeader.imageBase;
  const bytes = image.read(code.rva, code.size);
  const pages = PAGES[architecture](bytes, code.rva);
  const relocated = program.relocationsIn(code.rva, code.size);
  const masked = Uint8Array.from(bytes);
  const at = base + BigInt(code.rva);
  const instructions: StreamInstruction[] = [];
  for (const { offset, length: whole, flow, pcRelative, field } of instructionsOf(architecture, bytes, at)) {
    const length = Math.min(whole, bytes.length - offset);
    const references: Reference[] = [];
    let branch: number | undefined;
    const page = pages?.get(offset);
    if (page !== undefined) {
      masked.set(page.masked, offset);
      if (page.target !== undefined) references.push({ kind: 'data', target: page.target, offset });
    } else if (pcRelative !== undefined) {
      const target = Number(pcRelative.target - base);
      const here = at + BigInt(offset);
      if (field !== undefined) masked.fill(0, offset + field.offset, offset + field.offset + field.size);
      else
        masked.set(
          retarget(architecture, bytes.subarray(offset, offset + length), here, here + BigInt(length)),
          offset,
        );
      if (pcRelative.kind !== 'branch') references.push({ kind: 'data', target, offset });
      else if (target >= code.rva && target < code.rva + code.size) branch = target - code.rva;
      else references.push({ kind: flow === 'call' ? 'call' : 'jump', target, offset });
    }
    for (const rva of relocated) {
      const place = rva - code.rva - offset;
      if (place < 0 || place + image.pointerSize > length) continue;
      references.push({ kind: 'data', target: program.pointerTarget(rva), offset });
      masked.fill(0, offset + place, offset + place + image.pointerSize);
    }
    instructions.push(
      new StreamInstruction(
        masked,
        offset,
        length,
        flow,
        references.length === 0 ? NO_REFERENCES : references,
        branch,
      ),
    );
  }
  return { masked, instructions, references: instructions.flatMap((instruction) => instruction.references) };
}

/** Functions have many instructions: each keeps its place in the code instead of bytes of its own. */
class StreamInstruction implements CodeInstruction {
  readonly branch?: number;

  constructor(
    private readonly masked: Uint8Array,
    readonly offset: number,
    readonly length: number,
    readonly flow: InstructionFlow,
    readonly references: readonly Reference[],
    branch: number | undefined,
  ) {
    if (branch !== undefined) this.branch = branch;
  }

  get bytes(): Uint8Array {
    return this.masked.subarray(this.offset, this.offset + this.length);
  }
}

const NO_REFERENCES: readonly Reference[] = [];
