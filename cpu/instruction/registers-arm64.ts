import { partsOfRegister, type RegisterUse } from './register-use.js';

const X = (index: number) => (index === 31 ? [] : [`x${index}`]);
const V = (index: number) => [`v${index}`];

interface Sets {
  readonly reads: readonly string[];
  readonly writes: readonly string[];
  readonly changes?: readonly string[];
  /** Of a load `false`. */
  readonly isStore?: boolean;
}

/** By the classes of the Arm Architecture Reference Manual, C4.1; coarse where that changes no answer. */
export function registersArm64(bytes: Uint8Array): RegisterUse {
  const word =
    bytes.length < 4 ? 0 : new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength).getUint32(0, true);
  const { reads, writes, changes = [], isStore } = setsOf(word);
  const memory =
    isStore === undefined
      ? []
      : [
          {
            base: rn(word) === 31 ? 'sp' : `x${rn(word)}`,
            displacement: 0,
            isRead: !isStore,
            isWritten: isStore,
          },
        ];
  // SUBS and ADDS to the zero register, CCMP and CCMN: of registers, and with a number.
  const ofRegisters = is(word, 0x3f20001f, 0x2b00001f) || is(word, 0x3fe0001f, 0x2b20001f);
  const withNumber = is(word, 0x3f80001f, 0x3100001f) || is(word, 0x1fe00800, 0x1a400800);
  const isConditional = is(word, 0x1fe00800, 0x1a400000);
  return {
    reads,
    writes,
    changes,
    readParts: reads.flatMap(partsOfRegister),
    writtenParts: writes.flatMap(partsOfRegister),
    implicit: [],
    memory,
    isPush: false,
    isComparison: ofRegisters || withNumber || isConditional,
    comparesConstant: withNumber,
    isMove: is(word, 0x7fe0ffe0, 0x2a0003e0),
  };
}

function setsOf(word: number): Sets {
  switch ((word >>> 25) & 0xf) {
    case 8:
    case 9:
      return immediate(word);
    case 10:
    case 11:
      return branch(word);
    case 4:
    case 6:
    case 12:
    case 14:
      return loadStore(word);
    case 5:
    case 13:
      return register(word);
    case 7:
    case 15:
      return vector(word);
    default:
      return { reads: [], writes: [] };
  }
}

const rd = (word: number) => word & 31;
const rn = (word: number) => (word >>> 5) & 31;
const ra = (word: number) => (word >>> 10) & 31;
const rm = (word: number) => (word >>> 16) & 31;
const is = (word: number, mask: number, value: number) => (word & mask) >>> 0 === value;

function immediate(word: number): Sets {
  const isPcRelative = is(word, 0x1f000000, 0x10000000);
  const isMoveWide = is(word, 0x1f800000, 0x12800000);
  const isKeep = isMoveWide && is(word, 0x60000000, 0x60000000);
  const isBitfieldMove = is(word, 0x7f800000, 0x33000000);
  const isExtract = is(word, 0x1f800000, 0x13800000);
  if (isPcRelative || (isMoveWide && !isKeep)) return { reads: [], writes: X(rd(word)) };
  if (isKeep) return { reads: X(rd(word)), writes: X(rd(word)) };
  return {
    reads: [...X(rn(word)), ...(isExtract ? X(rm(word)) : []), ...(isBitfieldMove ? X(rd(word)) : [])],
    writes: X(rd(word)),
  };
}

function branch(word: number): Sets {
  if (is(word, 0x7e000000, 0x34000000) || is(word, 0x7e000000, 0x36000000))
    return { reads: X(rd(word)), writes: [] };
  if (is(word, 0xfe000000, 0xd6000000)) return { reads: X(rn(word)), writes: [] };
  if (is(word, 0xfff00000, 0xd5300000)) return { reads: [], writes: X(rd(word)) };
  if (is(word, 0xfff00000, 0xd5100000)) return { reads: X(rd(word)), writes: [] };
  return { reads: [], writes: [] };
}

function loadStore(word: number): Sets {
  const isVector = (word & 0x04000000) !== 0;
  const data = isVector ? V : X;
  const isPair = is(word, 0x3a000000, 0x28000000);
  const isLiteral = is(word, 0x3b000000, 0x18000000);
  const isExclusive = is(word, 0x3f000000, 0x08000000);
  const isAtomic = is(word, 0x3b200c00, 0x38200000);
  if (isLiteral) return { reads: [], writes: data(rd(word)) };
  const isLoad = (word & (isPair || isExclusive ? 0x00400000 : isVector ? 0x00400000 : 0x00c00000)) !== 0;
  const hasIndex = is(word, 0x3b200c00, 0x38200800);
  const writesBase = isPair ? (word & 0x00800000) !== 0 : is(word, 0x3b200400, 0x38000400);
  const values = [...data(rd(word)), ...(isPair ? data(ra(word)) : [])];
  return {
    reads: [
      ...X(rn(word)),
      ...(hasIndex || isExclusive || isAtomic ? X(rm(word)) : []),
      ...(isLoad && !isAtomic ? [] : isAtomic ? [] : values),
    ],
    writes: [...(isLoad || isAtomic ? values : [])],
    isStore: !isLoad || isAtomic,
    changes: [...(writesBase ? X(rn(word)) : []), ...(isExclusive && !isLoad ? X(rm(word)) : [])],
  };
}

function register(word: number): Sets {
  const isThreeSources = is(word, 0x1f000000, 0x1b000000);
  const isOneSource = is(word, 0x5fe00000, 0x5ac00000);
  const isCompare = is(word, 0x1fe00000, 0x1a400000);
  const isImmediateCompare = isCompare && (word & 0x800) !== 0;
  return {
    reads: [
      ...X(rn(word)),
      ...(isOneSource || isImmediateCompare ? [] : X(rm(word))),
      ...(isThreeSources ? X(ra(word)) : []),
    ],
    writes: isCompare ? [] : X(rd(word)),
  };
}

function vector(word: number): Sets {
  const isConversion = is(word, 0x5f20fc00, 0x1e200000);
  if (isConversion) {
    const operation = (word >>> 16) & 7;
    const toVector = operation === 2 || operation === 3 || operation === 7;
    return toVector
      ? { reads: X(rn(word)), writes: V(rd(word)) }
      : { reads: V(rn(word)), writes: X(rd(word)) };
  }
  // DUP (general), INS (general), UMOV and SMOV.
  if (is(word, 0xbfe0fc00, 0x0e000c00)) return { reads: X(rn(word)), writes: V(rd(word)) };
  if (is(word, 0xffe0fc00, 0x4e001c00)) return { reads: X(rn(word)), writes: [], changes: V(rd(word)) };
  if (is(word, 0xbfe0ec00, 0x0e002c00)) return { reads: V(rn(word)), writes: X(rd(word)) };
  const hasNoSource = is(word, 0x9ff80400, 0x0f000400) || is(word, 0xff201fe0, 0x1e201000);
  if (hasNoSource) return { reads: [], writes: V(rd(word)) };
  const isFloatCompare = is(word, 0xff203c00, 0x1e202000);
  const hasOneSource =
    is(word, 0xff207c00, 0x1e204000) ||
    is(word, 0x9f3e0c00, 0x0e200800) ||
    is(word, 0x9f3e0c00, 0x0e300800) ||
    is(word, 0xdf3e0c00, 0x5e200800) ||
    is(word, 0x9f800400, 0x0f000400) ||
    is(word, 0xdf800400, 0x5f000400) ||
    is(word, 0x9fe08400, 0x0e000400) ||
    (isFloatCompare && (word & 8) !== 0);
  return {
    reads: [...V(rn(word)), ...(hasOneSource ? [] : V(rm(word)))],
    writes: isFloatCompare ? [] : V(rd(word)),
  };
}
