import * as v from 'valibot';
import type { DisassembledInstruction } from '../../cpu/index.js';
import { store } from '../commands/memory.js';
import { instructionsAt, instructionsBetween } from '../listing.js';
import { sourceFrames } from '../source.js';
import type { View } from '../view.js';
import { addressOf, type DapHandler, handler, referenceTo } from './handler.js';
import { sourceOf } from './stack.js';

/** No instruction of the architectures that are emulated is longer. */
const LONGEST = 15n;

export const memoryRequests: Readonly<Record<string, DapHandler>> = {
  disassemble: handler(
    v.object({
      memoryReference: v.string(),
      offset: v.optional(v.number()),
      instructionOffset: v.optional(v.number()),
      instructionCount: v.pipe(v.number(), v.minValue(0), v.maxValue(0x10000)),
    }),
    ({ memoryReference, offset, instructionOffset = 0, instructionCount }, { scope: { view } }) => {
      const address = addressOf(memoryReference, offset);
      const instructions = around(view, address, instructionOffset, instructionCount);
      return { body: { instructions: instructions.map((each) => describe(view, each)) } };
    },
  ),
  readMemory: handler(
    v.object({
      memoryReference: v.string(),
      offset: v.optional(v.number()),
      count: v.pipe(v.number(), v.minValue(0), v.maxValue(0x100_0000)),
    }),
    ({ memoryReference, offset, count }, { scope: { view } }) => {
      const address = addressOf(memoryReference, offset);
      const bytes = view.readUpTo(address, count);
      return {
        body: {
          address: referenceTo(address),
          data: Buffer.from(bytes).toString('base64'),
          unreadableBytes: count - bytes.length,
        },
      };
    },
  ),
  writeMemory: handler(
    v.object({ memoryReference: v.string(), offset: v.optional(v.number()), data: v.string() }),
    ({ memoryReference, offset, data }, { scope: { view } }) => {
      const address = addressOf(memoryReference, offset);
      const bytes = new Uint8Array(Buffer.from(data, 'base64'));
      view.read(address, bytes.length);
      view.session.act((lab, thread) => store(lab.kernel, thread, address, bytes), view.thread);
      return { body: { bytesWritten: bytes.length }, isChanged: true };
    },
  ),
};

/** Exactly `count` instructions, the one at `address` being number `-skip` of them; what cannot be read is filled up. */
function around(view: View, address: bigint, skip: number, count: number): DisassembledInstruction[] {
  const before = skip < 0 ? instructionsBefore(view, address, -skip) : [];
  const wanted = count + Math.max(0, skip);
  const from = view.readUpTo(address, 1).length === 0 ? [] : instructionsAt(view, address, wanted);
  const all = [...before, ...from.slice(Math.max(0, skip))].slice(0, count);
  while (all.length < count) {
    const last = all.at(-1);
    all.push(nothingAt(last === undefined ? address : last.address + BigInt(last.length)));
  }
  return all;
}

function instructionsBefore(view: View, address: bigint, count: number): DisassembledInstruction[] {
  const image = view.imageAt(address);
  const near = image?.symbols.byAddress(image.rva(address));
  const start = image !== undefined && near !== undefined ? image.address(near.symbol.rva) : address;
  const known = start < address ? instructionsBetween(view, start, address).slice(-count) : [];
  const first = known[0]?.address ?? address;
  const missing = count - known.length;
  const fill = Array.from({ length: missing }, (_, i) => nothingAt(first - LONGEST * BigInt(missing - i)));
  return [...fill, ...known];
}

function nothingAt(address: bigint): DisassembledInstruction {
  return { address: BigInt.asUintN(64, address), bytes: new Uint8Array(), length: 1, text: '(nothing)' };
}

function describe(view: View, { address, bytes, text }: DisassembledInstruction): object {
  const [frame] = sourceFrames(view.imageAt(address), address);
  const image = view.imageAt(address);
  const offset = image?.symbols.byAddress(image.rva(address))?.offset;
  return {
    address: referenceTo(address),
    instruction: text,
    ...(bytes.length === 0 ? { presentationHint: 'invalid' } : {}),
    instructionBytes: Buffer.from(bytes).toString('hex'),
    ...(offset === 0 ? { symbol: view.nameOf(address) } : {}),
    ...(frame === undefined ? {} : { location: sourceOf(view, image, frame), line: frame.line }),
  };
}
