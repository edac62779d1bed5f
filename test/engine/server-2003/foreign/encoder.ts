/**
 * An encoder of `.hotp1` of its own: written from the public layout (docs/fidelity.md#server-2003) and nothing else, so that
 * a mistake of the project's encoder cannot hide one of its reader.
 */
export interface ForeignHook {
  readonly type: number;
  readonly options?: number;
  readonly rva: number;
  readonly routine: number;
  /** Index of its validation. */
  readonly validation?: number;
}

export interface ForeignValidation {
  /** Bytes that are put behind the arrays, or an RVA of the hotpatch image. */
  readonly source: Uint8Array | number;
  readonly target: number;
  readonly count?: number;
  readonly flags?: number;
}

export interface ForeignSection {
  readonly hooks: readonly ForeignHook[];
  readonly validations?: readonly ForeignValidation[];
  /** RVA and type of each. */
  readonly fixups?: readonly (readonly [number, number])[];
  readonly hotpatchBase: bigint;
  readonly targetBase: bigint;
  readonly name?: string;
  readonly method?: number;
  readonly identity?: Uint8Array;
  readonly signature?: number;
  readonly version?: number;
}

const HEADER = 80;
const HOOK = 16;
const VALIDATION = 12;

/** The section's bytes where it lies at `at`. */
export function encodeForeign(section: ForeignSection, at: number): Uint8Array {
  const { hooks, validations = [], fixups = [], name = 'tgt.dll' } = section;
  const out: number[] = [];
  const u16 = (value: number) => out.push(value & 0xff, (value >>> 8) & 0xff);
  const u32 = (value: number) => {
    u16(value & 0xffff);
    u16(value >>> 16);
  };
  const u64 = (value: bigint) => {
    u32(Number(value & 0xffff_ffffn));
    u32(Number(value >> 32n));
  };
  const regions = regionsOf(fixups);
  const fixupsAt = HEADER;
  const validationsAt = (fixupsAt + 2 * regions.words.length + 3) & ~3;
  const hooksAt = validationsAt + VALIDATION * validations.length;
  const dataAt = hooksAt + HOOK * hooks.length;
  const sources: number[] = [];
  const placed = validations.map(({ source, count }) => {
    if (typeof source === 'number') return { rva: source, count: count ?? 0 };
    const rva = at + dataAt + sources.length;
    sources.push(...source);
    return { rva, count: count ?? source.length };
  });
  const nameAt = dataAt + sources.length;

  u32(section.signature ?? 0x31544f48);
  u32(section.version ?? 0x10000);
  u32(regions.count);
  u32(regions.count === 0 ? 0 : at + fixupsAt);
  u32(validations.length);
  u32(validations.length === 0 ? 0 : at + validationsAt);
  u32(hooks.length);
  u32(hooks.length === 0 ? 0 : at + hooksAt);
  u64(section.hotpatchBase);
  u64(section.targetBase);
  u32(at + nameAt);
  u32(section.method ?? 3);
  const identity = section.identity ?? new Uint8Array();
  for (let index = 0; index < 24; index++) out.push(identity[index] ?? 0);
  for (const word of regions.words) u16(word);
  while (out.length < validationsAt) out.push(0);
  for (const [index, { target, flags = 0 }] of validations.entries()) {
    u32(placed[index]?.rva ?? 0);
    u32(target);
    u16(placed[index]?.count ?? 0);
    u16(flags);
  }
  for (const { type, options = 0, rva, routine, validation } of hooks) {
    u16(type);
    u16(options);
    u32(rva);
    u32(routine);
    u32(validation === undefined ? 0 : at + validationsAt + VALIDATION * validation);
  }
  out.push(...sources, ...Buffer.from(`${name}\0`));
  return Uint8Array.from(out);
}

/** Regions of a page each: page in twenty bits, count in twelve; then words of offset and type, of an even number. */
function regionsOf(fixups: readonly (readonly [number, number])[]): { count: number; words: number[] } {
  const pages = new Map<number, [number, number][]>();
  for (const [rva, type] of fixups)
    pages.set(rva >>> 12, [...(pages.get(rva >>> 12) ?? []), [rva & 0xfff, type]]);
  const words: number[] = [];
  for (const [page, list] of [...pages].sort(([a], [b]) => a - b)) {
    const entries = list.sort(([a], [b]) => a - b).map(([offset, type]) => offset | (type << 12));
    if (entries.length % 2 === 1) entries.push(0);
    const head = (page | (entries.length << 20)) >>> 0;
    words.push(head & 0xffff, head >>> 16, ...entries);
  }
  return { count: pages.size, words };
}
