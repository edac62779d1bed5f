import { bytesOf, type CodeBook, type CodeRange } from './code-book.js';
import type { KnownTrampoline, Names } from './names.js';
import { lastUntil, type Replay } from './replay.js';

/** The stations from a patched function to its replacement, and the old code that is left out. */
export type PartKind = 'entry' | 'body' | 'padding' | 'codeSlot' | 'retpoline' | 'dataSlot' | 'target';

export interface PartState {
  readonly kind: PartKind;
  readonly address: bigint;
  /** As memory holds them; empty where there is no memory yet. */
  readonly bytes: Uint8Array;
  /** Does it hold its piece of the trampoline? */
  readonly isSet: boolean;
  /** Did the last entry store into it? */
  readonly changed: boolean;
  /** Has the last entry executed it, or, of a data slot, read it? */
  readonly isRunning: boolean;
  /** Was it on the way here? */
  readonly isOnTrail: boolean;
}

export interface TrampolineState {
  readonly trampoline: KnownTrampoline;
  readonly parts: ReadonlyMap<PartKind, PartState>;
  /** Does the entry lead away from the old function? */
  readonly isLive: boolean;
  /** What the data slot points to. */
  readonly target: bigint | undefined;
  /** The patch image's own copy of a function that did not change: it leads back to the base's. */
  readonly isBackward: boolean;
}

const POINTER_SIZE = 8;
const SLOT_SIZE = 8;
/** Entries of other processors that may lie between two steps of the same way. */
const LONGEST_TRAIL = 24;
const WAY: readonly PartKind[] = ['entry', 'padding', 'codeSlot', 'retpoline', 'dataSlot', 'target'];

/** The trampolines of a recording at the replay's moment. */
export class Trampolines {
  /** Moments behind steps that stored into a trampoline or entered it. */
  readonly #touches: readonly { readonly from: number; readonly trampoline: KnownTrampoline }[];

  constructor(
    private readonly replay: Replay,
    private readonly names: Names,
    private readonly code: CodeBook,
  ) {
    this.#touches = this.#findTouches();
  }

  get all(): readonly KnownTrampoline[] {
    return this.names.trampolines;
  }

  /** The one that an entry executed a part of, or stored into. */
  touched(): { readonly trampoline: KnownTrampoline; readonly part: PartKind } | undefined {
    const { moment } = this.replay;
    const executed = moment === 0 ? undefined : this.executed(moment - 1);
    if (executed !== undefined) return executed;
    if ((this.replay.last?.memory.length ?? 0) === 0) return undefined;
    for (const trampoline of this.all)
      for (const part of ['entry', 'padding', 'codeSlot', 'dataSlot'] as const)
        if (this.#changed(trampoline, part)) return { trampoline, part };
    return undefined;
  }

  /** The one that was stored into or entered last, up to the replay's moment. */
  lastTouched(): KnownTrampoline | undefined {
    return lastUntil(this.#touches, this.replay.moment)?.trampoline;
  }

  /** The trampoline that an instruction belongs to: as the entry, a jump, or one of the two functions. */
  executed(entry: number): { readonly trampoline: KnownTrampoline; readonly part: PartKind } | undefined {
    const address = this.replay.addresses[entry] ?? 0n;
    if (address === 0n) return undefined;
    let inside: { trampoline: KnownTrampoline; part: PartKind } | undefined;
    for (const trampoline of this.all) {
      if (!this.#isSeenBy(trampoline, entry)) continue;
      const part = this.#partAt(trampoline, address);
      if (part === undefined) continue;
      if (part !== 'body' && part !== 'target') return { trampoline, part };
      // Calls inside the patch go through trampolines of their own; the base's function is what is looked for.
      inside ??= { trampoline, part };
    }
    return inside;
  }

  state(trampoline: KnownTrampoline): TrampolineState {
    const target = this.#target(trampoline);
    const isBackward = this.replay.head.images[trampoline.image]?.isPatch === true;
    const trail = this.#trail(trampoline);
    const parts = new Map<PartKind, PartState>();
    for (const [kind, address, size] of this.#places(trampoline, target)) {
      const bytes = this.replay.read(this.#space(trampoline), address, size);
      parts.set(kind, {
        kind,
        address,
        bytes,
        isSet: this.#isSet(trampoline, kind, bytes),
        changed: this.#changed(trampoline, kind),
        isRunning: trail.now.has(kind),
        isOnTrail: trail.before.has(kind),
      });
    }
    return { trampoline, parts, isLive: parts.get('entry')?.isSet === true, target, isBackward };
  }

  /** The replacement's code. */
  targetCode(trampoline: KnownTrampoline): CodeRange | undefined {
    const target = this.#target(trampoline);
    return target === undefined ? undefined : this.code.at(this.#domain(trampoline), target);
  }

  /** The patched function's code. */
  entryCode(trampoline: KnownTrampoline): CodeRange | undefined {
    return this.code.at(this.#domain(trampoline), trampoline.entry);
  }

  #findTouches(): { from: number; trampoline: KnownTrampoline }[] {
    const { head, addresses, notes } = this.replay;
    const stores = head.events.flatMap(({ entry, store }) => {
      const address = store === undefined ? 0n : BigInt(store.address);
      const trampoline = this.all.find(
        (candidate) =>
          candidate.facts.symbol === store?.symbol &&
          this.#places(candidate, undefined).some(([, at]) => at === address),
      );
      return trampoline === undefined ? [] : [{ from: entry + 1, trampoline }];
    });
    const entered = new Map(this.all.map((trampoline) => [trampoline.entry, trampoline] as const));
    const hops = [...notes].flatMap((note, entry) => {
      const trampoline = note < 0 ? undefined : entered.get(addresses[entry] ?? 0n);
      return trampoline === undefined ? [] : [{ from: entry + 1, trampoline }];
    });
    return [...stores, ...hops].sort((a, b) => a.from - b.from);
  }

  #places(
    { facts, entry, codeSlot, dataSlot, image }: KnownTrampoline,
    target: bigint | undefined,
  ): (readonly [PartKind, bigint, number])[] {
    const { paddingSize, entrySize, retpoline } = facts;
    const page = this.names.images[image]?.retpoline;
    return [
      ...(paddingSize === 0 ? [] : [['padding', entry - BigInt(paddingSize), paddingSize] as const]),
      ['entry', entry, entrySize],
      ['body', entry + BigInt(entrySize), 0],
      ...(codeSlot === undefined ? [] : [['codeSlot', codeSlot, SLOT_SIZE] as const]),
      ...(retpoline && page !== undefined ? [['retpoline', page, 0] as const] : []),
      ['dataSlot', dataSlot, POINTER_SIZE],
      ['target', target ?? 0n, 0],
    ];
  }

  #isSet({ facts }: KnownTrampoline, kind: PartKind, bytes: Uint8Array): boolean {
    if (kind === 'entry') return differs(bytes, facts.originalEntry);
    if (kind === 'padding') return differs(bytes, facts.originalPadding);
    if (kind === 'codeSlot') return bytes.some((byte) => byte !== bytes[0]);
    if (kind === 'dataSlot') return bytes.some((byte) => byte !== 0);
    return true;
  }

  #partAt(trampoline: KnownTrampoline, address: bigint): PartKind | undefined {
    const { entry, codeSlot, facts, image } = trampoline;
    if (address === entry)
      return differs(this.#read(trampoline, entry, facts.entrySize), facts.originalEntry) ? 'entry' : 'body';
    if (address < entry && address >= entry - BigInt(facts.paddingSize)) return 'padding';
    if (codeSlot !== undefined && address >= codeSlot && address < codeSlot + BigInt(SLOT_SIZE))
      return 'codeSlot';
    const page = this.names.images[image]?.retpoline;
    if (facts.retpoline && page !== undefined && address >= page && address < page + 0x1000n)
      return this.all.length === 1 ? 'retpoline' : undefined;
    const old = this.entryCode(trampoline);
    if (old !== undefined && address > entry && address < old.end) return 'body';
    const target = this.targetCode(trampoline);
    return target !== undefined && address >= target.entry && address < target.end ? 'target' : undefined;
  }

  /** What the last entry executed of it, and what the same processor had executed of it directly before. */
  #trail(trampoline: KnownTrampoline): {
    readonly now: ReadonlySet<PartKind>;
    readonly before: ReadonlySet<PartKind>;
  } {
    const now = new Set<PartKind>();
    const before = new Set<PartKind>();
    const { moment, last } = this.replay;
    if (last?.kind !== 'instruction') return { now, before };
    const current = this.#station(trampoline, moment - 1);
    if (current === undefined) return { now, before };
    now.add(current);
    if (current === 'codeSlot' && !trampoline.facts.retpoline) now.add('dataSlot');
    if (current === 'padding' && trampoline.codeSlot === undefined) now.add('dataSlot');
    let place = WAY.indexOf(current);
    for (let entry = moment - 2; entry >= Math.max(0, moment - LONGEST_TRAIL); entry--) {
      if (this.replay.entry(entry).processor !== last.processor) continue;
      const station = this.#station(trampoline, entry);
      if (station === undefined || WAY.indexOf(station) > place || station === 'body') break;
      place = WAY.indexOf(station);
      if (!now.has(station)) before.add(station);
      if (station === 'codeSlot' || (station === 'padding' && trampoline.codeSlot === undefined))
        before.add('dataSlot');
      if (station === 'entry') break;
    }
    if (!before.has('entry')) before.clear();
    return { now, before };
  }

  #station(trampoline: KnownTrampoline, entry: number): PartKind | undefined {
    const address = this.replay.addresses[entry] ?? 0n;
    return address === 0n || !this.#isSeenBy(trampoline, entry)
      ? undefined
      : this.#partAt(trampoline, address);
  }

  #isSeenBy(trampoline: KnownTrampoline, entry: number): boolean {
    const { head } = this.replay;
    const slice = this.replay.slice(entry + 1);
    const domain = head.domains[head.threads[slice?.thread ?? 0]?.domain ?? 0];
    return domain?.visible.includes(this.#domain(trampoline)) === true;
  }

  #changed(trampoline: KnownTrampoline, kind: PartKind): boolean {
    const place = this.#places(trampoline, undefined).find(([of]) => of === kind);
    if (place === undefined) return false;
    const [, address, size] = place;
    return this.replay.changed(this.#space(trampoline), address, size).includes(true);
  }

  #target(trampoline: KnownTrampoline): bigint | undefined {
    const bytes = this.#read(trampoline, trampoline.dataSlot, POINTER_SIZE);
    if (bytes.length < POINTER_SIZE) return undefined;
    const pointer = new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0, true);
    return pointer === 0n ? undefined : pointer;
  }

  #read(trampoline: KnownTrampoline, address: bigint, length: number): Uint8Array {
    return this.replay.read(this.#space(trampoline), address, length);
  }

  #domain({ image }: KnownTrampoline): number {
    return this.replay.head.images[image]?.domain ?? 0;
  }

  #space(trampoline: KnownTrampoline): number {
    return this.replay.head.domains[this.#domain(trampoline)]?.space ?? 0;
  }
}

function differs(bytes: Uint8Array, digits: string): boolean {
  const original = bytesOf(digits);
  return bytes.length === original.length && bytes.some((byte, index) => byte !== original[index]);
}
