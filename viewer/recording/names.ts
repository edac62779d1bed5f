import { POINTER_SIZE } from './architecture.js';
import type { DomainFacts, ImageFacts, RecordingHead, TrampolineFacts } from './format.js';

/** Bytes between two slots of an HPAT. */
const SLOT_SIZE = 8;
const PAGE_SIZE = 0x1000;
const SLOTS_PER_PAGE = PAGE_SIZE / SLOT_SIZE;

interface KnownImage {
  readonly index: number;
  readonly facts: ImageFacts;
  readonly module: string;
  readonly base: bigint;
  readonly end: bigint;
  readonly hpat: { readonly base: bigint; readonly end: bigint } | undefined;
  readonly retpoline: bigint | undefined;
}

export interface KnownTrampoline {
  readonly index: number;
  readonly facts: TrampolineFacts;
  readonly image: number;
  readonly entry: bigint;
  readonly codeSlot: bigint | undefined;
  readonly dataSlot: bigint;
}

/** Names of addresses, as WinDbg writes them: `demo!dispatch+0x9`. */
export class Names {
  readonly images: readonly KnownImage[];
  readonly trampolines: readonly KnownTrampoline[];
  readonly #services: ReadonlyMap<string, string>;
  readonly #returnAddresses: ReadonlySet<bigint>;

  constructor(private readonly head: RecordingHead) {
    this.images = head.images.map((facts, index) => {
      const base = BigInt(facts.base);
      const hpat = facts.hpat && BigInt(facts.hpat.base);
      return {
        index,
        facts,
        module: facts.name.replace(/\.[^.]*$/, ''),
        base,
        end: base + BigInt(facts.size),
        hpat: hpat === undefined ? undefined : { base: hpat, end: hpat + BigInt(facts.hpat?.size ?? 0) },
        retpoline: facts.retpolinePage === undefined ? undefined : BigInt(facts.retpolinePage),
      };
    });
    this.trampolines = head.trampolines.map((facts, index) => ({
      index,
      facts,
      image: facts.image,
      entry: BigInt(facts.entry),
      codeSlot: facts.codeSlot === undefined ? undefined : BigInt(facts.codeSlot),
      dataSlot: BigInt(facts.dataSlot),
    }));
    this.#returnAddresses = new Set(head.processors.map(({ returnAddress }) => BigInt(returnAddress)));
    this.#services = new Map(
      head.services.map(({ domain, address, name }) => [`${domain} ${BigInt(address)}`, name]),
    );
  }

  /** The image, loaded at this moment, that code of a domain sees at an address: its HPAT belongs to it. */
  imageAt(domain: number, address: bigint, moment: number): KnownImage | undefined {
    const visible = this.head.domains[domain]?.visible ?? [];
    return this.images.find(
      (image) =>
        visible.includes(image.facts.domain) &&
        image.facts.from <= moment &&
        moment < (image.facts.to ?? Number.POSITIVE_INFINITY) &&
        contains(image, address),
    );
  }

  /** Undefined where neither an image nor a simulated export is. */
  nameOf(domain: number, address: bigint, moment: number): string | undefined {
    const service = this.#services.get(`${domain} ${address}`);
    if (service !== undefined) return service;
    if (this.#returnAddresses.has(address)) return 'the end of the call';
    const image = this.imageAt(domain, address, moment);
    if (image === undefined) return undefined;
    const padding = this.trampolines.find(
      ({ image: of, entry, facts }) =>
        of === image.index && address === entry - BigInt(facts.paddingSize) && address < entry,
    );
    return padding === undefined
      ? nameInImage(image, address)
      : `${padding.facts.symbol}-0x${padding.facts.paddingSize.toString(16)}`;
  }

  /** The name, or the address where there is none. */
  describe(domain: number, address: bigint, moment: number): string {
    return this.nameOf(domain, address, moment) ?? formatAddress(this.head.domains[domain], address);
  }
}

function contains({ base, end, hpat, retpoline }: KnownImage, address: bigint): boolean {
  if (address >= base && address < end) return true;
  if (hpat !== undefined && address >= hpat.base && address < hpat.end) return true;
  return retpoline !== undefined && address >= retpoline && address < retpoline + 0x1000n;
}

function nameInImage(image: KnownImage, address: bigint): string {
  const { module, base, hpat, retpoline, facts } = image;
  if (hpat !== undefined && address >= hpat.base && address < hpat.end)
    return `${module}!${slotName(Number(address - hpat.base), facts.hpat?.layout === 'pairs')}`;
  if (retpoline !== undefined && address >= retpoline)
    return `${module}!retpoline+0x${(address - retpoline).toString(16)}`;
  const rva = Number(address - base);
  const symbol = symbolBefore(facts.symbols, rva);
  if (symbol === undefined) return `${module}+0x${rva.toString(16)}`;
  const offset = rva - symbol[0];
  return `${module}!${symbol[1]}${offset === 0 ? '' : `+0x${offset.toString(16)}`}`;
}

function slotName(offset: number, isPairs: boolean): string {
  const within = offset % SLOT_SIZE === 0 ? '' : `+0x${(offset % SLOT_SIZE).toString(16)}`;
  const slot = Math.floor(offset / SLOT_SIZE);
  if (!isPairs) return `HPAT[${slot}].data${within}`;
  const pair = Math.floor(slot / (2 * SLOTS_PER_PAGE));
  const inPair = slot % (2 * SLOTS_PER_PAGE);
  const kind = inPair < SLOTS_PER_PAGE ? 'code' : 'data';
  return `HPAT[${pair * SLOTS_PER_PAGE + (inPair % SLOTS_PER_PAGE)}].${kind}${within}`;
}

function symbolBefore(symbols: ImageFacts['symbols'], rva: number): readonly [number, string] | undefined {
  let low = 0;
  let high = symbols.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((symbols[middle]?.[0] ?? 0) <= rva) low = middle + 1;
    else high = middle;
  }
  return symbols[low - 1];
}

/** `fffff800``10001234`; 8 digits in 32-bit code. */
export function formatAddress(domain: DomainFacts | undefined, address: bigint): string {
  const size = domain === undefined ? 8 : POINTER_SIZE[domain.architecture];
  const digits = BigInt.asUintN(8 * size, address)
    .toString(16)
    .padStart(2 * size, '0');
  return digits.length > 8 ? `${digits.slice(0, 8)}\`${digits.slice(8)}` : digits;
}
