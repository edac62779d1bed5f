import type { RegisterArm64 } from './arm64-codes.js';

/** Packed unwind data: a whole prolog and epilog of canonical form in one word (ARM64, "Packed unwind data"). */
export interface PackedUnwindArm64 {
  /** Which of the two forms it is. */
  readonly form: 'packed';
  /** 1: a function with prolog and epilog; 2: a fragment without; 3: reserved. */
  readonly flag: number;
  /** Bytes. */
  readonly functionLength: number;
  /** Number of saved floating-point registers minus one; 0: none. */
  readonly regF: number;
  /** Number of saved registers x19, x20, … */
  readonly regI: number;
  /** Whether x0-x7 are homed at the prolog's start. */
  readonly homedParameters: boolean;
  /** 0 unchained, 1 lr is saved, 2 chained with a signed return address, 3 chained. */
  readonly cr: number;
  /** Bytes. */
  readonly frameSize: number;
  /** The canonical prolog that the word stands for, in the order of execution; a fragment's ran elsewhere. */
  readonly prolog: readonly PrologStepArm64[];
}

/** What an instruction of a canonical prolog does. */
export type PrologStepArm64 =
  | {
      readonly op: 'save';
      readonly registers: readonly RegisterArm64[];
      readonly offset: number;
      readonly preIndexed: boolean;
    }
  | { readonly op: 'alloc'; readonly size: number }
  | { readonly op: 'set_fp' }
  | { readonly op: 'pac_sign_lr' };

export function readPackedUnwind(word: number): PackedUnwindArm64 {
  const packed = {
    flag: word & 3,
    functionLength: 4 * ((word >>> 2) & 0x7ff),
    regF: (word >>> 13) & 7,
    regI: (word >>> 16) & 15,
    homedParameters: ((word >>> 20) & 1) !== 0,
    cr: (word >>> 21) & 3,
    frameSize: 16 * (word >>> 23),
  };
  return { form: 'packed', ...packed, prolog: packed.flag === 3 ? [] : expand(packed) };
}

type Fields = Pick<PackedUnwindArm64, 'regF' | 'regI' | 'homedParameters' | 'cr' | 'frameSize'>;

/**
 * The canonical prolog, steps 0 to 5 of the format's description: sign, save the integer registers, then lr with them,
 * the floating-point registers, the homed parameters, then the frame record or the locals. The first store allocates
 * the whole save area.
 */
function expand({ regF, regI, homedParameters, cr, frameSize }: Fields): PrologStepArm64[] {
  const steps: PrologStepArm64[] = [];
  let intSize = 8 * regI;
  if (cr === 1) intSize += 8;
  const fpRegisters = regF === 0 ? 0 : regF + 1;
  // Without another saved register no store allocates the save area, and the homed parameters count as locals.
  const homed = homedParameters && (intSize > 0 || fpRegisters > 0);
  const homeSize = homed ? 64 : 0;
  const saveSize = (intSize + 8 * fpRegisters + homeSize + 15) & ~15;
  const localSize = frameSize - saveSize;

  let at = 0;
  let allocated = false;
  const save = (registers: readonly RegisterArm64[]) => {
    // No unwind code describes a pre-indexed store of a register together with lr.
    if (!allocated && registers.length === 2 && registers[1] === 'lr') {
      steps.push({ op: 'alloc', size: saveSize });
      allocated = true;
    }
    if (!allocated) steps.push({ op: 'save', registers, offset: saveSize, preIndexed: true });
    else steps.push({ op: 'save', registers, offset: at, preIndexed: false });
    allocated = true;
    at += 8 * registers.length;
  };

  if (cr === 2) steps.push({ op: 'pac_sign_lr' });
  for (let i = 0; i + 1 < regI; i += 2) save([`x${19 + i}`, `x${20 + i}`]);
  if (regI % 2 === 1) save(cr === 1 ? [`x${18 + regI}`, 'lr'] : [`x${18 + regI}`]);
  else if (cr === 1) save(['lr']);
  for (let i = 0; i + 1 < fpRegisters; i += 2) save([`d${8 + i}`, `d${9 + i}`]);
  if (fpRegisters % 2 === 1) save([`d${7 + fpRegisters}`]);
  // The parameters are homed right below the stack arguments, so that variable arguments lie in a row.
  if (homed) at = saveSize - 64;
  if (homed) for (let i = 0; i < 8; i += 2) save([`x${i}`, `x${i + 1}`]);

  if (cr === 2 || cr === 3) {
    if (localSize <= 512)
      steps.push({ op: 'save', registers: ['fp', 'lr'], offset: localSize, preIndexed: true });
    else {
      steps.push(...allocations(localSize), {
        op: 'save',
        registers: ['fp', 'lr'],
        offset: 0,
        preIndexed: false,
      });
    }
    steps.push({ op: 'set_fp' });
  } else if (localSize > 0) steps.push(...allocations(localSize));
  return steps;
}

/** One `sub sp` takes at most 4080 bytes. */
function allocations(size: number): PrologStepArm64[] {
  return size <= 4080
    ? [{ op: 'alloc', size }]
    : [
        { op: 'alloc', size: 4080 },
        { op: 'alloc', size: size - 4080 },
      ];
}
