import type { Disassembler } from '../../cpu/index.js';
import { symbolEnd } from '../../debugger/index.js';
import type { LoadedImage } from '../../loader/index.js';
import type { CodeFacts, DomainFacts } from '../recording/format.js';
import { type KnownTrampoline, Names } from '../recording/names.js';
import type { Replay } from '../recording/replay.js';
import { hex } from './catalogue.js';
import { CodeRange, type RangePlace } from './code-range.js';
import { REQUIRED_PADDING } from './engine-tracker.js';

const SLOT_SIZE = 8;
/** Executed addresses without a symbol that lie no further apart are shown together. */
const NEIGHBOURHOOD = 32n;

/**
 * Goes through a recording and collects the code that its reader will want to see: every function that was executed,
 * patched, or put in the place of a patched one; with each form that its bytes ever had.
 */
export class CodeCollector {
  readonly #names: Names;
  readonly #ranges = new Map<string, CodeRange>();
  #byFrame = new Map<number, Set<CodeRange>>();

  constructor(
    private readonly replay: Replay,
    private readonly images: readonly LoadedImage[],
    private readonly disassembler: Disassembler,
  ) {
    this.#names = new Names(replay.head);
  }

  collect(): CodeFacts[] {
    for (const trampoline of this.#names.trampolines) this.#addTrampoline(trampoline);
    this.#addExecuted();
    this.#addTargets();
    this.#followChanges();
    return [...this.#ranges.values()].flatMap((range) => range.facts ?? []);
  }

  #addTrampoline(trampoline: KnownTrampoline): void {
    const { facts, image, entry, codeSlot } = trampoline;
    const domain = this.replay.head.images[image]?.domain ?? 0;
    this.#addFunction(domain, image, entry, trampoline);
    if (codeSlot === undefined) return;
    const name = this.#names.describe(domain, codeSlot, facts.from);
    const end = codeSlot + BigInt(SLOT_SIZE);
    this.#add({ name, domain, image, start: codeSlot, entry: codeSlot, end, from: facts.from });
  }

  /** The functions that data slots point to when a trampoline goes live, and after each later patch. */
  #addTargets(): void {
    const { replay } = this;
    const moments = new Set([
      ...replay.head.trampolines.map(({ from }) => from),
      ...replay.head.patches.map(({ from }) => from),
    ]);
    for (const moment of [...moments].sort((a, b) => a - b)) {
      replay.goTo(moment);
      for (const { dataSlot, image } of this.#names.trampolines) {
        const facts = replay.head.images[image];
        const domain = replay.head.domains[facts?.domain ?? 0];
        const pointer = replay.read(domain?.space ?? 0, dataSlot, SLOT_SIZE);
        if (facts === undefined || pointer.length < SLOT_SIZE) continue;
        const target = new DataView(pointer.buffer, pointer.byteOffset).getBigUint64(0, true);
        if (target !== 0n) this.#addAt(facts.domain, target, moment);
      }
    }
  }

  #addExecuted(): void {
    const { replay } = this;
    const seen = new Map<number, Map<bigint, number>>();
    for (const [index, slice] of replay.head.slices.entries()) {
      const domain = replay.head.threads[slice.thread]?.domain ?? 0;
      const addresses = seen.get(domain) ?? new Map<bigint, number>();
      seen.set(domain, addresses);
      const end = replay.head.slices[index + 1]?.from ?? replay.head.entries;
      for (let entry = slice.from; entry < end; entry++) {
        const address = replay.addresses[entry] ?? 0n;
        if (address !== 0n && !addresses.has(address)) addresses.set(address, entry);
      }
    }
    for (const [domain, addresses] of seen) {
      const loose = [...addresses].filter(([address, moment]) => !this.#addAt(domain, address, moment));
      this.#addLoose(domain, loose);
    }
  }

  /** Code without a symbol: the stretches of it that were executed. */
  #addLoose(domain: number, executed: readonly (readonly [bigint, number])[]): void {
    const sorted = [...executed].sort(([a], [b]) => (a < b ? -1 : 1));
    for (let first = 0; first < sorted.length; ) {
      let last = first;
      while (isNear(sorted[last]?.[0], sorted[last + 1]?.[0])) last++;
      const [start = 0n, from = 0] = sorted[first] ?? [];
      const [end = 0n] = sorted[last] ?? [];
      const name = this.#names.describe(domain, start, from);
      this.#add({ name, domain, start, entry: start, end: end + 16n, from });
      first = last + 1;
    }
  }

  /** The function around an address; false when there is no symbol. */
  #addAt(domain: number, address: bigint, moment: number): boolean {
    const image = this.#names.imageAt(domain, address, moment);
    if (image === undefined) return false;
    if (address >= image.end) return this.#isInSlot(image.index, address);
    const loaded = this.images[image.index];
    const near = loaded?.symbols.byAddress(Number(address - image.base));
    if (loaded === undefined || near === undefined) return false;
    if (
      near.symbol.rva + near.offset >= symbolEnd(loaded, near.symbol) &&
      !this.#isPadding(image.index, address)
    )
      return false;
    this.#addFunction(image.facts.domain, image.index, image.base + BigInt(near.symbol.rva), undefined);
    return true;
  }

  /** Code slots of known trampolines are shown anyway. */
  #isInSlot(image: number, address: bigint): boolean {
    return this.#names.trampolines.some(
      ({ image: of, codeSlot }) =>
        of === image &&
        codeSlot !== undefined &&
        address >= codeSlot &&
        address < codeSlot + BigInt(SLOT_SIZE),
    );
  }

  #isPadding(image: number, address: bigint): boolean {
    return this.#names.trampolines.some(
      ({ image: of, entry, facts }) =>
        of === image && address >= entry - BigInt(facts.paddingSize) && address < entry,
    );
  }

  #addFunction(domain: number, index: number, entry: bigint, trampoline: KnownTrampoline | undefined): void {
    const loaded = this.images[index];
    const facts = this.replay.head.images[index];
    if (loaded === undefined || facts === undefined) return;
    const near = loaded.symbols.byAddress(loaded.rva(entry));
    if (near === undefined) return;
    const padding = (trampoline?.facts.paddingSize ?? 0) > 0 ? REQUIRED_PADDING : 0;
    this.#add({
      name: loaded.describe(entry),
      domain,
      image: index,
      start: entry - BigInt(padding),
      entry,
      end: loaded.address(symbolEnd(loaded, near.symbol)),
      from: facts.from,
      ...(trampoline === undefined ? {} : { trampoline: trampoline.facts }),
    });
  }

  #add(place: RangePlace): void {
    const key = `${place.domain} ${hex(place.entry)} ${place.image ?? ''}`;
    if (!this.#ranges.has(key) && place.end > place.start) this.#ranges.set(key, new CodeRange(place));
  }

  /** Walks through the run and disassembles each range anew whenever its bytes have changed. */
  #followChanges(): void {
    const { replay } = this;
    for (let moment = 0; moment <= replay.head.entries; moment++) {
      replay.goTo(moment);
      const { last } = replay;
      if (last === undefined || last.pages.length > 0) {
        this.#locate();
        for (const range of this.#ranges.values()) this.#refresh(range);
        continue;
      }
      const touched = new Set(last.memory.flatMap(({ frame }) => [...(this.#byFrame.get(frame) ?? [])]));
      for (const range of touched) this.#refresh(range);
    }
  }

  #locate(): void {
    this.#byFrame = new Map();
    for (const range of this.#ranges.values())
      for (const address of [range.place.start, range.place.end - 1n]) {
        const { frame } = this.replay.page(this.#domain(range)?.space ?? 0, address);
        if (frame === undefined) continue;
        const ranges = this.#byFrame.get(frame) ?? new Set();
        this.#byFrame.set(frame, ranges.add(range));
      }
  }

  #refresh(range: CodeRange): void {
    const domain = this.#domain(range);
    const { replay } = this;
    const { start, end, from } = range.place;
    if (domain === undefined || replay.moment < from) return;
    const bytes = replay.read(domain.space, start, Number(end - start));
    range.see(bytes, {
      architecture: domain.architecture,
      disassembler: this.disassembler,
      symbol: (address) => this.#names.nameOf(range.place.domain, address, replay.moment),
    });
  }

  #domain({ place }: CodeRange): DomainFacts | undefined {
    return this.replay.head.domains[place.domain];
  }
}

function isNear(address: bigint | undefined, next: bigint | undefined): boolean {
  return address !== undefined && next !== undefined && next - address <= NEIGHBOURHOOD;
}
