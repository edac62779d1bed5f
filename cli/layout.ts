/** How the inspecting commands lay text out: a title per part, a column of names, tables. */

export interface Styles {
  readonly bold: (text: string) => string;
}

const NAME_WIDTH = 22;

export function heading(text: string, styles: Styles): string {
  return styles.bold(text);
}

/** `  name                  value` */
export function field(name: string, value: string, width = NAME_WIDTH): string {
  return `  ${name.padEnd(width)} ${value}`;
}

export function hex(value: number | bigint): string {
  return `0x${value.toString(16)}`;
}

export function hex8(value: number): string {
  return value.toString(16).padStart(8, '0');
}

export function flags(value: number, names: readonly string[]): string {
  return names.length === 0 ? hex(value) : `${hex(value)}  ${names.join(' ')}`;
}

/** `0x5f000000  2020-07-04 03:31:28 UTC`; a stamp may also be a hash of the file's contents. */
export function time(stamp: number): string {
  return stamp === 0
    ? '0'
    : `${hex(stamp)}  ${new Date(stamp * 1000).toISOString().slice(0, 19).replace('T', ' ')} UTC`;
}

export function size(bytes: number): string {
  return bytes === 1 ? '1 byte' : `${bytes} bytes`;
}

/** Columns as wide as their widest cell; those in `right` are set to the right, the last one is not padded. */
export function table(
  head: readonly string[],
  rows: readonly (readonly string[])[],
  right: readonly number[] = [],
): string[] {
  const all = [head, ...rows];
  const widths = head.map((_, column) => Math.max(...all.map((row) => row[column]?.length ?? 0)));
  return all.map((row) =>
    `  ${row
      .map((cell, column) => {
        const width = widths[column] ?? 0;
        if (right.includes(column)) return cell.padStart(width);
        return column === row.length - 1 ? cell : cell.padEnd(width);
      })
      .join('  ')}`.trimEnd(),
  );
}
