export type { ArchitectureName } from './architecture/architecture.js';
export {
  type DisassembledInstruction,
  type DisassembleOptions,
  type Disassembler,
  disassemble,
  formatAddress,
  loadDisassembler,
} from './disassembler.js';
export {
  ARM64_BREAKPOINT_IMMEDIATE,
  type Arm64Branch,
  type Arm64Encoder,
  type Arm64Register,
  arm64Encoder,
} from './encode/arm64.js';
export { type X86Branch, type X86Encoder, x64Encoder, x86Encoder } from './encode/x86.js';
export { CpuError, type CpuErrorDetails, type StatusName } from './error.js';
export {
  findUnicorn,
  howToGetUnicorn,
  OLDEST_UNICORN,
  packageRoot,
  type RefusedUnicorn,
  requireUnicorn,
  searchUnicorn,
  type UnicornLibrary,
  UnicornMissing,
  type UnicornOrigin,
  type UnicornSearch,
  type UnicornSearchOptions,
  unicornFileName,
} from './unicorn/find.js';
