import { isExecutable } from '../../cpu/index.js';
import type { DebugCommand } from '../command.js';
import { DebugError } from '../error.js';
import { evaluate } from '../expression.js';
import { littleEndian } from '../thread-view.js';
import type { View } from '../view.js';
import { addressAndCount } from './code.js';

/** Bytes of an element, how many are shown by default, and how many in a line. */
const FORMATS = {
  db: { size: 1, count: 64, perLine: 16, help: 'bytes and characters' },
  dw: { size: 2, count: 32, perLine: 8, help: '16-bit words' },
  dd: { size: 4, count: 16, perLine: 4, help: '32-bit dwords' },
  dq: { size: 8, count: 8, perLine: 2, help: '64-bit qwords' },
} as const;

/** Commands that enter values, with bytes of each. */
const ENTERED = {
  eb: { size: 1, what: 'bytes' },
  ew: { size: 2, what: '16-bit words' },
  ed: { size: 4, what: '32-bit dwords' },
  eq: { size: 8, what: '64-bit qwords' },
} as const;

/** Bytes of a value that is searched for, by option. */
const SEARCHED: Readonly<Record<string, number>> = { b: 1, w: 2, d: 4, q: 8 };
const MOST_SEARCHED = 1n << 28n;
const MOST_FOUND = 256;

export const memoryCommands: readonly DebugCommand[] = [
  ...Object.entries(FORMATS).map(
    ([name, { size, count, perLine, help }]): DebugCommand => ({
      name,
      usage: `${name} ADDRESS [LCOUNT]`,
      help: `display ${help}`,
      run: ({ view, args }) => dump(view, args, size, count, perLine),
    }),
  ),
  {
    name: 'dps',
    usage: 'dps ADDRESS [LCOUNT]',
    help: 'display pointers with what they lead to',
    run: ({ view, args }) => {
      const { address, count } = addressAndCount(args, view, 8, view.thread.sp);
      return elements(view, address, count, view.pointerSize).map(({ at, value }) => {
        const name = view.nameOf(value);
        return `${view.format(at)}  ${view.format(value)}${name === undefined ? '' : ` ${name}`}`;
      });
    },
  },
  {
    name: 'da',
    usage: 'da ADDRESS',
    help: 'display a string that ends with a zero byte',
    run: ({ view, args }) => {
      const address = evaluate(args, view);
      const bytes = view.readUpTo(address, 0x100);
      const end = bytes.indexOf(0);
      return [`${view.format(address)}  "${printable(bytes.subarray(0, end < 0 ? bytes.length : end))}"`];
    },
  },
  ...Object.entries(ENTERED).map(
    ([name, { size, what }]): DebugCommand => ({
      name,
      usage: `${name} ADDRESS VALUE…`,
      help: `enter ${what}; into code as the kernel would, at once and visible to every processor`,
      run: ({ view, args }) => enter(view, name, args, size),
    }),
  ),
  {
    name: 's',
    usage: 's [-b|-w|-d|-q|-a] ADDRESS LCOUNT VALUE…',
    help: 'search COUNT bytes from ADDRESS on for values, or with -a for a string: s -a packets L6000 "bad"',
    run: ({ view, args }) => search(view, args),
  },
];

function enter(view: View, name: string, args: string, size: number): readonly string[] {
  const [place = '', ...values] = args.split(/\s+/);
  if (values.length === 0)
    throw new DebugError(`${name} needs an address and values: ${name} demo!g_counter 2a`);
  const address = evaluate(place, view);
  const bytes = encode(values, view, size);
  view.read(address, bytes.length);
  view.session.act((lab, thread) => store(lab.kernel, thread, address, bytes), view.thread);
  return [];
}

/** Little-endian, `size` bytes each. */
function encode(values: readonly string[], view: View, size: number): Uint8Array {
  const bytes = new Uint8Array(values.length * size);
  for (const [index, text] of values.entries()) {
    const value = evaluate(text, view);
    for (let at = 0; at < size; at++) bytes[index * size + at] = Number((value >> BigInt(8 * at)) & 0xffn);
  }
  return bytes;
}

function search(view: View, args: string): readonly string[] {
  const match = /^(?:-([bwdqa])\s+)?(\S+)\s+[lL]\s*(\S+)\s+(.+)$/.exec(args);
  const [, kind = 'b', place = '', length = '', what = ''] = match ?? [];
  if (match === null)
    throw new DebugError('s needs an address, a length and values: s -d demo!g_sess L100 2a');
  const text = /^"(.*)"$/.exec(what)?.[1] ?? what;
  const wanted = kind === 'a' ? Buffer.from(text) : encode(what.split(/\s+/), view, SEARCHED[kind] ?? 1);
  const [address, count] = [evaluate(place, view), evaluate(length, view)];
  if (count > MOST_SEARCHED) throw new DebugError(`L${length} is more than ${MOST_SEARCHED} bytes`);
  const bytes = Buffer.from(view.readUpTo(address, Number(count)));
  const found: string[] = [];
  for (
    let at = bytes.indexOf(wanted);
    at >= 0 && found.length < MOST_FOUND;
    at = bytes.indexOf(wanted, at + 1)
  ) {
    const here = address + BigInt(at);
    const line = bytes.subarray(at, at + 16);
    found.push(
      `${view.format(here)}  ${line
        .toString('hex')
        .replaceAll(/..(?=.)/g, '$& ')
        .padEnd(47)}  ${printable(line)}`,
    );
  }
  return found;
}

/** Into code as the kernel would, at once and visible to every processor. */
export function store(
  { machine }: View['kernel'],
  { addressSpace }: View['thread'],
  address: bigint,
  bytes: Uint8Array,
): void {
  const { protection } = addressSpace.query(address);
  if (protection === undefined || !isExecutable(protection)) addressSpace.write(address, bytes);
  else {
    machine.writeCode(addressSpace, address, bytes);
    machine.serialise();
  }
}

function elements(view: View, address: bigint, count: number, size: number) {
  const bytes = view.readUpTo(address, count * size);
  if (bytes.length < size) throw new DebugError(`there is no memory at ${view.format(address)}`);
  return Array.from({ length: Math.floor(bytes.length / size) }, (_, index) => ({
    at: address + BigInt(index * size),
    value: littleEndian(bytes.subarray(index * size, (index + 1) * size)),
  }));
}

function dump(view: View, args: string, size: number, defaultCount: number, perLine: number): string[] {
  const { address, count } = addressAndCount(args, view, defaultCount);
  const all = elements(view, address, count, size);
  const lines: string[] = [];
  for (let start = 0; start < all.length; start += perLine) {
    const row = all.slice(start, start + perLine);
    const values = row.map(({ value }) => hexOf(view, value, size));
    const at = view.format(row[0]?.at ?? address);
    if (size > 1) lines.push(`${at}  ${values.join(' ')}`);
    else {
      const text = `${values.slice(0, 8).join(' ')}${values.length > 8 ? `-${values.slice(8).join(' ')}` : ''}`;
      lines.push(`${at}  ${text.padEnd(47)}  ${printable(row.map(({ value }) => Number(value)))}`);
    }
  }
  return lines;
}

function hexOf(view: View, value: bigint, size: number): string {
  if (size === view.architecture.pointerSize) return view.format(value);
  return value.toString(16).padStart(size * 2, '0');
}

function printable(bytes: Iterable<number>): string {
  return Array.from(bytes, (byte) => (byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : '.')).join(
    '',
  );
}
