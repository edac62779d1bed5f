import { ntStatusNamed } from '../image/index.js';

export const RETURN_TYPES = [
  'auto',
  'int',
  'uint',
  'ptr',
  'text',
  'u64',
  'double',
  'ntstatus',
  'void',
] as const;
export type ReturnType = (typeof RETURN_TYPES)[number];

interface ResultRegisters {
  readonly result: bigint;
  readonly float: number;
  /** What stands there, up to its NUL; undefined: it is no address of memory, or nobody has asked. */
  readonly text?: string | undefined;
}

const hex = (value: bigint): string => `0x${value.toString(16)}`;
/** Statuses of this severity are errors; smaller numbers are more likely to be something else. */
const SEVERITY_ERROR = 0xc000_0000n;

/** What a call returned, as its type has it. */
export function showResult({ result, float, text }: ResultRegisters, type: ReturnType): string {
  const low = BigInt.asUintN(32, result);
  const signed = BigInt.asIntN(32, result);
  switch (type) {
    case 'int':
      return `${signed} (${hex(low)})`;
    case 'uint':
      return `${low} (${hex(low)})`;
    case 'text':
      return `${text === undefined ? '(no text)' : JSON.stringify(text)} (${hex(result)})`;
    case 'ptr':
    case 'u64':
      return `${result} (${hex(result)})`;
    case 'double':
      return String(float);
    case 'ntstatus':
      return `${ntStatusNamed(Number(low)) ?? 'status'} (${hex(low)})`;
    case 'void':
      return '(nothing)';
    case 'auto': {
      const high = result >> 32n;
      const isSignExtended = high === 0xffff_ffffn && signed < 0n;
      if (high !== 0n && !isSignExtended) return `${result} (${hex(result)})`;
      const name = low >= SEVERITY_ERROR ? ntStatusNamed(Number(low)) : undefined;
      return `${signed} (${hex(result)}${name === undefined ? '' : `, ${name}`})`;
    }
  }
}
