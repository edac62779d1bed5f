import type { Instruction } from 'iced-x86';
import { hex } from '../error.js';
import { iced, retargetX86, withInstruction } from '../instruction/x86.js';
import { AssemblerError } from './error.js';
import type { EncodeInstruction } from './keystone.js';
import {
  checkShape,
  foldOperands,
  type Lookup,
  type OperandPart,
  renderOperands,
  type Sum,
} from './operands.js';
import type { Statement, Token } from './source.js';

/** Names that are never symbols. */
export const X86_RESERVED =
  /^(?:[re]?(?:ax|bx|cx|dx|si|di|bp|sp|ip)|[abcd][lh]|(?:si|di|bp|sp)l|r(?:8|9|1[0-5])[dwb]?|[cdefgs]s|[xyz]?mm\d+|[cdt]r\d+|st|k[0-7]|byte|[dqfo]?word|[xyz]mmword|tbyte|ptr|offset|short|near|far)$/i;

/** Instructions that keystone 0.9 does not know. */
const MISSING: Readonly<Record<string, readonly number[]>> = {
  endbr64: [0xf3, 0x0f, 0x1e, 0xfa],
  endbr32: [0xf3, 0x0f, 0x1e, 0xfb],
  serialize: [0x0f, 0x01, 0xe8],
};

const PREFIX = /^(?:lock|rep(?:n?[ez])?|xacquire|xrelease)$/;
// `r` before a memory operand: `qword ptr`, `far ptr`.
const OPERAND = 'r\\(n\\)|r{0,3}(?:r:)?\\[[rne]\\]|r{0,3}r:n|n:n|r{1,2}|n';
const OPERANDS = `(?:(?:${OPERAND})(?:,(?:${OPERAND})){0,3})?`;
const SHAPE = new RegExp(`^${OPERANDS}$`);
const PREFIXED_SHAPE = new RegExp(`^r${OPERANDS}$`);

/**
 * One x86 or x64 instruction. Symbols are put in as numbers. A memory operand of x64 that is a symbol, alone or as
 * `[rip + symbol]`, is made RIP-relative here, because keystone takes the low half of the address as displacement.
 * Every number of the source is looked for in what came out: keystone cuts off numbers that are too wide.
 */
export function assembleX86(
  bits: 32 | 64,
  encode: EncodeInstruction,
  statement: Statement,
  name: string,
  tokens: readonly Token[],
  at: bigint,
  lookup: Lookup,
): Uint8Array {
  const missing = MISSING[name];
  if (missing !== undefined && tokens.length === 0) return Uint8Array.from(missing);
  let parts = foldOperands(tokens, lookup);
  const isShort = parts.some((part) => isName(part, 'short'));
  parts = parts.filter((part) => !isName(part, 'short') && !isName(part, 'offset'));
  checkShape(statement, parts, PREFIX.test(name) ? PREFIXED_SHAPE : SHAPE);
  const relative = bits === 64 ? ripRelative(parts) : undefined;
  const text = `${name} ${renderOperands(relative?.parts ?? parts)}`;
  let bytes = encode(statement, text, at);
  if (relative !== undefined) bytes = retargetX86(bits, bytes, at, relative.target);
  if (isShort && bytes.length !== 2) {
    throw new AssemblerError('branchOutOfRange', statement, 'the target is out of reach of a short jump');
  }
  checkNumbers(bits, statement, name, relative?.parts ?? parts, bytes, at);
  return bytes;
}

const isName = (part: OperandPart | undefined, name: string): boolean =>
  part?.kind === 'sum' &&
  !part.hasConstant &&
  part.terms.length === 1 &&
  part.terms[0]?.toLowerCase() === `+${name}`;

const isText = (part: OperandPart | undefined, text: string): boolean =>
  part?.kind === 'text' && part.text === text;

function ripRelative(parts: readonly OperandPart[]): { parts: OperandPart[]; target: bigint } | undefined {
  for (const [index, part] of parts.entries()) {
    if (
      part.kind !== 'sum' ||
      !part.isSymbolic ||
      !isText(parts[index - 1], '[') ||
      !isText(parts[index + 1], ']')
    )
      continue;
    const hasRip = part.terms.length === 1 && part.terms[0]?.toLowerCase() === '+rip';
    const hasSegment = isText(parts[index - 2], ':');
    if (!hasRip && (part.terms.length > 0 || hasSegment)) continue;
    const rip: Sum = { kind: 'sum', constant: 0n, hasConstant: false, isSymbolic: false, terms: ['+rip'] };
    return { parts: parts.with(index, rip), target: part.constant };
  }
  return undefined;
}

function checkNumbers(
  bits: 32 | 64,
  statement: Statement,
  name: string,
  parts: readonly OperandPart[],
  bytes: Uint8Array,
  at: bigint,
): void {
  const written = parts.filter(
    (part, index): part is Sum => part.kind === 'sum' && part.hasConstant && !isText(parts[index - 1], '('),
  );
  if (written.length === 0 || name === 'int') return;
  const encoded = withInstruction(bits, bytes, at, (instruction) =>
    instruction.isInvalid || instruction.length !== bytes.length
      ? undefined
      : encodedNumbers(instruction, bits),
  );
  // A second instruction or prefix that iced reads differently: nothing to compare with.
  if (encoded === undefined) return;
  for (const { constant } of written) {
    const found = encoded.some(
      ({ value, bits }) =>
        BigInt.asUintN(bits, constant) === BigInt.asUintN(bits, value) &&
        constant < 1n << BigInt(bits) &&
        constant >= -(1n << BigInt(bits - 1)),
    );
    if (!found) {
      throw new AssemblerError(
        encoded.some(({ isBranch }) => isBranch) ? 'branchOutOfRange' : 'immediateOutOfRange',
        statement,
        `${constant < 0n ? '-' : ''}${hex(constant < 0n ? -constant : constant)} does not fit into this instruction`,
      );
    }
  }
}

interface EncodedNumber {
  readonly value: bigint;
  readonly bits: number;
  readonly isBranch?: true;
}

/** Numbers of an instruction with the width in which they take effect. */
function encodedNumbers(instruction: Instruction, bits: 32 | 64): EncodedNumber[] {
  const { OpKind } = iced();
  const numbers: EncodedNumber[] = [];
  for (let index = 0; index < instruction.opCount; index++) {
    const kind = instruction.opKind(index);
    const add = (bits: number): unknown => numbers.push({ value: instruction.immediate(index), bits });
    switch (kind) {
      case OpKind.NearBranch16:
      case OpKind.NearBranch32:
      case OpKind.NearBranch64:
        numbers.push({ value: instruction.nearBranchTarget, bits, isBranch: true });
        break;
      case OpKind.FarBranch16:
      case OpKind.FarBranch32:
        numbers.push(
          { value: BigInt(instruction.farBranch32), bits: 32 },
          { value: BigInt(instruction.farBranchSelector), bits: 16 },
        );
        break;
      case OpKind.Immediate8:
      case OpKind.Immediate8_2nd:
        add(8);
        break;
      case OpKind.Immediate16:
      case OpKind.Immediate8to16:
        add(16);
        break;
      case OpKind.Immediate32:
      case OpKind.Immediate8to32:
        add(32);
        break;
      case OpKind.Immediate64:
      case OpKind.Immediate8to64:
      case OpKind.Immediate32to64:
        add(64);
        break;
      case OpKind.Memory: {
        const next = instruction.nextIP;
        const displacement = instruction.memoryDisplacement;
        numbers.push({
          value: instruction.isIpRelMemoryOperand ? displacement - next : displacement,
          bits,
        });
        break;
      }
    }
  }
  return numbers;
}
