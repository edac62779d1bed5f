import type { LabEvent } from '../../loader/index.js';

/** One event as one line of JSON: 64-bit values as `0x…`, bytes as hexadecimal. */
export function eventLine(event: LabEvent): string {
  return `${JSON.stringify(event, (_key, value: unknown) => {
    if (typeof value === 'bigint') return `0x${value.toString(16)}`;
    return value instanceof Uint8Array ? Buffer.from(value).toString('hex') : value;
  })}\n`;
}
