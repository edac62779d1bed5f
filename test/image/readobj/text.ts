/** Lines in the layout of llvm-readobj: two spaces per level, `Name: value`, `Name {`, `Name [`. */
export class Lines {
  readonly lines: string[] = [];
  #indent = '';

  line(text: string): void {
    this.lines.push(`${this.#indent}${text}`);
  }

  field(name: string, value: string | number | bigint): void {
    this.line(`${name}: ${value}`);
  }

  hex(name: string, value: number | bigint): void {
    this.field(name, H(value));
  }

  group(name: string, body: () => void): void {
    this.#block(`${name} {`, '}', body);
  }

  list(name: string, body: () => void): void {
    this.#block(`${name} [`, ']', body);
  }

  /** A flag field: the flags that are set, by name. */
  flags(name: string, value: number, table: Readonly<Record<string, number>>): void {
    const set = Object.entries(table).filter(([, mask]) => (value & mask) >>> 0 === mask >>> 0);
    this.#block(`${name} [ (${H(value)})`, ']', () => {
      for (const [flag, mask] of set.sort(([a], [b]) => (a < b ? -1 : 1))) this.line(`${flag} (${H(mask)})`);
    });
  }

  #block(open: string, close: string, body: () => void): void {
    this.line(open);
    const outer = this.#indent;
    this.#indent = `${outer}  `;
    body();
    this.#indent = outer;
    this.line(close);
  }
}

export function H(value: number | bigint): string {
  return `0x${value.toString(16).toUpperCase()}`;
}

export function H2(value: number): string {
  return `0x${value.toString(16).toUpperCase().padStart(2, '0')}`;
}

/** `2025-12-21 20:49:06 (0x69485D42)` */
export function time(stamp: number): string {
  return `${new Date(stamp * 1000).toISOString().slice(0, 19).replace('T', ' ')} (${H(stamp)})`;
}

/** `  0010: 08010000                             |....|` */
export function hexDump(data: Uint8Array): string[] {
  const lines: string[] = [];
  for (let at = 0; at < data.length; at += 16) {
    const row = Array.from(data.subarray(at, at + 16));
    const hexes = row.map((byte) => byte.toString(16).toUpperCase().padStart(2, '0'));
    const groups = Array.from({ length: Math.ceil(row.length / 4) }, (_, i) =>
      hexes.slice(4 * i, 4 * i + 4).join(''),
    );
    const text = row.map((byte) => (byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : '.')).join('');
    const offset = at.toString(16).toUpperCase().padStart(4, '0');
    lines.push(`${offset}: ${groups.join(' ').padEnd(35)}  |${text}|`);
  }
  return lines;
}
