import type { AddressSpace } from '../../cpu/index.js';

/** SystemHotpatchInformation of SYSTEM_INFORMATION_CLASS (docs/fidelity.md#server-2003). */
export const SYSTEM_HOTPATCH_INFORMATION = 0x45;

/** Flags of SYSTEM_HOTPATCH_CODE_INFORMATION (docs/fidelity.md#server-2003). */
export const FLG_HOTPATCH = {
  KERNEL: 0x8000_0000,
  RELOAD_NTDLL: 0x4000_0000,
  NAME_INFO: 0x2000_0000,
  RENAME_INFO: 0x1000_0000,
  MAP_ATOMIC_SWAP: 0x0800_0000,
  WOW64: 0x0400_0000,
  INJECT_THREAD: 0x0100_0000,
  VERIFICATION_ERROR: 0x0080_0000,
  ACTIVE: 0x0000_0001,
} as const;

export const ALL_FLAGS = Object.values(FLG_HOTPATCH).reduce((all, flag) => (all | flag) >>> 0, 0);

/**
 * Offsets in SYSTEM_HOTPATCH_CODE_INFORMATION. The 64-bit layout is public; a 32-bit caller's differs where handles are
 * (its own size, modelled). Names are UTF-16, offsets count from the start of the structure, lengths are bytes (modelled).
 */
const UNION = 8;
const NAMES = {
  name: UNION,
  targetName: UNION + 4,
  coldpatchImagePath: UNION + 8,
} as const;
const PATCHING_FINISHED = 0x14;
const DESCRIPTORS = 0x10;

/** HOTPATCH_HOOK_DESCRIPTOR, 0x28 bytes, the same for both widths. */
const DESCRIPTOR = {
  size: 0x28,
  targetAddress: 0x00,
  mappedAddress: 0x08,
  codeOffset: 0x10,
  codeSize: 0x14,
  origCodeOffset: 0x18,
  validationOffset: 0x1c,
  validationSize: 0x20,
} as const;

/** The structure's fixed size: 0x38 for 64-bit callers, whichever member of the union is meant. */
export const CODE_INFORMATION_SIZE = { 8: 0x38, 4: 0x38 } as const;

const TARGET_PROCESS = { 8: 0x18, 4: 0x14 } as const;

/** A place whose bytes shall be swapped. */
export interface HookDescriptor {
  readonly targetAddress: bigint;
  /** What stands there while the hotpatch is in force. */
  readonly code: Uint8Array;
  /** What stands there while it is not. */
  readonly origCode: Uint8Array;
  /** What must stand there now. */
  readonly validation: Uint8Array;
}

export type NameField = keyof typeof NAMES;

/** What a buffer with names says. */
export type NameInformation = Readonly<Partial<Record<NameField, string>>>;

/** A SYSTEM_HOTPATCH_CODE_INFORMATION in the memory of whoever made the call. */
export class CodeInformation {
  constructor(
    private readonly space: AddressSpace,
    readonly address: bigint,
    readonly length: number,
    readonly pointerSize: 4 | 8,
  ) {}

  get flags(): number {
    return this.#u32(0);
  }

  set flags(value: number) {
    this.space.writeU32(this.address, value >>> 0);
  }

  get infoSize(): number {
    return this.#u32(4);
  }

  /** Does it hold every member of the union? A CodeInfo alone may end before the others' last ones (modelled). */
  get isWhole(): boolean {
    return Math.min(this.infoSize, this.length) >= CODE_INFORMATION_SIZE[this.pointerSize];
  }

  get descriptorsCount(): number {
    return this.#u32(UNION);
  }

  /** The descriptors with what their offsets lead to; undefined when one leads out of the buffer. */
  descriptors(): HookDescriptor[] | undefined {
    const count = this.descriptorsCount;
    if (DESCRIPTORS + count * DESCRIPTOR.size > this.infoSize) return undefined;
    const found: HookDescriptor[] = [];
    for (let index = 0; index < count; index++) {
      const at = DESCRIPTORS + index * DESCRIPTOR.size;
      const codeSize = this.#u32(at + DESCRIPTOR.codeSize);
      const code = this.#bytes(this.#u32(at + DESCRIPTOR.codeOffset), codeSize);
      const origCode = this.#bytes(this.#u32(at + DESCRIPTOR.origCodeOffset), codeSize);
      const validation = this.#bytes(
        this.#u32(at + DESCRIPTOR.validationOffset),
        this.#u32(at + DESCRIPTOR.validationSize),
      );
      if (code === undefined || origCode === undefined || validation === undefined) return undefined;
      const targetAddress = this.space.readU64(this.address + BigInt(at + DESCRIPTOR.targetAddress));
      found.push({ targetAddress, code, origCode, validation });
    }
    return found;
  }

  /** A name of KernelInfo, UserModeInfo or InjectionInfo; undefined when it leads out of the buffer. */
  name(field: NameField): string | undefined {
    const offset = this.space.readU16(this.address + BigInt(NAMES[field]));
    const length = this.space.readU16(this.address + BigInt(NAMES[field] + 2));
    const bytes = this.#bytes(offset, length);
    return bytes === undefined ? undefined : Buffer.from(bytes).toString('utf16le');
  }

  /** LdrHotPatchRoutine has done its work. */
  finish(): void {
    this.space.writeU8(this.address + BigInt(PATCHING_FINISHED), 1);
  }

  get patchingFinished(): boolean {
    return this.space.readU8(this.address + BigInt(PATCHING_FINISHED)) !== 0;
  }

  /** TargetProcess of InjectionInfo. */
  get targetProcess(): bigint {
    return this.#handle(TARGET_PROCESS[this.pointerSize]);
  }

  /** Handles of AtomicSwap and RenameInfo: ParentDirectory, ObjectHandle1, ObjectHandle2. */
  handle(index: 0 | 1 | 2): bigint {
    return this.#handle(UNION + index * this.pointerSize);
  }

  #handle(offset: number): bigint {
    const at = this.address + BigInt(offset);
    return this.pointerSize === 8 ? this.space.readU64(at) : BigInt(this.space.readU32(at));
  }

  #u32(offset: number): number {
    return this.space.readU32(this.address + BigInt(offset));
  }

  #bytes(offset: number, length: number): Uint8Array | undefined {
    if (offset + length > Math.min(this.infoSize, this.length)) return undefined;
    return Uint8Array.from(this.space.read(this.address + BigInt(offset), length));
  }
}

/** CodeInfo: descriptors, then the bytes that they lead to. */
export function encodeCodeInfo(flags: number, descriptors: readonly HookDescriptor[]): Uint8Array {
  const parts = descriptors.flatMap(({ code, origCode, validation }) => [code, origCode, validation]);
  const start = Math.max(CODE_INFORMATION_SIZE[8], DESCRIPTORS + DESCRIPTOR.size * descriptors.length);
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.length, start));
  const view = header(bytes, flags);
  view.setUint32(UNION, descriptors.length, true);
  let to = start;
  const place = (part: Uint8Array): number => {
    bytes.set(part, to);
    to += part.length;
    return to - part.length;
  };
  for (const [index, { targetAddress, code, origCode, validation }] of descriptors.entries()) {
    const at = DESCRIPTORS + DESCRIPTOR.size * index;
    view.setBigUint64(at + DESCRIPTOR.targetAddress, targetAddress, true);
    view.setUint32(at + DESCRIPTOR.codeOffset, place(code), true);
    view.setUint32(at + DESCRIPTOR.codeSize, code.length, true);
    view.setUint32(at + DESCRIPTOR.origCodeOffset, place(origCode), true);
    view.setUint32(at + DESCRIPTOR.validationOffset, place(validation), true);
    view.setUint32(at + DESCRIPTOR.validationSize, validation.length, true);
  }
  return bytes;
}

/** KernelInfo (the name alone), UserModeInfo, InjectionInfo (with a process): all of them are names behind the union. */
export function encodeNames(
  flags: number,
  names: NameInformation,
  { targetProcess, pointerSize = 8 }: { readonly targetProcess?: bigint; readonly pointerSize?: 4 | 8 } = {},
): Uint8Array {
  const texts = Object.entries(names).map(
    ([field, text]) => [field as NameField, Buffer.from(text, 'utf16le')] as const,
  );
  const size: number = CODE_INFORMATION_SIZE[pointerSize];
  const bytes = new Uint8Array(texts.reduce((sum, [, text]) => sum + text.length, size));
  const view = header(bytes, flags);
  let to: number = size;
  for (const [field, text] of texts) {
    view.setUint16(NAMES[field], to, true);
    view.setUint16(NAMES[field] + 2, text.length, true);
    bytes.set(text, to);
    to += text.length;
  }
  if (targetProcess !== undefined) setHandle(view, TARGET_PROCESS[pointerSize], targetProcess, pointerSize);
  return bytes;
}

/** AtomicSwap { ParentDirectory, ObjectHandle1, ObjectHandle2 }. The layout of RenameInfo is not public: the same is used. */
export function encodeHandles(
  flags: number,
  handles: readonly bigint[],
  { pointerSize = 8 }: { readonly pointerSize?: 4 | 8 } = {},
): Uint8Array {
  const bytes = new Uint8Array(CODE_INFORMATION_SIZE[pointerSize]);
  const view = header(bytes, flags);
  for (const [index, handle] of handles.entries())
    setHandle(view, UNION + index * pointerSize, handle, pointerSize);
  return bytes;
}

function header(bytes: Uint8Array, flags: number): DataView {
  const view = new DataView(bytes.buffer);
  view.setUint32(0, flags >>> 0, true);
  view.setUint32(4, bytes.length, true);
  return view;
}

function setHandle(view: DataView, offset: number, value: bigint, pointerSize: 4 | 8): void {
  if (pointerSize === 8) view.setBigUint64(offset, value, true);
  else view.setUint32(offset, Number(value), true);
}
