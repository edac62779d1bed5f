export { AddressSpace } from './address-space.js';
export type {
  Architecture,
  ArchitectureName,
  Call,
  CallArgument,
  Ring,
} from './architecture/architecture.js';
export { architectureNamed } from './architecture/index.js';
export { AssemblerError } from './assembler/error.js';
export {
  type AssembledStatement,
  type AssembleOptions,
  type Assembly,
  assemble,
  assembleListing,
} from './assembler.js';
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
export type { ExceptionName, Exit, ExitReason, Fault, FaultAccess, FaultCause } from './exit.js';
export {
  type InstructionFacts,
  type InstructionFlow,
  instructionFacts,
  instructionLength,
  type PcRelativeOperand,
  retarget,
} from './instruction.js';
export type { InstructionFetchMode } from './instruction-fetch.js';
export { type CodeWrite, type CodeWriter, Machine, type MachineOptions } from './machine.js';
export type { MemoryAccess, Observation } from './observers.js';
export {
  type CommitOptions,
  type PageEntry,
  type PageInfo,
  PageTable,
  type PageTableRange,
} from './page-table.js';
export { PhysicalMemory, type SecondLevel } from './physical-memory.js';
export { Processor } from './processor.js';
export { ProcessorContext } from './processor-context.js';
export { isExecutable, PAGE_SIZE, type PageProtection } from './protection.js';
export { InstructionRecorder, InstructionTrace } from './recorder.js';
export type { RunOptions } from './runner.js';
export {
  type AfterExit,
  randomNumbers,
  runSchedule,
  type ScheduleOutcome,
  type Slice,
  type TimeSliceOptions,
  timeSlices,
} from './schedule.js';
export { equalSnapshots, hashSnapshot, type MachineSnapshot } from './snapshot.js';
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
