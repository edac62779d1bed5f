/**
 * Virtual processors: machine code of x64, ARM64 and x86 on Unicorn, with page tables, faults and snapshots of our own.
 *
 * What is worth knowing before use:
 * - Every stop is a value, `Exit`. After a fault, exception, system or service call the caller changes what it likes and
 *   calls `run` again; the instruction restarts, or goes on behind a trap.
 * - Demand-zero and copy-on-write are done by the machine without an exit; guard pages fault until `protect` is called.
 * - `PageTable.commit` reserves what is free. Committing what is committed is an error.
 * - The kernel never executes user pages (SMEP), also not on a fault-free path: set `processor.ring` to 3 for user code.
 * - An x86 machine runs 32-bit code in compatibility mode, as WOW64. `processor.setMode(3, 32)` does the same in an x64
 *   machine, where the x86 architecture's `prepareCall` and `returnFromCall` then apply.
 * - Observers look on: whatever would change the machine throws `processorRunning` while a processor runs.
 * - What `PhysicalMemory.bytes` and `peek` give is memory itself: write to `bytes` before the next run, keep neither.
 */
import './dispose-symbol.js';

export { type Accessor, forbidden } from './access-check.js';
export { AddressSpace, type ModelAccess } from './address-space.js';
export type {
  Architecture,
  ArchitectureBase,
  ArchitectureName,
  Call,
  CallArgument,
  Ring,
} from './architecture/architecture.js';
export { argumentBits } from './architecture/architecture.js';
export { architectureNamed } from './architecture/index.js';
export { AssemblerError } from './assembler/error.js';
export {
  type AssembledStatement,
  type AssembleOptions,
  type Assembly,
  assemble,
  assembleListing,
} from './assembler.js';
export { type MachineClock, setTime } from './clock.js';
export { type Counting, defaultCounting } from './counting.js';
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
export { type MemoryUse, partsOfRegister, type RegisterUse } from './instruction/register-use.js';
export { registerUse } from './instruction/registers.js';
export {
  type DecodedInstruction,
  type InstructionFacts,
  type InstructionFlow,
  instructionFacts,
  instructionLength,
  instructionsOf,
  type PcRelativeOperand,
  retarget,
} from './instruction.js';
export type {
  FetchOutcome,
  FetchState,
  FetchUnit,
  InstructionFetch,
  InstructionFetchMode,
} from './instruction-fetch.js';
export { type CodeWrite, type CodeWriter, Machine, type MachineOptions } from './machine.js';
export { NumberAccess } from './number-access.js';
export type { MemoryAccess, Observation } from './observers.js';
export {
  type CommitOptions,
  type PageEntry,
  type PageInfo,
  PageTable,
  type PageTableContents,
  type PageTableRange,
} from './page-table.js';
export { type AllocatorState, PhysicalMemory, type SecondLevel } from './physical-memory.js';
export { Processor } from './processor.js';
export { ProcessorContext } from './processor-context.js';
export { isExecutable, PAGE_SIZE, type PageProtection, type Permissions } from './protection.js';
export { type Code, type ExecutedBlocks, InstructionRecorder, InstructionTrace } from './recorder.js';
export type { CpuRule } from './rules.js';
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
export type { StatePart } from './state-part.js';
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
  unicornCacheFolder,
  unicornFileName,
} from './unicorn/find.js';
export { type LastWords, lastWords } from './unicorn/last-words.js';
export { isGuarded } from './unicorn/library.js';
