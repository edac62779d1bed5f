import {
  UC_ERR_EXCEPTION,
  UC_ERR_INSN_INVALID,
  UC_ERR_OK,
  UC_HOOK_BLOCK,
  UC_HOOK_CODE,
  UC_HOOK_MEM_READ,
  UC_HOOK_MEM_WRITE,
  UC_MEM_FETCH,
  UC_MEM_READ,
  UC_MEM_WRITE,
  UC_X86_INS_SYSENTER,
  unicornErrorName,
} from './constants.js';

/** Kinds of hooks for {@link Engine.addHook}. */
export const HOOK = {
  instruction: UC_HOOK_CODE,
  block: UC_HOOK_BLOCK,
  memoryRead: UC_HOOK_MEM_READ,
  memoryWrite: UC_HOOK_MEM_WRITE,
} as const;

/** Kinds of accesses that an engine asks a translation for. */
export const ACCESS = { execute: UC_MEM_FETCH, read: UC_MEM_READ, write: UC_MEM_WRITE } as const;

export function accessOf(kind: number): keyof typeof ACCESS {
  if (kind === ACCESS.execute) return 'execute';
  return kind === ACCESS.write ? 'write' : 'read';
}

/** How a stay in an engine ended, as {@link Engine.run} returns it. Anything else is a failure of the engine. */
export const ENDED = {
  done: UC_ERR_OK,
  /** The translation of a page was refused. */
  refused: UC_ERR_EXCEPTION,
  invalidInstruction: UC_ERR_INSN_INVALID,
} as const;

/** Name of any other end. */
export const engineErrorName = unicornErrorName;

/** A system call was made by `sysenter`, not by `syscall`. */
export const isSysenter = (instruction: number): boolean => instruction === UC_X86_INS_SYSENTER;
