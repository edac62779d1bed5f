import type { Capstone, CapstoneInstruction } from '@alexaltea/capstone-js';
import { ADDRESS_BITS } from './architecture/address-bits.js';
import type { ArchitectureName } from './architecture/architecture.js';
import { CpuError, messageOf } from './error.js';

export interface DisassembledInstruction {
  readonly address: bigint;
  readonly bytes: Uint8Array;
  /** In bytes. */
  readonly length: number;
  /** As WinDbg writes it: `jmp     fffff800'12345673`, `sub     rsp,28h`, `ldr         x16,fffff800``12346678`. */
  readonly text: string;
}

export interface DisassembleOptions {
  /** At most so many instructions; default: all bytes. */
  readonly count?: number;
  /** Name of a code or data address, as `module!symbol+0x12`. */
  readonly symbol?: (address: bigint) => string | undefined;
}

/**
 * Bytes that are no instruction become `db` (one byte; x64, x86) or `.word` (ARM64), so the instructions returned
 * cover the input without gaps up to `count`.
 */
export type Disassembler = (
  architecture: ArchitectureName,
  bytes: Uint8Array,
  address: bigint,
  options?: DisassembleOptions,
) => DisassembledInstruction[];

let loading: Promise<Disassembler> | undefined;

/** Loads capstone on the first call; after that the function it resolves to works synchronously. */
export function loadDisassembler(): Promise<Disassembler> {
  loading ??= createDisassembler();
  return loading;
}

export async function disassemble(
  architecture: ArchitectureName,
  bytes: Uint8Array,
  address: bigint,
  options: DisassembleOptions = {},
): Promise<DisassembledInstruction[]> {
  return (await loadDisassembler())(architecture, bytes, address, options);
}

/** A 64-bit address as WinDbg prints it, `fffff800``12345678`; 8 digits for x86. */
export function formatAddress(architecture: ArchitectureName, address: bigint): string {
  if (ADDRESS_BITS[architecture] === 32) return BigInt.asUintN(32, address).toString(16).padStart(8, '0');
  const digits = BigInt.asUintN(64, address).toString(16).padStart(16, '0');
  return `${digits.slice(0, 8)}\`${digits.slice(8)}`;
}

/** How text of an architecture looks. */
interface Style {
  readonly instruction: (
    architecture: ArchitectureName,
    decoded: CapstoneInstruction,
    options: DisassembleOptions,
    at: bigint,
  ) => string;
  /** Of bytes that are no instruction; how many of them make one line. */
  readonly data: (bytes: Uint8Array) => string;
  readonly dataLength: number;
}

async function createDisassembler(): Promise<Disassembler> {
  const { default: load } = await import('@alexaltea/capstone-js');
  const capstone = await load();
  const open: Record<ArchitectureName, () => Capstone> = {
    x64: () => new capstone.Capstone(capstone.ARCH_X86, capstone.MODE_64),
    x86: () => new capstone.Capstone(capstone.ARCH_X86, capstone.MODE_32),
    arm64: () => new capstone.Capstone(capstone.ARCH_ARM64, capstone.MODE_LITTLE_ENDIAN),
  };
  const handles = new Map<ArchitectureName, Capstone>();

  return (architecture, bytes, address, options = {}) => {
    const handle = handles.get(architecture) ?? open[architecture]();
    handles.set(architecture, handle);
    const style = STYLES[architecture];
    const width = ADDRESS_BITS[architecture];
    const limit = options.count ?? Number.POSITIVE_INFINITY;
    const result: DisassembledInstruction[] = [];
    let offset = 0;
    const push = (length: number, textAt: (at: bigint) => string): void => {
      const at = BigInt.asUintN(width, address + BigInt(offset));
      result.push({ address: at, bytes: bytes.slice(offset, offset + length), length, text: textAt(at) });
      offset += length;
    };
    while (offset < bytes.length && result.length < limit) {
      const wanted = Number.isFinite(limit) ? limit - result.length : 0;
      for (const decoded of decode(handle, bytes.subarray(offset), address + BigInt(offset), wanted)) {
        push(decoded.size, (at) => style.instruction(architecture, decoded, options, at));
      }
      if (offset < bytes.length && result.length < limit) {
        const length = Math.min(style.dataLength, bytes.length - offset);
        push(length, () => style.data(bytes.subarray(offset, offset + length)));
      }
    }
    return result;
  };
}

/** Instructions up to the first that is none; `count` 0 means all. */
function decode(handle: Capstone, bytes: Uint8Array, address: bigint, count: number): CapstoneInstruction[] {
  try {
    return handle.disasm(bytes, address, count);
  } catch (cause) {
    if (handle.errno() === 0) return [];
    throw new CpuError('disassemblerFailed', `capstone: ${messageOf(cause)}`, { address, cause });
  }
}

const x86Data = (bytes: Uint8Array): string => `db      ${windbgNumber(BigInt(bytes[0] ?? 0), 2)}`;

function arm64Data(bytes: Uint8Array): string {
  const digits = [...bytes].map((byte) => byte.toString(16).padStart(2, '0'));
  if (bytes.length < 4) return `.byte       ${digits.map((digit) => `0x${digit}`).join(',')}`;
  return `.word       0x${digits.reverse().join('')}`;
}

/** Hexadecimal with `h`, and a leading 0 before a letter; numbers up to 9 stay bare. */
function windbgNumber(value: bigint, digits = 1): string {
  if (value < 10n && digits === 1) return value.toString();
  const text = value.toString(16).toUpperCase().padStart(digits, '0');
  return `${/^[A-F]/.test(text) ? '0' : ''}${text}h`;
}

function place(architecture: ArchitectureName, address: bigint, { symbol }: DisassembleOptions): string {
  const plain = formatAddress(architecture, address);
  const name = symbol?.(BigInt.asUintN(ADDRESS_BITS[architecture], address));
  return name === undefined ? plain : `${name} (${plain})`;
}

const NEAR_BRANCH = /^(?:j\w+|call|loop\w*|xbegin)$/;

function x86Text(
  architecture: ArchitectureName,
  { mnemonic, op_str: operands, size }: CapstoneInstruction,
  options: DisassembleOptions,
  at: bigint,
): string {
  if (mnemonic === 'int3') return 'int     3';
  const name = mnemonic.padEnd(7);
  if (operands === '') return name.trimEnd();
  if (NEAR_BRANCH.test(mnemonic) && /^(?:0x)?[0-9a-f]+$/.test(operands)) {
    return `${name} ${place(architecture, BigInt(operands), options)}`;
  }
  const text = operands.replace(
    /\[rip(?: ([+-]) (\w+))?\]|(?<!:)\[(0x[0-9a-f]+|\d)\]|0x[0-9a-f]+/g,
    (number, sign: string | undefined, distance: string | undefined, absolute: string | undefined) => {
      if (absolute !== undefined) return `[${place(architecture, BigInt(absolute), options)}]`;
      if (!number.startsWith('[')) return windbgNumber(BigInt(number));
      const offset = BigInt(distance ?? 0);
      return `[${place(architecture, at + BigInt(size) + (sign === '-' ? -offset : offset), options)}]`;
    },
  );
  return `${name} ${text.replaceAll(', ', ',').replaceAll(/ ([+-]) /g, '$1')}`;
}

const PC_RELATIVE = /^(?:b|bl|b[c]?\.\w+|cbn?z|tbn?z|adrp?|ldr|ldrsw|prfm)$/;

function arm64Text(
  architecture: ArchitectureName,
  { mnemonic, op_str: operands }: CapstoneInstruction,
  options: DisassembleOptions,
): string {
  const name = mnemonic.padEnd(11);
  if (operands === '') return name.trimEnd();
  const target = /^([^[]*)#(0x[0-9a-f]+|\d)$/.exec(PC_RELATIVE.test(mnemonic) ? operands : '');
  const text =
    target === null ? operands : `${target[1] ?? ''}${place(architecture, BigInt(target[2] ?? 0), options)}`;
  return `${name} ${text.replaceAll(', ', ',')}`;
}

const X86_STYLE: Style = { instruction: x86Text, data: x86Data, dataLength: 1 };
const STYLES: Readonly<Record<ArchitectureName, Style>> = {
  x64: X86_STYLE,
  x86: X86_STYLE,
  arm64: { instruction: arm64Text, data: arm64Data, dataLength: 4 },
};
