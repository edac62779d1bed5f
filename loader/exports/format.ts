import type { ServiceCall } from '../dispatch/index.js';

/**
 * The printf subset that DbgPrint callers use: `%d %i %u %x %X %p %c %s %hs %S %ws %wZ %%`, with flags, width and the
 * sizes h, l, ll, I64. Arguments are taken from guest argument `first` on.
 */
export function formatGuestString(call: ServiceCall, format: string, first: number): string {
  const { memory } = call;
  const { pointerSize } = call;
  let slot = first;
  const next = (wide: boolean): bigint => {
    let value = call.argument(slot++);
    if (wide && pointerSize === 4) value |= call.argument(slot++) << 32n;
    return value;
  };
  return format.replace(
    /%([-+0 #]*)(\d*)(?:\.(\d+))?(hh|h|ll|l|I64|I32|w|z)?([diuxXpcsSZ%])/g,
    (
      _,
      flags: string,
      width: string,
      precision: string | undefined,
      size: string | undefined,
      kind: string,
    ) => {
      const pad = (text: string) => {
        if (flags.includes('-')) return text.padEnd(Number(width));
        return text.padStart(Number(width), flags.includes('0') ? '0' : ' ');
      };
      const wide = size === 'll' || size === 'I64';
      const bits = wide ? 64 : 32;
      switch (kind) {
        case '%':
          return '%';
        case 'd':
        case 'i':
          return pad(BigInt.asIntN(bits, next(wide)).toString());
        case 'u':
          return pad(BigInt.asUintN(bits, next(wide)).toString());
        case 'x':
          return pad(BigInt.asUintN(bits, next(wide)).toString(16));
        case 'X':
          return pad(BigInt.asUintN(bits, next(wide)).toString(16).toUpperCase());
        case 'p':
          return next(false)
            .toString(16)
            .toUpperCase()
            .padStart(pointerSize * 2, '0');
        case 'c':
          return pad(String.fromCharCode(Number(next(false) & 0xffn)));
        default: {
          const text = readString(
            next(false),
            size === 'w' || size === 'l' || kind === 'S' || kind === 'Z',
            kind === 'Z',
          );
          return pad(precision === undefined ? text : text.slice(0, Number(precision)));
        }
      }
    },
  );

  function readString(address: bigint, utf16: boolean, counted: boolean): string {
    if (address === 0n) return '(null)';
    if (counted) {
      const length = memory.readU16(address);
      const buffer = pointerSize === 8 ? memory.readU64(address + 8n) : BigInt(memory.readU32(address + 4n));
      return Buffer.from(memory.read(buffer, length)).toString('utf16le');
    }
    if (!utf16) return memory.readCString(address, 0x1000);
    let text = '';
    for (let at = address; text.length < 0x1000; at += 2n) {
      const unit = memory.readU16(at);
      if (unit === 0) break;
      text += String.fromCharCode(unit);
    }
    return text;
  }
}
