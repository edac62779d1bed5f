/** What GDB sends, in the form of the remote serial protocol: `$data#checksum`, acknowledgements, and Ctrl-C. */
export type Incoming =
  | { readonly kind: 'packet'; readonly data: string }
  | { readonly kind: 'broken' }
  | { readonly kind: 'acknowledged' | 'refused' | 'interrupt' };

const ESCAPE = '}';

/** Sum of the bytes modulo 256, two hexadecimal digits. */
function checksum(data: string): string {
  let sum = 0;
  for (let index = 0; index < data.length; index++) sum += data.charCodeAt(index);
  return (sum & 0xff).toString(16).padStart(2, '0');
}

/** A packet ready to send; `data` is one character a byte. */
export function framePacket(data: string): string {
  const escaped = data.replaceAll(
    /[#$}*]/g,
    (byte) => ESCAPE + String.fromCharCode(byte.charCodeAt(0) ^ 0x20),
  );
  return `$${escaped}#${checksum(escaped)}`;
}

function unescapePacket(data: string): string {
  return data.replaceAll(/\}(.)/gs, (_, byte: string) => String.fromCharCode(byte.charCodeAt(0) ^ 0x20));
}

/** Cuts a stream of bytes (one character each) into what it says. */
export class PacketReader {
  #rest = '';

  *read(bytes: string): Generator<Incoming> {
    this.#rest += bytes;
    while (this.#rest !== '') {
      const first = this.#rest.charAt(0);
      if (first === '$') {
        const end = this.#rest.indexOf('#');
        if (end < 0 || this.#rest.length < end + 3) return;
        const data = this.#rest.slice(1, end);
        const sum = this.#rest.slice(end + 1, end + 3).toLowerCase();
        this.#rest = this.#rest.slice(end + 3);
        yield sum === checksum(data) ? { kind: 'packet', data: unescapePacket(data) } : { kind: 'broken' };
        continue;
      }
      this.#rest = this.#rest.slice(1);
      if (first === '+') yield { kind: 'acknowledged' };
      else if (first === '-') yield { kind: 'refused' };
      else if (first === '\x03') yield { kind: 'interrupt' };
    }
  }
}

export const toHex = (text: string): string => Buffer.from(text, 'latin1').toString('hex');
export const fromHex = (hex: string): string => Buffer.from(hex, 'hex').toString('latin1');

/** A number as memory holds it: little-endian bytes in hexadecimal. */
export function hexOfValue(value: bigint, bytes: number): string {
  let text = '';
  for (let index = 0; index < bytes; index++)
    text += Number((value >> BigInt(8 * index)) & 0xffn)
      .toString(16)
      .padStart(2, '0');
  return text;
}

export function valueOfHex(hex: string): bigint {
  return BigInt(`0x${Buffer.from(hex, 'hex').reverse().toString('hex') || '0'}`);
}
