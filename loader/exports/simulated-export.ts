import {
  type ArgumentType,
  type ArgumentTypes,
  type CallingConvention,
  is64,
  type ServiceCall,
  type SimulatedExport,
  SLOTS_OF_64_BITS,
} from '../dispatch/index.js';
import type { ServiceResult, TypedResult } from '../threads/index.js';

export type { ArgumentType, ServiceCall, SimulatedExport, SimulatedModule } from '../dispatch/index.js';
export { readPointer, writePointer } from '../memory/index.js';
export { CONTEXT_SET, type ServiceResult } from '../threads/index.js';

// What every module of exports needs, from where it belongs.

export type Values<T extends readonly ArgumentType[]> = {
  [K in keyof T]: ArgumentTypes[T[K] & ArgumentType];
};

/** Declares a simulated export with typed arguments. Returning undefined means a function without a result. */
export function defineExport<const T extends readonly ArgumentType[]>(
  name: string,
  parameters: T,
  handler: (call: ServiceCall, ...values: Values<T>) => ServiceResult,
  convention: CallingConvention = 'stdcall',
): SimulatedExport {
  return {
    name,
    parameters,
    convention,
    serve(call) {
      const values = readArguments(argumentsOf(call, convention), parameters) as unknown as Values<T>;
      return handler(call, ...values);
    },
  };
}

const FASTCALL_REGISTERS = ['ecx', 'edx'] as const;

/** The call with its arguments where the convention has them. */
function argumentsOf(call: ServiceCall, convention: CallingConvention): ServiceCall {
  if (convention !== 'fastcall' || !call.thread.architecture.distinguishesConventions) return call;
  return {
    ...call,
    argument: (index) => {
      const register = FASTCALL_REGISTERS[index];
      return register === undefined
        ? call.argument(index - FASTCALL_REGISTERS.length)
        : call.processor.get(register);
    },
  };
}

/** Declares an export of the C runtime: the caller removes the arguments. */
export const cdecl = <const T extends readonly ArgumentType[]>(
  name: string,
  parameters: T,
  handler: (call: ServiceCall, ...values: Values<T>) => ServiceResult,
): SimulatedExport => defineExport(name, parameters, handler, 'cdecl');

/** Results that are not in the result register alone. */
export const double = (value: number): TypedResult => ({ kind: 'double', value });
export const single = (value: number): TypedResult => ({ kind: 'single', value });
/** 64 bits, also of 32-bit code. */
export const wide = (value: bigint): TypedResult => ({ kind: 'u64', value });

/** 32-bit stacks hold a 64-bit argument in two slots; ARM64 counts floating-point arguments apart. */
export function readArguments(
  call: ServiceCall,
  parameters: readonly ArgumentType[],
): (number | bigint | string)[] {
  const { pointerSize, memory } = call;
  const { countsFloatsApart } = call.thread.architecture;
  const wideSlots = SLOTS_OF_64_BITS[pointerSize];
  let slot = 0;
  let floats = 0;
  return parameters.map((type) => {
    if (type === 'f32' || type === 'f64') {
      const index = countsFloatsApart ? floats++ : slot++;
      if (type === 'f64') slot += wideSlots - 1;
      return call.floatArgument(index, type === 'f32' ? 'single' : 'double');
    }
    let raw = call.argument(slot++);
    if (is64(type) && wideSlots > 1) raw |= call.argument(slot++) << 32n;
    switch (type) {
      case 'u32':
        return Number(BigInt.asUintN(32, raw));
      case 'i32':
        return Number(BigInt.asIntN(32, raw));
      case 'cstring':
        return raw === 0n ? '' : memory.readCString(raw);
      case 'wstring':
        return raw === 0n ? '' : memory.readUtf16(raw);
      case 'ustring':
        return raw === 0n ? '' : memory.readUnicodeString(raw);
      case 'u64':
        return BigInt.asUintN(64, raw);
      case 'i64':
        return BigInt.asIntN(64, raw);
      default:
        return BigInt.asUintN(pointerSize * 8, raw);
    }
  });
}
