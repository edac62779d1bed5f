import { arm64Facts, retargetArm64 } from '../instruction/arm64.js';
import { encodeArm64Extension } from './arm64-extensions.js';
import { AssemblerError } from './error.js';
import type { EncodeInstruction } from './keystone.js';
import { checkShape, foldOperands, type Lookup, type OperandPart, renderOperands } from './operands.js';
import type { Statement, Token } from './source.js';

/** Names that are never symbols. */
export const ARM64_RESERVED =
  /^(?:[xwvbhsdq]\d+(?:\..*)?|w?sp|[xw]zr|lr|fp|lsl|lsr|asr|ror|msl|[su]xt[bhwx]|eq|ne|cs|hs|cc|lo|mi|pl|vs|vc|hi|ls|ge|lt|gt|le|al|nv)$/i;

const PC_RELATIVE = /^(?:b|bl|b\.\w+|cbn?z|tbn?z|adrp?)$/;
const LITERAL_LOAD = /^(?:ldr|ldrsw|prfm)$/;
/** Their operands are names of the architecture. */
const SYSTEM = /^(?:msr|mrs|dsb|dmb|isb|ic|dc|at|tlbi|sys|sysl|bti|psb)$/;

const OPERAND = [
  'r(?:\\[n\\])?',
  '#?[nf]',
  'r#?n',
  '\\{[re](?:,r)*\\}(?:\\[n\\])?',
  '\\[r(?:,(?:#?n|r(?:,r(?:#?n)?)?))?\\]!?',
].join('|');
const SHAPE = new RegExp(`^(?:(?:${OPERAND})(?:,(?:${OPERAND})){0,5})?$`);

/**
 * One A64 instruction. The operand of a PC-relative form is an address (symbol, label, number) or, written `#n`, the
 * distance from the instruction. It is encoded here: keystone cuts off distances that are out of range.
 */
export function assembleArm64(
  encode: EncodeInstruction,
  statement: Statement,
  name: string,
  tokens: readonly Token[],
  at: bigint,
  lookup: Lookup,
): Uint8Array {
  const parts = foldOperands(tokens, SYSTEM.test(name) ? () => undefined : lookup);
  const extension = encodeArm64Extension(name, renderOperands(parts));
  if (extension !== undefined) return extension;
  if (parts.some((part) => part.kind === 'text' && part.text === '=')) {
    throw new AssemblerError(
      'unsupportedOperand',
      statement,
      'there is no literal pool: write "ldr x0, name" and "name: .quad value"',
    );
  }
  checkShape(statement, parts, SHAPE);
  const hasAddress = PC_RELATIVE.test(name) || (LITERAL_LOAD.test(name) && lastIsNoMemory(parts));
  if (!hasAddress) return encode(statement, `${name} ${renderOperands(parts)}`, at);
  const target = targetOf(statement, parts, at);
  const before = renderOperands(
    parts.slice(0, parts.findLastIndex((part) => part.kind === 'text' && part.text === ',') + 1),
  );
  const placeholder = encode(statement, `${name} ${before} L_target\nL_target:`, at);
  if (arm64Facts(placeholder, at).pcRelative === undefined) {
    throw new AssemblerError('invalidOperand', statement, 'the operands do not fit the instruction');
  }
  return retargetArm64(placeholder, at, target);
}

const lastIsNoMemory = (parts: readonly OperandPart[]): boolean =>
  !parts.some((part) => part.kind === 'text' && (part.text === '[' || part.text === '='));

function targetOf(statement: Statement, parts: readonly OperandPart[], at: bigint): bigint {
  const last = parts.at(-1);
  if (last?.kind !== 'sum' || last.terms.length > 0) {
    const shown = last?.kind === 'sum' ? last.terms.join('').replace(/^\+/, '') : (last?.text ?? 'nothing');
    throw new AssemblerError('undefinedSymbol', statement, `${shown} is not defined`);
  }
  const before = parts.at(-2);
  const isDistance = before?.kind === 'text' && before.text === '#' && !last.isSymbolic;
  return BigInt.asUintN(64, isDistance ? at + last.constant : last.constant);
}
