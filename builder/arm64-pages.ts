/**
 * ARM64 code names a place in two instructions: ADRP gives the 4 KB page, a later ADD or load or store the low 12 bits
 * (IMAGE_REL_ARM64_PAGEBASE_REL21 and PAGEOFFSET_12A, 12L). This finds which ADRP each low half belongs to, by
 * following the registers along the function's branches.
 */
export interface ResolvedPage {
  /** The instruction without its part of the address. */
  readonly masked: Uint8Array;
  /** RVA that the pair names; undefined at an ADRP whose low halves name it. */
  readonly target?: number;
}

/** Register number → RVA of the page that it holds. */
type Pages = ReadonlyMap<number, number>;

interface Word {
  readonly offset: number;
  readonly word: number;
}

/** By the instruction's offset in the function: ADRPs and the instructions that complete them. */
export function resolvePages(bytes: Uint8Array, rva: number): Map<number, ResolvedPage> {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const words: Word[] = Array.from({ length: bytes.length >> 2 }, (_, i) => ({
    offset: i * 4,
    word: view.getUint32(i * 4, true),
  }));
  const states = followRegisters(words, rva);
  const resolved = new Map<number, ResolvedPage>();
  const completed = new Set<number>();
  const adrps: { offset: number; page: number; word: number }[] = [];
  for (const { offset, word } of words) {
    const page = adrpPage(word, rva + offset);
    if (page !== undefined) adrps.push({ offset, page, word });
    const low = lowHalf(word);
    const base = low === undefined ? undefined : states[offset >> 2]?.get(low.register);
    if (low === undefined || base === undefined) continue;
    completed.add(base);
    resolved.set(offset, { masked: wordBytes(word & ~(0xfff << 10)), target: base + low.value });
  }
  for (const { offset, page, word } of adrps) {
    const masked = wordBytes(word & ~((0x3 << 29) | (0x7ffff << 5)));
    resolved.set(offset, completed.has(page) ? { masked } : { masked, target: page });
  }
  return resolved;
}

/** For each instruction the pages in registers before it, as far as all paths to it agree. */
function followRegisters(words: readonly Word[], rva: number): readonly (Pages | undefined)[] {
  const before: (Pages | undefined)[] = new Array(words.length).fill(undefined);
  const work: number[] = [0];
  if (words.length > 0) before[0] = new Map();
  const flowTo = (index: number, state: Pages) => {
    if (index < 0 || index >= words.length) return;
    const known = before[index];
    const merged = known === undefined ? state : agreed(known, state);
    if (known !== undefined && merged.size === known.size) return;
    before[index] = merged;
    work.push(index);
  };
  const indirect: Pages[] = [];
  const run = () => {
    for (let index = work.pop(); index !== undefined; index = work.pop()) {
      const { word, offset } = words[index] ?? { word: 0, offset: 0 };
      const after = execute(before[index] ?? new Map(), word, rva + offset);
      const target = branchTarget(word);
      if (target !== undefined) flowTo(index + target, after);
      if (isIndirectJump(word)) indirect.push(after);
      if (!endsFlow(word)) flowTo(index + 1, after);
    }
  };
  run();
  // Code that only an indirect jump can reach: a switch statement's cases.
  const atJumps = indirect.reduce<Pages | undefined>(
    (all, state) => (all === undefined ? state : agreed(all, state)),
    undefined,
  );
  for (let index = 0; index < words.length; index++) {
    if (before[index] !== undefined) continue;
    flowTo(index, atJumps ?? new Map());
    run();
  }
  return before;
}

function agreed(a: Pages, b: Pages): Pages {
  return new Map([...a].filter(([register, page]) => b.get(register) === page));
}

/** What the instruction leaves in the registers. */
function execute(state: Pages, word: number, at: number): Pages {
  const page = adrpPage(word, at);
  const after = new Map(state);
  if (page !== undefined) after.set(word & 31, page);
  else for (const register of written(word)) after.delete(register);
  return after;
}

/** General registers that may be changed. Arm Architecture Reference Manual, C4.1, in coarse classes. */
function written(word: number): readonly number[] {
  const rd = word & 31;
  const rn = (word >>> 5) & 31;
  if ((word & 0xfc000000) >>> 0 === 0x94000000 || (word & 0xfffffc1f) >>> 0 === 0xd63f0000)
    return CALL_CLOBBERED;
  // Branches, exceptions, system instructions (MRS writes Rd).
  if ((word & 0x1c000000) === 0x14000000) return (word & 0xfff00000) >>> 0 === 0xd5300000 ? [rd] : [];
  const isLoadStore = (word & 0x0a000000) === 0x08000000;
  if (!isLoadStore) return [rd];
  const isPair = (word & 0x3a000000) === 0x28000000;
  const isVector = (word & 0x04000000) !== 0;
  const isLoad = !isVector && (word & (isPair ? 0x00400000 : 0x00c00000)) !== 0;
  const writesBase = isPair ? (word & 0x00800000) !== 0 : (word & 0x3b200400) === 0x38000400;
  return [...(isLoad ? (isPair ? [rd, (word >>> 10) & 31] : [rd]) : []), ...(writesBase ? [rn] : [])];
}

/** x0 to x18 and x30: what a call may change. */
const CALL_CLOBBERED: readonly number[] = [...Array.from({ length: 19 }, (_, i) => i), 30];

function adrpPage(word: number, at: number): number | undefined {
  if ((word & 0x9f000000) >>> 0 !== 0x90000000) return undefined;
  const field = ((word >>> 29) & 3) | (((word >>> 5) & 0x7ffff) << 2);
  const distance = field >= 0x100000 ? field - 0x200000 : field;
  return (at & ~0xfff) + distance * 0x1000;
}

/** ADD Xd, Xn, #imm12 and the loads and stores with an unsigned offset: register and offset in bytes. */
function lowHalf(word: number): { register: number; value: number } | undefined {
  const register = (word >>> 5) & 31;
  const imm = (word >>> 10) & 0xfff;
  if ((word & 0xffc00000) >>> 0 === 0x91000000) return { register, value: imm };
  if ((word & 0x3b000000) !== 0x39000000) return undefined;
  const is128 = (word & 0x04800000) === 0x04800000 && word >>> 30 === 0;
  return { register, value: imm << (is128 ? 4 : word >>> 30) };
}

/** In instructions. */
function branchTarget(word: number): number | undefined {
  const signed = (field: number, bits: number) => (field << (32 - bits)) >> (32 - bits);
  if ((word & 0xfc000000) >>> 0 === 0x14000000) return signed(word, 26);
  if ((word & 0xff000000) >>> 0 === 0x54000000 || (word & 0x7e000000) === 0x34000000)
    return signed(word >>> 5, 19);
  if ((word & 0x7e000000) === 0x36000000) return signed(word >>> 5, 14);
  return undefined;
}

function isIndirectJump(word: number): boolean {
  return (word & 0xfffffc1f) >>> 0 === 0xd61f0000;
}

function endsFlow(word: number): boolean {
  const isReturn = (word & 0xfffffc1f) >>> 0 === 0xd65f0000;
  const isJump = (word & 0xfc000000) >>> 0 === 0x14000000;
  const isBreak = (word & 0xffe0001f) >>> 0 === 0xd4200000;
  return isReturn || isJump || isBreak || isIndirectJump(word);
}

function wordBytes(word: number): Uint8Array {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, word >>> 0, true);
  return bytes;
}
