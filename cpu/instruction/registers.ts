import type { ArchitectureName } from '../architecture/architecture.js';
import type { RegisterUse } from './register-use.js';
import { registersArm64 } from './registers-arm64.js';
import { registersX86 } from './registers-x86.js';

/** What the instruction that `bytes` begins with reads and writes. System registers and flags are left out. */
export function registerUse(architecture: ArchitectureName, bytes: Uint8Array, at: bigint): RegisterUse {
  return READERS[architecture](bytes, at);
}

const READERS: Readonly<Record<ArchitectureName, (bytes: Uint8Array, at: bigint) => RegisterUse>> = {
  x64: (bytes, at) => registersX86(64, bytes, at),
  x86: (bytes, at) => registersX86(32, bytes, at),
  arm64: registersArm64,
};
