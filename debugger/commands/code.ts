import type { DebugCommand } from '../command.js';
import { DebugError } from '../error.js';
import { evaluate } from '../expression.js';
import { symbolEnd } from '../functions.js';
import { instructionsAt, instructionsBetween, listing } from '../listing.js';
import type { View } from '../view.js';

const LINES = 8;

export const codeCommands: readonly DebugCommand[] = [
  {
    name: 'u',
    usage: 'u [ADDRESS] [LCOUNT]',
    help: 'unassemble from ADDRESS on, default 8 instructions',
    run: ({ view, args }) => {
      const { address, count } = addressAndCount(args, view, LINES);
      return listing(view, instructionsAt(view, address, count));
    },
  },
  {
    name: 'ub',
    usage: 'ub [ADDRESS] [LCOUNT]',
    help: 'unassemble backwards: the instructions before ADDRESS',
    run: ({ view, args }) => {
      const { address, count } = addressAndCount(args, view, LINES);
      return listing(view, before(view, address).slice(-count));
    },
  },
  {
    name: 'uf',
    usage: 'uf [/s] [ADDRESS]',
    help: 'unassemble the whole function around ADDRESS; /s: with its source lines',
    run: ({ view, args }) => {
      const [, withSource, place = ''] = /^(\/s(?:\s+|$))?(.*)$/.exec(args) ?? [];
      const { start, end } = functionAround(view, place === '' ? view.pc : evaluate(place, view));
      return listing(view, instructionsBetween(view, start, end), withSource !== undefined);
    },
  },
];

/** `ADDRESS L20`; without an address that of the next instruction. */
export function addressAndCount(
  args: string,
  view: View,
  count: number,
  address: bigint = view.pc,
): { readonly address: bigint; readonly count: number } {
  const match = /^(.*?)(?:(?:^|\s)[lL]\s*([\w`]+))?$/.exec(args.trim());
  const [, place = '', length] = match ?? [];
  const wanted = length === undefined ? count : Number(evaluate(length, view));
  if (wanted < 1 || wanted > 0x10000) throw new DebugError(`L${length} is not a sensible number`);
  return { address: place.trim() === '' ? address : evaluate(place, view), count: wanted };
}

function before(view: View, address: bigint) {
  const { minimumInstructionLength: length, maximumInstructionLength } = view.architecture;
  // Where all instructions have one length, none needs to be known to begin with.
  if (length === maximumInstructionLength) return instructionsBetween(view, address - 0x80n, address);
  const { start } = functionAround(view, address - 1n);
  return instructionsBetween(view, start, address);
}

function functionAround(view: View, address: bigint): { readonly start: bigint; readonly end: bigint } {
  const image = view.imageAt(address);
  const rva = image?.rva(address) ?? 0;
  const near = image?.symbols.byAddress(rva);
  if (image === undefined || near === undefined || rva >= image.sizeOfImage)
    throw new DebugError(`${view.describe(address)} is in no function`);
  return { start: image.address(near.symbol.rva), end: image.address(symbolEnd(image, near.symbol)) };
}
