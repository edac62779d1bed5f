import { POINTER_SIZE } from '../architecture.js';
import { listFunctions } from '../check/functions.js';
import { PADDING_NEEDED } from '../entry.js';
import type { PeImage } from '../image.js';
import type { ImageArchitecture } from '../mapped-file.js';
import { type EntryRedirection, recogniseEntry } from '../recognise.js';
import { isExecutable } from '../sections.js';
import { symbolsFromExports } from '../symbols/export-symbols.js';
import type { SymbolTable } from '../symbols/symbol-table.js';
import { imageFromMemory } from './from-memory.js';
import { type HookShape, hookShape } from './hook-shapes.js';
import { isHookOf, isHotp1 } from './hotp1-hooks.js';
import { importHooks } from './import-hooks.js';
import { baseName, type DumpModule, type MemoryDump } from './memory.js';

/**
 * What stands at an entry. `hotpatch`: the system's own redirection, into a hotpatch image of this module (or out of one
 * into its base). `unverified`: it looks like one, but leads elsewhere. `hook`: something else has redirected it.
 * `reverted`: the jump of a hotpatch that was taken back is left in the padding. `import`: a slot of the import address
 * table that leads out of the module that it imports from.
 */
export type ScanVerdict = 'hotpatch' | 'unverified' | 'hook' | 'reverted' | 'import';

/** One entry that is not as it was loaded. */
export interface ScanFinding {
  /** What has been done to it. */
  readonly verdict: ScanVerdict;
  /** Of the entry, in its module. */
  readonly rva: number;
  /** Of the entry. */
  readonly address: bigint;
  /** The function, or the import. */
  readonly name: string;
  /** How it is redirected: `slot` (HPAT), `retpoline`, `pointers`, or the shape of the hook. */
  readonly shape: string;
  /** Address of its code slot of the HPAT. */
  readonly codeSlot?: bigint;
  /** Address of its data slot of the HPAT, or of the pointer that is jumped through. */
  readonly dataSlot?: bigint;
  /** Where it leads to in the end. */
  readonly target?: bigint;
  /** `demo_hp.dll!dispatch`; the address where no module is. */
  readonly into?: string;
}

/** What was found in one module. */
export interface ScannedModule {
  /** The module. */
  readonly module: DumpModule;
  /** What `OriginalCheckSum` and so on of its hotpatch table say it is a patch of. */
  readonly patches?: readonly { readonly originalCheckSum: number; readonly originalTimeDateStamp: number }[];
  /** By address. */
  readonly findings: readonly ScanFinding[];
  /** Entries that were looked at. */
  readonly entries: number;
  /** Why it could not be looked at. */
  readonly problem?: string;
}

/** What a scan may know beforehand. */
export interface ScanOptions {
  /** Symbols of a module; without them its exports and function table say where functions begin. */
  readonly symbols?: (module: DumpModule) => SymbolTable | undefined;
}

interface Known {
  readonly module: DumpModule;
  readonly image: PeImage | undefined;
  readonly problem?: string;
}

/** The reserve behind an image that a slot may lie in: HotPatchTableSize is at most 0x10000000. */
const LARGEST_RESERVE = 0x2000_0000n;
const SLOT_DISTANCE = 0x1000n;
const PADDING = { E9: 5n, FF25: 6n } as const;

/** Looks at every function of every module of a dump; says which are hotpatched, and which something else has redirected. */
export function scanMemory(dump: MemoryDump, options: ScanOptions = {}): ScannedModule[] {
  const known = dump.modules.map((module): Known => {
    try {
      return { module, image: imageFromMemory(dump, module) };
    } catch (error) {
      return { module, image: undefined, problem: error instanceof Error ? error.message : String(error) };
    }
  });
  return known.map((one) => new ModuleScan(dump, known, one).scan(options.symbols?.(one.module)));
}

const spanOf = ({ base, size }: DumpModule) => ({
  start: base,
  end: base + BigInt(Math.ceil(size / 0x1000) * 0x1000),
});

class ModuleScan {
  readonly #read = (address: bigint, length: number) => this.dump.read(address, length);

  constructor(
    private readonly dump: MemoryDump,
    private readonly known: readonly Known[],
    private readonly own: Known,
  ) {}

  scan(symbols: SymbolTable | undefined): ScannedModule {
    const { module, image, problem } = this.own;
    if (image === undefined) return { module, findings: [], entries: 0, problem: problem ?? 'no headers' };
    try {
      return this.#scan(image, symbols);
    } catch (error) {
      return {
        module,
        findings: [],
        entries: 0,
        problem: error instanceof Error ? error.message : String(error),
      };
    }
  }

  #scan(image: PeImage, given: SymbolTable | undefined): ScannedModule {
    const { module } = this.own;
    const table = given ?? symbolsFromExports(image);
    const names = new Map(
      listFunctions(image, { table, origin: { kind: given === undefined ? 'exports' : 'map' } }).map(
        ({ rva, name }) => [rva, name],
      ),
    );
    const found = new Map<number, ScanFinding>();
    const name = (rva: number) => names.get(rva) ?? `sub_${rva.toString(16)}`;
    for (const rva of names.keys()) {
      const finding = this.#entry(image, rva, name(rva));
      if (finding !== undefined) found.set(rva, finding);
    }
    for (const rva of this.#trampolines(image)) {
      if (found.has(rva)) continue;
      const finding = this.#entry(image, rva, name(rva));
      if (finding !== undefined && finding.verdict !== 'reverted') found.set(rva, finding);
    }
    const modules = this.known.flatMap(({ module: other, image: theirs }) =>
      theirs === undefined ? [] : [{ module: other, image: theirs }],
    );
    for (const { rva, name: imported, target } of importHooks(module, image, modules))
      found.set(rva, {
        ...this.#place(rva, imported),
        verdict: 'import',
        shape: 'import address table',
        target,
        into: this.#into(target),
      });
    const bases = patchedBases(image);
    return {
      module,
      ...(bases.length === 0 ? {} : { patches: bases }),
      findings: [...found.values()].sort((a, b) => a.rva - b.rva),
      entries: names.size,
    };
  }

  #place(rva: number, name: string) {
    return { rva, address: this.own.module.base + BigInt(rva), name };
  }

  #entry(image: PeImage, rva: number, name: string): ScanFinding | undefined {
    const { architecture } = image;
    const place = this.#place(rva, name);
    const redirection = recogniseEntry(architecture, this.#read, place.address);
    if (redirection.kind === 'hotpatch') return this.#hotpatch(place, 'slot', redirection);
    const other = usesPadding(architecture) ? this.#otherForm(place) : undefined;
    if (other !== undefined) return other;
    const hook = this.#hook(image, place, redirection);
    if (hook !== undefined) return hook;
    const left = usesPadding(architecture) ? this.#leftJump(architecture, place.address) : undefined;
    return left === undefined ? undefined : { ...place, verdict: 'reverted', shape: 'slot', ...left };
  }

  #hotpatch(
    place: { rva: number; address: bigint; name: string },
    shape: string,
    { codeSlot, dataSlot }: { readonly codeSlot?: bigint; readonly dataSlot: bigint },
  ): ScanFinding {
    const target = this.#pointer(dataSlot);
    const verdict = target === undefined || this.#isPatch(target) ? 'hotpatch' : 'unverified';
    return {
      ...place,
      verdict,
      shape,
      ...(codeSlot === undefined ? {} : { codeSlot }),
      dataSlot,
      ...(target === undefined ? {} : { target, into: this.#into(target) }),
    };
  }

  /**
   * Trampolines that Microsoft's recogniser does not know: with retpoline the code slot is a call, and the earlier
   * generation jumps from six bytes of padding through a pointer. Both are told by where their pointer leads.
   */
  #otherForm(place: { rva: number; address: bigint; name: string }): ScanFinding | undefined {
    const { address } = place;
    const first = this.#read(address, 2);
    if (first[0] !== 0xeb) return undefined;
    const back = 0xfe - (first[1] ?? 0);
    const padding = this.#read(address - BigInt(back), 6);
    const view = new DataView(padding.buffer, padding.byteOffset, padding.length);
    if (padding.length < 6) return undefined;
    if (BigInt(back) === PADDING.E9 && padding[0] === 0xe9) {
      const codeSlot = address + BigInt(view.getInt32(1, true));
      const [call] = this.#read(codeSlot, 1);
      if (call !== 0xe8 || !this.#isBehind(codeSlot)) return undefined;
      const dataSlot = codeSlot + SLOT_DISTANCE;
      const target = this.#pointer(dataSlot);
      if (target === undefined || !this.#isPatch(target)) return undefined;
      return this.#hotpatch(place, 'retpoline', { codeSlot, dataSlot });
    }
    if (BigInt(back) !== PADDING.FF25 || view.getUint16(0, true) !== 0x25ff) return undefined;
    const dataSlot = address + BigInt(view.getInt32(2, true));
    return this.#isBehind(dataSlot) ? this.#hotpatch(place, 'pointers', { dataSlot }) : undefined;
  }

  /** Is it a hook, and not the function's own jump or a thunk of the linker? */
  #hook(
    image: PeImage,
    place: { rva: number; address: bigint; name: string },
    redirection: EntryRedirection,
  ): ScanFinding | undefined {
    const shape = hookShape(image.architecture, this.#read, place.address);
    const throughPadding = redirection.kind === 'hook' && shape === undefined;
    if (shape === undefined && !throughPadding) return undefined;
    if (shape !== undefined && this.#isOwn(image, shape)) return undefined;
    const direct = throughPadding ? redirection.target : shape?.target;
    const indirect =
      throughPadding && direct === undefined ? this.#indirectInPadding(image, place.address) : undefined;
    const target = direct ?? indirect?.target;
    if (throughPadding && target === undefined) return undefined;
    return {
      ...place,
      verdict: this.#verdict2003(image, place.rva, target) ?? 'hook',
      shape: shape?.shape ?? `jmp short; ${indirect?.shape ?? 'jmp'} in the padding`,
      ...(indirect?.slot === undefined ? {} : { dataSlot: indirect.slot }),
      ...(target === undefined ? {} : { target, into: this.#into(target) }),
    };
  }

  /** Another jump than `jmp rel32` that the short one at an entry leads back to, unless it is the image's own. */
  #indirectInPadding(image: PeImage, entry: bigint): HookShape | undefined {
    const [jump, distance] = this.#read(entry, 2);
    if (jump !== 0xeb || distance === undefined) return undefined;
    const padding = entry + 2n + BigInt.asIntN(8, BigInt(distance));
    const shape = hookShape(image.architecture, this.#read, padding);
    return shape === undefined || this.#isOwn(image, shape) ? undefined : shape;
  }

  /** Of a jump into a hotpatch of Server 2003: is it one of the hooks that this says? */
  #verdict2003(image: PeImage, rva: number, target: bigint | undefined): ScanVerdict | undefined {
    const into = target === undefined ? undefined : this.#moduleAt(target);
    if (target === undefined || into?.image === undefined || !isHotp1(into.image)) return undefined;
    const { module } = into;
    const own = { module: this.own.module, image };
    return isHookOf({ module, image: into.image }, own, rva, target) ? 'hotpatch' : 'unverified';
  }

  /** Jumps inside the image are the compiler's, jumps through its data an import's. */
  #isOwn(image: PeImage, { target, slot, shape }: HookShape): boolean {
    const { start, end } = spanOf(this.own.module);
    const inside = (address: bigint) => address >= start && address < end;
    if (shape === 'int3' || shape === 'brk') return false;
    if (slot !== undefined && inside(slot)) {
      const section = image.sectionAt(Number(slot - start));
      if (section !== undefined && !isExecutable(section)) return true;
    }
    return target !== undefined && inside(target);
  }

  /** The jump that a patch which was taken back has left before an entry. */
  #leftJump(
    architecture: ImageArchitecture,
    entry: bigint,
  ): { codeSlot: bigint; dataSlot: bigint } | undefined {
    const [first] = this.#read(entry - PADDING.E9, 1);
    if (first !== 0xe9) return undefined;
    // What the recogniser would say if the two bytes of the entry were still there.
    const patched = (address: bigint, length: number) => {
      const bytes = this.#read(address, length);
      if (address !== entry) return bytes;
      const changed = Uint8Array.from(bytes);
      changed.set([0xeb, 0xf9].slice(0, changed.length));
      return changed;
    };
    const found = recogniseEntry(architecture, patched, entry);
    return found.kind === 'hotpatch' ? { codeSlot: found.codeSlot, dataSlot: found.dataSlot } : undefined;
  }

  /** RVAs behind the jumps of trampolines, wherever they are in code: functions that no table names. */
  *#trampolines(image: PeImage): Generator<number> {
    const candidates = TRAMPOLINES[image.architecture];
    for (const section of image.sections.filter(isExecutable)) {
      const code = image.read(section.virtualAddress, section.sizeInMemory > 0 ? bytesIn(image, section) : 0);
      const isHotPatched = (entry: number): boolean => {
        const address = this.own.module.base + BigInt(section.virtualAddress + entry);
        return recogniseEntry(image.architecture, this.#read, address).kind === 'hotpatch';
      };
      for (const entry of candidates(code, isHotPatched)) yield section.virtualAddress + entry;
    }
  }

  #pointer(address: bigint): bigint | undefined {
    const size = POINTER_SIZE[this.dump.architecture];
    const bytes = this.#read(address, size);
    if (bytes.length < size) return undefined;
    const view = new DataView(bytes.buffer, bytes.byteOffset, size);
    return size === 8 ? view.getBigUint64(0, true) : BigInt(view.getUint32(0, true));
  }

  #isBehind(address: bigint): boolean {
    const { end } = spanOf(this.own.module);
    return address >= end && address < end + LARGEST_RESERVE;
  }

  #moduleAt(address: bigint): Known | undefined {
    return this.known.find(({ module }) => {
      const { start, end } = spanOf(module);
      return address >= start && address < end;
    });
  }

  /** Does it lead into a hotpatch image of this module, or out of a hotpatch image into its base? */
  #isPatch(target: bigint): boolean {
    if (this.known.length === 1) return true;
    const other = this.#moduleAt(target);
    if (other?.image === undefined || this.own.image === undefined) return false;
    return isPatchOf(other.image, this.own.module) || isPatchOf(this.own.image, other.module);
  }

  #into(address: bigint): string {
    const found = this.#moduleAt(address);
    if (found === undefined) return `0x${address.toString(16)}`;
    const rva = Number(address - found.module.base);
    const name = baseName(found.module.name);
    const near = found.image === undefined ? undefined : exportNear(found.image, rva);
    return near === undefined ? `${name}+0x${rva.toString(16)}` : `${name}!${near}`;
  }
}

const bytesIn = (
  image: PeImage,
  { virtualAddress, virtualSize, sizeInMemory }: PeImage['sections'][number],
) => Math.min(virtualSize || sizeInMemory, image.optionalHeader.sizeOfImage - virtualAddress);

/** `FF 25 disp32 EB F8` */
const isEarlier = (view: DataView, at: number): boolean =>
  at + 8 <= view.byteLength && view.getUint16(at, true) === 0x25ff && view.getUint16(at + 6, true) === 0xf8eb;

function exportNear(image: PeImage, rva: number): string | undefined {
  try {
    return image.exports?.functions.find((entry) => entry.rva === rva)?.name;
  } catch {
    return undefined;
  }
}

/** What a hotpatch image is a patch of; nothing for others, and for a table that cannot be read. */
function patchedBases(image: PeImage): { originalCheckSum: number; originalTimeDateStamp: number }[] {
  try {
    return (image.hotPatch?.bases ?? []).map(({ originalCheckSum, originalTimeDateStamp }) => ({
      originalCheckSum,
      originalTimeDateStamp,
    }));
  } catch {
    return [];
  }
}

const isPatchOf = (patch: PeImage, { checkSum, timeDateStamp }: DumpModule): boolean =>
  patchedBases(patch).some(
    (base) => base.originalCheckSum === checkSum && base.originalTimeDateStamp === timeDateStamp,
  );

const usesPadding = (architecture: ImageArchitecture): boolean => PADDING_NEEDED[architecture] !== 0;

type FindTrampolines = (code: Uint8Array, isHotPatched: (entry: number) => boolean) => Generator<number>;

/** Offsets in code of entries that a trampoline begins at, by the bytes of its first hop. */
const TRAMPOLINES: Readonly<Record<ImageArchitecture, FindTrampolines>> = {
  x64: x86Trampolines,
  x86: x86Trampolines,
  *arm64(code, isHotPatched) {
    for (let at = 0; at + 4 <= code.length; at += 4)
      if ((code[at + 3] === 0x14 || code[at + 3] === 0x15) && isHotPatched(at)) yield at;
  },
};

function* x86Trampolines(code: Uint8Array): Generator<number> {
  const view = new DataView(code.buffer, code.byteOffset, code.length);
  for (let at = 0; at + 7 <= code.length; at++)
    if ((code[at] === 0xe9 && code[at + 5] === 0xeb && code[at + 6] === 0xf9) || isEarlier(view, at))
      yield at + (code[at] === 0xe9 ? 5 : 6);
}
