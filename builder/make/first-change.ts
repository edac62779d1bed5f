import { type Disassembler, loadDisassembler } from '../../cpu/index.js';
import type { BuildSource } from '../program.js';
import { type CodeFunction, Program } from '../program.js';
import type { FunctionReport } from '../report.js';

/** One instruction of a function, in one of the builds. */
export interface ShownInstruction {
  /** In bytes from the beginning of the function. */
  readonly offset: number;
  readonly bytes: string;
  readonly text: string;
}

/** Where a function begins to differ. */
export interface FirstChange {
  readonly name: string;
  readonly object?: string;
  /** Undefined: the function ends before. */
  readonly base?: ShownInstruction;
  readonly fixed?: ShownInstruction;
  readonly reason: string;
}

/** The first differing instruction of each function that a fix changes, in builds that are not marked. */
export async function firstChanges(
  base: BuildSource,
  fixed: BuildSource,
  functions: readonly FunctionReport[],
): Promise<FirstChange[]> {
  const disassembler = await loadDisassembler();
  const before = Program.of(base);
  const after = Program.of(fixed);
  return functions.flatMap(({ name, module, verdict, baseRva, fixedRva, reasons }): FirstChange[] => {
    if (verdict !== 'changed' || baseRva === undefined || fixedRva === undefined) return [];
    const from = before.functionAt(baseRva);
    const to = after.functionAt(fixedRva);
    if (from === undefined || to === undefined) return [];
    const index = firstDifference(before, after, from, to, reasons);
    const left = shown(before, from, index, disassembler);
    const right = shown(after, to, index, disassembler);
    return [
      {
        name,
        ...(module === undefined ? {} : { object: module }),
        ...(left === undefined ? {} : { base: left }),
        ...(right === undefined ? {} : { fixed: right }),
        reason: reasons.find((text) => !text.startsWith('section contribution')) ?? reasons[0] ?? '',
      },
    ];
  });
}

/** Index of the first instruction whose bytes differ, or that refers to something else. */
function firstDifference(
  before: Program,
  after: Program,
  from: CodeFunction,
  to: CodeFunction,
  reasons: readonly string[],
): number {
  const left = before.stream(from).instructions;
  const right = after.stream(to).instructions;
  const told = reasons.map((text) => /^\+0x([0-9a-f]+) /.exec(text)?.[1]).find((text) => text !== undefined);
  const index = left.findIndex(({ bytes }, i) => {
    const other = right[i];
    return other === undefined || Buffer.compare(bytes, other.bytes) !== 0;
  });
  const byReference =
    told === undefined ? -1 : left.findIndex(({ offset }) => offset === Number.parseInt(told, 16));
  const found = [index, byReference].filter((at) => at >= 0);
  return found.length === 0 ? Math.min(left.length, right.length) : Math.min(...found);
}

function shown(
  program: Program,
  code: CodeFunction,
  index: number,
  disassemble: Disassembler,
): ShownInstruction | undefined {
  const { instructions } = program.stream(code);
  const instruction = instructions[index];
  if (instruction === undefined) return undefined;
  const { image } = program;
  const end = instructions[index + 1]?.offset ?? code.size;
  const bytes = image.read(code.rva + instruction.offset, end - instruction.offset);
  const address = image.optionalHeader.imageBase + BigInt(code.rva + instruction.offset);
  const [line] = disassemble(image.architecture, bytes, address);
  return {
    offset: instruction.offset,
    bytes: Buffer.from(bytes).toString('hex'),
    text: line?.text.replace(/\s+/g, ' ') ?? '?',
  };
}
