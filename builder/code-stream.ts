import { type InstructionFlow, instructionFacts, retarget } from '../cpu/index.js';
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
  const instructions: CodeInstruction[] = [];
  for (let offset = 0; offset < bytes.length; ) {
    const at = base + BigInt(code.rva + offset);
    const raw = bytes.subarray(offset);
    const facts = instructionFacts(architecture, raw, at);
    const length = Math.min(facts.length, raw.length);
    let own: Uint8Array = Uint8Array.from(raw.subarray(0, length));
    const references: Reference[] = [];
    let branch: number | undefined;
    const page = pages?.get(offset);
    if (page !== undefined) {
      own = page.masked;
      if (page.target !== undefined) references.push({ kind: 'data', target: page.target, offset });
    } else if (facts.pcRelative !== undefined) {
      const target = Number(facts.pcRelative.target - base);
      own = retarget(architecture, own, at, at + BigInt(length));
      if (facts.pcRelative.kind !== 'branch') references.push({ kind: 'data', target, offset });
      else if (target >= code.rva && target < code.rva + code.size) branch = target - code.rva;
      else references.push({ kind: facts.flow === 'call' ? 'call' : 'jump', target, offset });
    }
    for (const rva of program.relocationsIn(code.rva + offset, length)) {
      const field = rva - code.rva - offset;
      if (field + image.pointerSize > length) continue;
      references.push({ kind: 'data', target: program.pointerTarget(rva), offset });
      own.fill(0, field, field + image.pointerSize);
    }
    instructions.push({
      offset,
      length,
      flow: facts.flow,
      bytes: own,
      references,
      ...(branch === undefined ? {} : { branch }),
    });
    offset += length;
  }
  return { instructions, references: instructions.flatMap((instruction) => instruction.references) };
}
