import { CpuError } from '../error.js';
import * as uc from './constants.js';
import { canReserve } from './host-code.js';
import { check, type HostPointer, type UnicornFunctions } from './library.js';
import { CODE_BUFFER } from './placement.js';

/** The instruction set an engine is opened for. 32-bit x86 code runs in an `x86-64` engine. */
export type EngineKind = 'x86-64' | 'arm64';

export const PAGE = 4096;

export function control(
  functions: UnicornFunctions,
  engine: HostPointer,
  request: number,
  ...typedValues: (string | number | bigint)[]
): void {
  check(functions.control(engine, request, ...typedValues), `uc_ctl ${request & 0xff}`);
}

/** An engine in virtual-TLB mode, without memory. */
export function openEngine(functions: UnicornFunctions, kind: EngineKind): HostPointer {
  if (!canReserve(CODE_BUFFER * 2)) {
    throw new CpuError('noAddressSpace', 'the host has no addresses left for the code of a processor', {
      status: 'STATUS_NO_MEMORY',
    });
  }
  const out = new BigUint64Array(new ArrayBuffer(8));
  const [architecture, mode] =
    kind === 'arm64' ? [uc.UC_ARCH_ARM64, uc.UC_MODE_LITTLE_ENDIAN] : [uc.UC_ARCH_X86, uc.UC_MODE_64];
  check(functions.open(architecture, mode, out), 'uc_open');
  const engine = out[0] ?? 0n;
  try {
    if (kind === 'arm64') {
      control(functions, engine, uc.UC_CTL_CPU_MODEL, 'int', uc.UC_CPU_ARM64_MAX);
      control(functions, engine, uc.UC_CTL_UC_PAGE_SIZE, 'uint32_t', PAGE);
    }
    control(functions, engine, uc.UC_CTL_TCG_BUFFER_SIZE, 'uint32_t', CODE_BUFFER);
    control(functions, engine, uc.UC_CTL_TLB_TYPE, 'int', uc.UC_TLB_VIRTUAL);
    // With an empty list of exits the `until` of uc_emu_start means nothing, so that no address is special.
    control(functions, engine, uc.UC_CTL_UC_USE_EXITS, 'int', 1);
    return engine;
  } catch (error) {
    functions.close(engine);
    throw error;
  }
}

/** `physical` in bytes. `memory` must stay where it is as long as the engine is open. */
export function mapMemory(
  functions: UnicornFunctions,
  engine: HostPointer,
  physical: number,
  memory: Uint8Array,
): void {
  const size = memory.byteLength;
  check(
    functions.mapMemory(engine, BigInt(physical), size, uc.UC_PROT_ALL, memory),
    `uc_mem_map_ptr of ${size} bytes`,
  );
}

/** What {@link mapMemory} did. */
export function unmapMemory(
  functions: UnicornFunctions,
  engine: HostPointer,
  physical: number,
  size: number,
): void {
  check(functions.unmapMemory(engine, BigInt(physical), size), `uc_mem_unmap of ${size} bytes`);
}
