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
  {
    name: 'eb',
    usage: 'eb ADDRESS BYTE…',
    help: 'enter bytes; into code as the kernel would, at once and visible to every processor',
    run: ({ view, args }) => {
      const [place = '', ...values] = args.split(/\s+/);
      if (values.length === 0)
        throw new DebugError('eb needs an address and bytes: eb demo!g_counter 2a 0 0 0');
      const address = evaluate(place, view);
      const bytes = Uint8Array.from(values, (value) => Number(evaluate(value, view) & 0xffn));
      view.read(address, bytes.length);
      view.session.act((lab, thread) => store(lab.kernel, thread, address, bytes), view.thread);
      return [];
    },
  },
];

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
  if (size === 8 && view.architecture.pointerSize === 8) return view.format(value);
  return value.toString(16).padStart(size * 2, '0');
}

function printable(bytes: Iterable<number>): string {
  return Array.from(bytes, (byte) => (byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : '.')).join(
    '',
  );
}
