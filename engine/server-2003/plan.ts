import { CpuError, x64Encoder } from '../../cpu/index.js';
import {
  continuationOf,
  entriesOf,
  FIXUP_SIZE,
  fixupTypeName,
  HOOK_OPTION,
  HOOK_TYPE,
  type Hotp1,
  type Hotp1Hook,
  type Hotp1RuleId,
  hookPlace,
  hookPlaceProblem,
  hookSize,
  hookTypeName,
  hotp1Rule,
  isJump,
  jumpsOf,
  type NtStatusName,
  originalBytes,
  ownerOf,
  readColdpatch,
  shortJumpTarget,
  unsafePadding,
} from '../../image/index.js';
import { formatBytes, hex, type LoadedImage } from '../../loader/index.js';
import { entryFactsOf, HotPatchError, type HotPatchRule, type Occupation } from '../core/index.js';
import type { Application2003, PlannedHook } from './patch.js';

/** A value of the hotpatch image that depends on where it and its target lie. */
export interface PlannedFixup {
  readonly target: 'pointer' | 'relative';
  readonly location: bigint;
  readonly bytes: Uint8Array;
}

export interface PlanInput {
  readonly hotp1: Hotp1;
  /** BaseDllName of the hotpatch, for errors. */
  readonly name: string;
  readonly target: LoadedImage;
  readonly loaded: LoadedImage;
  /** Hotpatches of the target so far. */
  readonly applications: readonly Application2003[];
  readonly checkEntries: boolean;
}

const TWO_GB = 1n << 31n;

/** Everything that one hotpatch will store for one target, computed before the first store. */
export class Planner {
  constructor(private readonly input: PlanInput) {}

  /**
   * The values that the fixup regions name, moved by how far target and hotpatch lie from where they were linked to.
   * Modelled: the four types are documented, their arithmetic is what such types mean elsewhere.
   */
  fixups(): PlannedFixup[] {
    const { hotp1, target, loaded } = this.input;
    const targetDelta = target.dllBase - hotp1.origTargetBaseAddress;
    const ownDelta = loaded.dllBase - hotp1.origHotpBaseAddress;
    return hotp1.fixupRegions.flatMap(({ fixups }, region) =>
      fixups.map(({ rva, type }, index): PlannedFixup => {
        const name = fixupTypeName(type) ?? 'None';
        const isRelative = name === 'PC32' || name === 'PC64';
        const size = FIXUP_SIZE[name];
        const location = loaded.address(rva);
        const old = readSigned(loaded.domain.addressSpace.read(location, size));
        const value = old + targetDelta - (isRelative ? ownDelta : 0n);
        if (name === 'PC32' && BigInt.asIntN(32, value) !== value)
          throw this.refuse(
            'fixup.range',
            'STATUS_CONFLICTING_ADDRESSES',
            `fixup region ${region}, fixup ${index}`,
            `the target lies ${hex(targetDelta - ownDelta)} bytes too far away for a 32-bit distance`,
          );
        return { target: isRelative ? 'relative' : 'pointer', location, bytes: writeSigned(value, size) };
      }),
    );
  }

  /** Compares what the target holds in memory, without what other hotpatches changed. */
  validate(): void {
    const { hotp1 } = this.input;
    for (const [index, { sourceRva, targetRva, byteCount }] of hotp1.validations.entries()) {
      const owner = ownerOf(hotp1, index);
      if (owner === null) continue;
      const expected = this.input.loaded.domain.addressSpace.read(
        this.input.loaded.address(sourceRva),
        byteCount,
      );
      const found = this.#unpatched(targetRva, byteCount);
      const at = expected.findIndex((byte, i) => byte !== found[i]);
      if (at < 0) continue;
      const hook = owner === undefined ? '' : `, of hook ${owner}`;
      throw this.#rule(
        'validation.bytes',
        `validation ${index}${hook}`,
        `${this.#describe(targetRva + at)} holds ${formatBytes(found.slice(at, at + 8))}, expected ${formatBytes(expected.slice(at, at + 8))}`,
      );
    }
  }

  /** The bytes of every hook. */
  hooks(): PlannedHook[] {
    const { hotp1, target } = this.input;
    return hotp1.hooks.flatMap((hook, index): PlannedHook[] => {
      if (hook.type === HOOK_TYPE.None) return [];
      const place = `hook ${index}`;
      const size = hookSize(hook) ?? 0;
      if ((hook.options & HOOK_OPTION.WITHIN_2GB) !== 0) this.#checkDistance(place);
      const location = target.address(hook.hookRva);
      const kind = hookPlace(hotp1, hook);
      const entries = entriesOf(hotp1, hook);
      if (this.input.checkEntries && isJump(hook.type)) this.#checkPlace(hook, place, size);
      const bytes = new Uint8Array(size).fill(0xcc);
      bytes.set(this.#encode(hook, place));
      return [
        {
          place,
          type: hookTypeName(hook.type) ?? `${hook.type}`,
          target: kind === 'data' ? 'pointer' : kind,
          location,
          bytes,
          pristine:
            kind !== 'data'
              ? Uint8Array.from(target.section.layout.subarray(hook.hookRva, hook.hookRva + size))
              : undefined,
          symbol: target.describe(target.address(entries[0] ?? hook.hookRva)),
          entries: entries.map((rva) => target.address(rva)),
          jumps: jumpsOf(hotp1, hook).flatMap((jump) => this.#paddingOf(jump)),
          isOverColdpatch: this.#coldplaces.some(({ rva }) => rva === hook.hookRva),
          unsafe: kind === 'padding' ? this.#unsafe(hook, size) : [],
        },
      ];
    });
  }

  get #coldplaces() {
    return readColdpatch(this.input.target.image)?.places ?? [];
  }

  #unsafe({ hookRva }: Hotp1Hook, size: number): bigint[] {
    const { target } = this.input;
    const end = hookRva + size;
    const { fill } = entryFactsOf(target, end, (rva, length) => this.#unpatched(rva, length));
    return [...unsafePadding(fill, size)].map((before) => target.address(end - before));
  }

  #encode(hook: Hotp1Hook, place: string): Uint8Array {
    const { target, loaded, hotp1 } = this.input;
    const { pointerSize } = target.domain.architecture;
    const location = target.address(hook.hookRva);
    const routine = loaded.address(hook.hotpRva);
    // The two jumps that x86 has as well are the same bytes there.
    const encoder = x64Encoder;
    try {
      switch (hook.type) {
        case HOOK_TYPE.X86_JMP:
          return encoder.nearJump(location, routine);
        case HOOK_TYPE.X86_JMP2B:
          return encoder.shortJump(location, target.address(shortJumpTarget(hook)));
        case HOOK_TYPE.AMD64_IND:
          return encoder.jumpThroughSlot(location, target.address(continuationOf(hotp1, hook)));
        default:
          return writeSigned(routine, pointerSize);
      }
    } catch (error) {
      if (!(error instanceof CpuError)) throw error;
      throw this.refuse('hook.range', 'STATUS_CONFLICTING_ADDRESSES', place, error.message);
    }
  }

  /** Option 0x8000: documented, with its status. */
  #checkDistance(place: string): void {
    const { target, loaded } = this.input;
    const end = (image: LoadedImage) => image.dllBase + BigInt(image.sizeOfImage);
    const reach =
      target.dllBase > loaded.dllBase ? end(target) - loaded.dllBase : end(loaded) - target.dllBase;
    if (reach <= TWO_GB) return;
    throw this.refuse(
      'hook.distance',
      'STATUS_CONFLICTING_ADDRESSES',
      place,
      `hotpatch and target lie ${hex(reach)} bytes apart: more than 2 GB`,
      'let the hotpatch be loaded nearer to its target',
    );
  }

  /** What /hotpatch and /FUNCTIONPADMIN promise of the bytes that a jump replaces. */
  #checkPlace(hook: Hotp1Hook, place: string, size: number): void {
    const { target } = this.input;
    const read = (rva: number, length: number) => this.#unpatched(rva, length);
    const problem = hookPlaceProblem(this.input.hotp1, hook, (rva) => entryFactsOf(target, rva, read));
    if (problem === undefined) return;
    const bytes = this.#unpatched(hook.hookRva, size);
    const why =
      problem === 'hook.entry'
        ? `begins with ${formatBytes(entryFactsOf(target, hook.hookRva, read).firstInstruction.bytes)}: a thread could stand behind it, inside the jump`
        : `holds ${formatBytes(bytes)}`;
    throw this.#rule(problem, place, `${this.#describe(hook.hookRva)} ${why}`);
  }

  /** Bytes of the target as they are without the hotpatches in its patch list. */
  #unpatched(rva: number, length: number): Uint8Array {
    const { target, applications } = this.input;
    const bytes = Uint8Array.from(target.domain.addressSpace.read(target.address(rva), length));
    const start = target.address(rva);
    for (const { hooksInForce } of applications)
      for (const { location, pristine } of hooksInForce) {
        if (pristine === undefined) continue;
        // A Uint8Array ignores stores outside of it.
        for (const [i, byte] of pristine.entries()) bytes[Number(location - start) + i] = byte;
      }
    return originalBytes(target.image, rva, bytes);
  }

  /** The bytes of a jump in padding. */
  #paddingOf(jump: Hotp1Hook): Occupation[] {
    if (hookPlace(this.input.hotp1, jump) !== 'padding') return [];
    const start = this.input.target.address(jump.hookRva);
    return [{ start, end: start + BigInt(hookSize(jump) ?? 0) }];
  }

  #describe(rva: number): string {
    const { target } = this.input;
    return target.describe(target.address(rva));
  }

  #rule(rule: Hotp1RuleId, place: string, message: string): HotPatchError {
    return this.refuse(rule, hotp1Rule(rule).status.name, place, message);
  }

  refuse(
    rule: HotPatchRule,
    status: NtStatusName,
    place: string,
    message: string,
    hint?: string,
  ): HotPatchError {
    const { name } = this.input;
    return new HotPatchError({ rule, status, image: name, place, message, hint });
  }
}

function readSigned(bytes: Uint8Array): bigint {
  const value = bytes.reduceRight((sum, byte) => (sum << 8n) | BigInt(byte), 0n);
  return BigInt.asIntN(8 * bytes.length, value);
}

function writeSigned(value: bigint, size: number): Uint8Array {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setBigUint64(0, BigInt.asUintN(64, value), true);
  return bytes.slice(0, size);
}
