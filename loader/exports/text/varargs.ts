import { type ServiceCall, SLOTS_OF_64_BITS } from '../../dispatch/index.js';
import type { GuestMemory } from '../../memory/index.js';

/** The arguments behind the declared ones: each takes one or, as a 64-bit one of 32-bit code, two slots of a pointer's size. */
export interface VariadicArguments {
  readonly memory: GuestMemory;
  readonly pointerSize: 4 | 8;
  /** The next slot, zero-extended. */
  word(): bigint;
  /** The next 64-bit argument: also a double, whose bits it gives. */
  quad(): bigint;
}

function from(memory: GuestMemory, next: () => bigint): VariadicArguments {
  const { pointerSize } = memory;
  return {
    memory,
    pointerSize,
    word: next,
    quad: () => {
      const low = next();
      return SLOTS_OF_64_BITS[pointerSize] === 1 ? low : low | (next() << 32n);
    },
  };
}

/** Arguments of a variadic call, from slot `first` on: in registers and on the stack, floating-point ones like integers. */
export function argumentsOfCall(call: ServiceCall, first: number): VariadicArguments {
  let slot = first;
  return from(call.memory, () => BigInt.asUintN(call.pointerSize * 8, call.argument(slot++)));
}

/** A `va_list`: on Windows a pointer to the next slot on every architecture. */
export function argumentsOfList({ memory }: ServiceCall, list: bigint): VariadicArguments {
  let at = list;
  return from(memory, () => {
    const value = memory.readPointer(at);
    at += BigInt(memory.pointerSize);
    return value;
  });
}
