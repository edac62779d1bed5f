import type { ArchitectureName } from './architecture/architecture.js';
import { ARM64_RESERVED, assembleArm64 } from './assembler/arm64.js';
import { assembleDirective, definition } from './assembler/directives.js';
import { AssemblerError } from './assembler/error.js';
import { type EncodeInstruction, loadKeystone } from './assembler/keystone.js';
import type { Lookup } from './assembler/operands.js';
import { parseSource, type Statement } from './assembler/source.js';
import { assembleX86, X86_RESERVED } from './assembler/x86.js';
import { CpuError } from './error.js';

export interface AssembleOptions {
  /** Where the first byte will lie. */
  readonly address: bigint;
  /** Addresses that the source may name; names as the linker writes them, `module!name` too. Labels take precedence. */
  readonly symbols?: Readonly<Record<string, bigint>> | ReadonlyMap<string, bigint>;
}

export interface AssembledStatement {
  /** In the source, from 1. */
  readonly line: number;
  readonly address: bigint;
  readonly bytes: Uint8Array;
}

export interface Assembly {
  readonly bytes: Uint8Array;
  /** Labels and `.set` names of the source. */
  readonly labels: ReadonlyMap<string, bigint>;
  /** Every instruction and data directive in order. */
  readonly statements: readonly AssembledStatement[];
}

/** How source for an architecture is written. */
interface Syntax {
  readonly hashIsComment: boolean;
  /** Names that cannot be labels. */
  readonly reserved: RegExp;
  /** A nop, which alignment is filled with. */
  readonly padding: Uint8Array;
  /** Bytes of `.word`. */
  readonly wordSize: 2 | 4;
  /** Is what `.align` takes the exponent of a power of two, as that of `.p2align` is? */
  readonly alignsByExponent: boolean;
  readonly assemble: typeof assembleArm64;
}

const x86Syntax = (bits: 32 | 64): Syntax => ({
  hashIsComment: true,
  reserved: X86_RESERVED,
  padding: Uint8Array.of(0x90),
  wordSize: 2,
  alignsByExponent: false,
  assemble: (...parameters) => assembleX86(bits, ...parameters),
});

const SYNTAX: Readonly<Record<ArchitectureName, Syntax>> = {
  x64: x86Syntax(64),
  x86: x86Syntax(32),
  arm64: {
    hashIsComment: false,
    reserved: ARM64_RESERVED,
    padding: Uint8Array.of(0x1f, 0x20, 0x03, 0xd5),
    wordSize: 4,
    alignsByExponent: true,
    assemble: assembleArm64,
  },
};

const MOST_PASSES = 64;

/**
 * Assembles Intel syntax (x64, x86) or A64 syntax, one instruction or directive per line or `;`, with `label:` and
 * data directives. Branches take the shortest form that reaches. Throws {@link AssemblerError} with the line.
 */
export async function assemble(
  architecture: ArchitectureName,
  source: string,
  options: AssembleOptions,
): Promise<Uint8Array> {
  return (await assembleListing(architecture, source, options)).bytes;
}

/** Like {@link assemble}, and says what became of each line and label. */
export async function assembleListing(
  architecture: ArchitectureName,
  source: string,
  { address, symbols = {} }: AssembleOptions,
): Promise<Assembly> {
  const syntax = SYNTAX[architecture];
  const { reserved } = syntax;
  const statements = parseSource(source, syntax.hashIsComment);
  checkLabels(statements, reserved);
  const encode = remember(await loadKeystone(architecture));
  const given: Lookup = (name) =>
    symbols instanceof Map
      ? symbols.get(name)
      : Object.hasOwn(symbols, name)
        ? record(symbols)[name]
        : undefined;

  // Labels that are not placed yet count as being here, so every branch begins in its shortest form and only grows.
  const defined = new Set(statements.flatMap(({ labels }) => labels));
  let labels = new Map<string, bigint>();
  for (let pass = 0; pass < MOST_PASSES; pass++) {
    const placed = new Map<string, bigint>();
    const result: AssembledStatement[] = [];
    let at = address;
    for (const statement of statements) {
      for (const label of statement.labels) placed.set(label, at);
      if (statement.operation === undefined) continue;
      const { name, operands } = statement.operation;
      const here = at;
      const lookup: Lookup = (symbol) => {
        if (reserved.test(symbol)) return undefined;
        if (symbol === '.' || symbol === '$') return here;
        return labels.get(symbol) ?? placed.get(symbol) ?? (defined.has(symbol) ? here : given(symbol));
      };
      if (name === '.set' || name === '.equ') {
        const { name: symbol, value } = definition(statement, operands, lookup);
        placed.set(symbol, value);
        continue;
      }
      const bytes = assembleStatement(syntax, encode, statement, at, lookup);
      result.push({ line: statement.line, address: at, bytes });
      at += BigInt(bytes.length);
    }
    if (pass > 0 && sameMap(labels, placed)) {
      return {
        bytes: Uint8Array.from(Buffer.concat(result.map(({ bytes }) => bytes))),
        labels: placed,
        statements: result,
      };
    }
    labels = placed;
  }
  throw new CpuError('assemblyFailed', `the addresses of the labels do not settle in ${MOST_PASSES} passes`);
}

function assembleStatement(
  syntax: Syntax,
  encode: EncodeInstruction,
  statement: Statement,
  at: bigint,
  lookup: Lookup,
): Uint8Array {
  const { name, operands } = statement.operation ?? { name: '', operands: [] };
  try {
    if (name.startsWith('.')) {
      return assembleDirective(statement, name, operands, { ...syntax, at, lookup });
    }
    if (!/^[a-z][\w.]*$/.test(name))
      throw new AssemblerError('unknownInstruction', statement, 'there is no such instruction');
    const unknown = operands.find(
      ({ kind, text }) => kind === 'name' && /[$?@!]/.test(text) && lookup(text) === undefined,
    );
    if (unknown !== undefined)
      throw new AssemblerError('undefinedSymbol', statement, `${unknown.text} is not defined`);
    return syntax.assemble(encode, statement, name, operands, at, lookup);
  } catch (error) {
    if (error instanceof AssemblerError || !(error instanceof CpuError)) throw error;
    throw new AssemblerError(error.rule, statement, error.message, error);
  }
}

function checkLabels(statements: readonly Statement[], reserved: RegExp): void {
  const seen = new Set<string>();
  for (const statement of statements) {
    for (const label of statement.labels) {
      if (reserved.test(label))
        throw new AssemblerError('reservedName', statement, `${label} cannot be a label`);
      if (seen.has(label)) throw new AssemblerError('duplicateLabel', statement, `${label} is defined twice`);
      seen.add(label);
    }
  }
}

/** Passes repeat most instructions unchanged. */
function remember(encode: EncodeInstruction): EncodeInstruction {
  const known = new Map<string, Uint8Array>();
  return (statement, text, at) => {
    const key = `${at} ${text}`;
    const bytes = known.get(key) ?? encode(statement, text, at);
    known.set(key, bytes);
    return bytes;
  };
}

const record = (symbols: object): Readonly<Record<string, bigint>> =>
  symbols as Readonly<Record<string, bigint>>;

const sameMap = (a: ReadonlyMap<string, bigint>, b: ReadonlyMap<string, bigint>): boolean =>
  a.size === b.size && [...a].every(([name, value]) => b.get(name) === value);
