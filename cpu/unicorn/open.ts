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

type Control = readonly [request: number, type: string, value: number];

/** What uc_open and uc_ctl are told for each kind, before the engine is used. */
const KINDS: Readonly<
  Record<
    EngineKind,
    { readonly architecture: number; readonly mode: number; readonly controls: readonly Control[] }
  >
> = {
  'x86-64': { architecture: uc.UC_ARCH_X86, mode: uc.UC_MODE_64, controls: [] },
  arm64: {
    architecture: uc.UC_ARCH_ARM64,
    mode: uc.UC_MODE_LITTLE_ENDIAN,
    controls: [
      [uc.UC_CTL_CPU_MODEL, 'int', uc.UC_CPU_ARM64_MAX],
      [uc.UC_CTL_UC_PAGE_SIZE, 'uint32_t', PAGE],
    ],
  },
};

/** An engine in virtual-TLB mode, without memory. */
export function openEngine(functions: UnicornFunctions, kind: EngineKind): HostPointer {
  if (!canReserve(CODE_BUFFER * 2)) {
    throw new CpuError('noAddressSpace', 'the host has no addresses left for the code of a processor', {
      status: 'STATUS_NO_MEMORY',
    });
  }
  const out = new BigUint64Array(new ArrayBuffer(8));
  const { architecture, mode, controls } = KINDS[kind];
  check(functions.open(architecture, mode, out), 'uc_open');
  const engine = out[0] ?? 0n;
  try {
    for (const [request, type, value] of controls) control(functions, engine, request, type, value);
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
