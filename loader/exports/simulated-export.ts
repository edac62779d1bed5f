import type {
  ArgumentType,
  ArgumentTypes,
  CallingConvention,
  ServiceCall,
  SimulatedExport,
} from '../dispatch/index.js';
import type { ServiceResult } from '../threads/index.js';

export type { ArgumentType, ServiceCall, SimulatedExport, SimulatedModule } from '../dispatch/index.js';
export { readPointer, writePointer } from '../memory/index.js';
export { CONTEXT_SET, type ServiceResult } from '../threads/index.js';

// What every module of exports needs, from where it belongs.

type Values<T extends readonly ArgumentType[]> = { [K in keyof T]: ArgumentTypes[T[K] & ArgumentType] };

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
  if (convention !== 'fastcall' || call.pointerSize === 8) return call;
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

/** 32-bit stacks hold a 64-bit argument in two slots. */
export function readArguments(
  call: ServiceCall,
  parameters: readonly ArgumentType[],
): (number | bigint | string)[] {
  const { pointerSize } = call;
  let slot = 0;
  return parameters.map((type) => {
    let raw = call.argument(slot++);
    if (type === 'u64' && pointerSize === 4) raw |= call.argument(slot++) << 32n;
    switch (type) {
      case 'u32':
        return Number(BigInt.asUintN(32, raw));
      case 'i32':
        return Number(BigInt.asIntN(32, raw));
      case 'cstring':
        return raw === 0n ? '' : call.memory.readCString(raw);
      case 'wstring':
        return raw === 0n ? '' : call.memory.readUtf16(raw);
      case 'ustring':
        return raw === 0n ? '' : call.memory.readUnicodeString(raw);
      case 'u64':
        return BigInt.asUintN(64, raw);
      default:
        return BigInt.asUintN(pointerSize * 8, raw);
    }
  });
}
