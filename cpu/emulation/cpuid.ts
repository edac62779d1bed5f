/** EAX, EBX, ECX, EDX. */
export type CpuidAnswer = readonly [number, number, number, number];

const NOTHING: CpuidAnswer = [0, 0, 0, 0];

/** A string of 12 or 16 bytes, four to a register. */
const text = (value: string): number[] =>
  Array.from({ length: value.length / 4 }, (_, word) =>
    [3, 2, 1, 0].reduce((bits, byte) => bits * 256 + value.charCodeAt(word * 4 + byte), 0),
  );

const bits = (...positions: readonly number[]): number =>
  positions.reduce((value, position) => (value | (1 << position)) >>> 0, 0);

const HIGHEST = 0x0d;
const HIGHEST_EXTENDED = 0x8000_0008;
const [VENDOR_B = 0, VENDOR_D = 0, VENDOR_C = 0] = text('GenuineIntel');
/** Family 6, model 0x3c (Haswell), stepping 4: what the engine models. */
const SIGNATURE = 0x0003_06c4;

/**
 * Leaf 1, ECX: SSE3, PCLMULQDQ, SSSE3, CMPXCHG16B, SSE4.1, SSE4.2, MOVBE, POPCNT, AES, RDRAND. Not FMA, AVX, F16C, XSAVE and
 * OSXSAVE: the engine has no registers for them. Not the hypervisor bit: nothing answers at its leaves.
 */
const LEAF_1_ECX = bits(0, 1, 9, 13, 19, 20, 22, 23, 25, 30);
/** Leaf 1, EDX: FPU, VME, DE, PSE, TSC, MSR, PAE, MCE, CX8, APIC, SEP, MTRR, PGE, MCA, CMOV, PAT, PSE36, CLFSH, MMX, FXSR, SSE, SSE2. */
const LEAF_1_EDX = bits(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 12, 13, 14, 15, 16, 17, 19, 23, 24, 25, 26);
/** Leaf 7, EBX: FSGSBASE, BMI1, SMEP, BMI2, ERMS, RDSEED. Not ADX: the engine takes ADCX and ADOX for invalid. */
const LEAF_7_EBX = bits(0, 3, 7, 8, 9, 18);
/** Leaf 0x80000001, ECX: LAHF in 64-bit mode, LZCNT. */
const EXTENDED_1_ECX = bits(0, 5);
/** … EDX: SYSCALL, NX, RDTSCP, long mode. */
const EXTENDED_1_EDX = bits(11, 20, 27, 29);
const BRAND = text('hotpatch-lab simulated processor'.padEnd(48, '\0'));

const brand = (part: number): CpuidAnswer => {
  const [a = 0, b = 0, c = 0, d = 0] = BRAND.slice(part * 4, part * 4 + 4);
  return [a, b, c, d];
};

/**
 * What CPUID says (Intel SDM vol. 2, "CPUID"): only what guest code gets right here, and nothing of the host: no clock
 * frequencies (leaves 0x15 and 0x16), no hypervisor. `processor`: its index, which is its APIC ID.
 */
export function cpuid(leaf: number, subleaf: number, processor: number, processors: number): CpuidAnswer {
  switch (leaf >>> 0) {
    case 0:
      return [HIGHEST, VENDOR_B, VENDOR_C, VENDOR_D];
    case 1: {
      const ebx = ((processor << 24) | (processors << 16) | (8 << 8)) >>> 0; // CLFLUSH line of 64 bytes
      return [SIGNATURE, ebx, LEAF_1_ECX, LEAF_1_EDX];
    }
    case 7:
      return subleaf === 0 ? [0, LEAF_7_EBX, 0, 0] : NOTHING;
    case 0x8000_0000:
      return [HIGHEST_EXTENDED, 0, 0, 0];
    case 0x8000_0001:
      return [0, 0, EXTENDED_1_ECX, EXTENDED_1_EDX];
    case 0x8000_0002:
    case 0x8000_0003:
    case 0x8000_0004:
      return brand((leaf & 7) - 2);
    case 0x8000_0008:
      return [0x3028, 0, 0, 0]; // 40 physical, 48 virtual address bits
    default:
      return NOTHING;
  }
}
