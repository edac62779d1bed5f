import type { ImageArchitecture } from '../mapped-file.js';
import { Struct } from '../struct.js';

/**
 * The `.hotp1` section of the first generation, Windows Server 2003 SP1 (docs/fidelity.md#server-2003; two public
 * sources agree). Every RVA in it is one of an image, none is relative to the section.
 */
export const HOTP1_SECTION = '.hotp1';
/** `HOT1` as it is read from the file. */
export const HOTP1_SIGNATURE = 0x31544f48;
export const HOTP1_VERSION = 0x00010000;
/** Least size of the section: HOTPATCH_HEADER with the widest member of its TargetModuleIdValue union. */
export const HOTP1_HEADER_SIZE = 80;
export const MODULE_ID_VALUE_SIZE = 24;

/** Are there hotpatches of that generation for an architecture? */
export const HAS_HOTP1: Readonly<Record<ImageArchitecture, boolean>> = { x64: true, x86: true, arm64: false };

/** HOTPATCH_HEADER up to its union TargetModuleIdValue, which follows at +0x38. */
export const HOTPATCH_HEADER = new Struct('HOTPATCH_HEADER', {
  signature: 'u32',
  version: 'u32',
  fixupRgnCount: 'u32',
  fixupRgnRva: 'u32',
  validationCount: 'u32',
  validationArrayRva: 'u32',
  hookCount: 'u32',
  hookArrayRva: 'u32',
  origHotpBaseAddress: 'u64',
  origTargetBaseAddress: 'u64',
  targetNameRva: 'u32',
  moduleIdMethod: 'u32',
} as const);

export const HOTPATCH_HOOK = new Struct('HOTPATCH_HOOK', {
  hookType: 'u16',
  hookOptions: 'u16',
  hookRva: 'u32',
  hotpRva: 'u32',
  validationRva: 'u32',
} as const);

export const HOTPATCH_VALIDATION = new Struct('HOTPATCH_VALIDATION', {
  sourceRva: 'u32',
  targetRva: 'u32',
  byteCount: 'u16',
  optionFlags: 'u16',
} as const);

/** What ties a hotpatch to its target: the values of ModuleIdMethod. */
export const MODULE_ID_METHOD = {
  None: 0,
  PeHeaderHash1: 1,
  PeHeaderHash2: 2,
  PeChecksum: 3,
  PeDebugSignature: 16,
} as const;
/** Name of a value of {@link MODULE_ID_METHOD}. */
export type ModuleIdMethod = keyof typeof MODULE_ID_METHOD;

/** Values of HookType: what a hook changes. */
export const HOOK_TYPE = {
  None: 0,
  VA32: 1,
  X86_JMP: 2,
  PCREL32: 3,
  X86_JMP2B: 4,
  VA64: 16,
  IA64_BRL: 32,
  IA64_BR: 33,
  AMD64_IND: 48,
  AMD64_CNT: 49,
} as const;
/** Name of a value of {@link HOOK_TYPE}. */
export type HookType = keyof typeof HOOK_TYPE;

/** Bits of HookOptions. */
export const HOOK_OPTION = {
  /** Bytes that the hook covers, when that is more than its instruction has; the rest is filled with CC. */
  SIZE: 0x001f,
  /** Hotpatch and target must lie within 2 GB of each other. */
  WITHIN_2GB: 0x8000,
} as const;

/** OptionFlags of a validation that belongs to one hook and is left out of the pass over all of them. */
export const VALIDATION_HOOK_ONLY = 1;

/** Types of fixups: how one changes the hotpatch image. */
export const FIXUP_TYPE = { None: 0, VA32: 1, PC32: 2, VA64: 3, PC64: 4 } as const;
/** Name of a value of {@link FIXUP_TYPE}. */
export type FixupType = keyof typeof FIXUP_TYPE;
/** Bytes that a fixup changes. */
export const FIXUP_SIZE: Readonly<Record<FixupType, number>> = {
  None: 0,
  VA32: 4,
  PC32: 4,
  VA64: 8,
  PC64: 8,
};

/** A place of the hotpatch image that depends on where it or its target lies. */
export interface Hotp1Fixup {
  /** RVA in the hotpatch image. */
  readonly rva: number;
  /** Value of FIXUP_TYPE, whether it is known or not. */
  readonly type: number;
}

/** Bytes of the target that must be as expected. */
export interface Hotp1Validation {
  /** RVA in the hotpatch image of the bytes that are expected. */
  readonly sourceRva: number;
  /** RVA in the target of the bytes that they are compared with. */
  readonly targetRva: number;
  /** How many bytes are compared. */
  readonly byteCount: number;
  /** Bits, such as {@link VALIDATION_HOOK_ONLY}. */
  readonly optionFlags: number;
}

/** A change of the target. */
export interface Hotp1Hook {
  /** Value of HOOK_TYPE, whether it is known or not. */
  readonly type: number;
  /** Bits of {@link HOOK_OPTION}. */
  readonly options: number;
  /** RVA in the target: where bytes are changed. */
  readonly hookRva: number;
  /** RVA in the hotpatch image of the routine; of X86_JMP2B the low byte is the displacement. */
  readonly hotpRva: number;
  /** RVA of the hook's own validation in the hotpatch image; 0: none. */
  readonly validationRva: number;
}

/** What a `.hotp1` section says. */
export interface Hotp1 {
  /** RVA of the section, where its header is. */
  readonly rva: number;
  /** Of the format. */
  readonly version: number;
  /** Fixup regions as they are in the file: one 4 KB page each. */
  readonly fixupRegions: readonly { readonly rva: number; readonly fixups: readonly Hotp1Fixup[] }[];
  /** What the target must have. */
  readonly validations: readonly Hotp1Validation[];
  /** RVA of the array of validations. */
  readonly validationArrayRva: number;
  /** What is changed in the target. */
  readonly hooks: readonly Hotp1Hook[];
  /** Base address of the hotpatch image that its fixups were made for. */
  readonly origHotpBaseAddress: bigint;
  /** Base address of the target that the fixups were made for. */
  readonly origTargetBaseAddress: bigint;
  /** File name of the target. */
  readonly targetName: string;
  /** Value of MODULE_ID_METHOD, whether it is known or not. */
  readonly moduleIdMethod: number;
  /** The union TargetModuleIdValue: 24 bytes. */
  readonly moduleIdValue: Uint8Array;
}

/** Name of a hook's type; undefined for values that are not known. */
export function hookTypeName(type: number): HookType | undefined {
  return HOOK_NAMES.get(type);
}

/** Name of a fixup's type; undefined for values that are not known. */
export function fixupTypeName(type: number): FixupType | undefined {
  return FIXUP_NAMES.get(type);
}

export function moduleIdMethodName(method: number): ModuleIdMethod | undefined {
  return METHOD_NAMES.get(method);
}

const inverse = <K extends string>(table: Readonly<Record<K, number>>): ReadonlyMap<number, K> =>
  new Map(Object.entries(table).map(([name, value]) => [value as number, name as K]));
const HOOK_NAMES = inverse(HOOK_TYPE);
const FIXUP_NAMES = inverse(FIXUP_TYPE);
const METHOD_NAMES = inverse(MODULE_ID_METHOD);

/** Size of each hook's instruction or pointer; undefined for the types that nothing implements here. */
const HOOK_SIZE: Readonly<Partial<Record<HookType, number>>> = {
  VA32: 4,
  X86_JMP: 5,
  X86_JMP2B: 2,
  VA64: 8,
  AMD64_IND: 6,
  AMD64_CNT: 8,
};

/** Bytes of the target that a hook covers: at least its instruction, at most 31. */
export function hookSize({ type, options }: Pick<Hotp1Hook, 'type' | 'options'>): number | undefined {
  const name = hookTypeName(type);
  const least = name === undefined ? undefined : HOOK_SIZE[name];
  if (least === undefined) return undefined;
  return isJump(type) ? Math.max(least, options & HOOK_OPTION.SIZE) : least;
}

/** Is it one of the hooks whose bytes are an instruction, so that its size may be stretched? */
export function isJump(type: number): boolean {
  return type === HOOK_TYPE.X86_JMP || type === HOOK_TYPE.X86_JMP2B || type === HOOK_TYPE.AMD64_IND;
}

/** Where the short jump of an X86_JMP2B hook leads: an RVA of the target. */
export function shortJumpTarget({ hookRva, hotpRva }: Pick<Hotp1Hook, 'hookRva' | 'hotpRva'>): number {
  const INSTRUCTION = 2;
  return hookRva + INSTRUCTION + (((hotpRva & 0xff) << 24) >> 24);
}
