import { isExecutable } from '../../image/index.js';
import type { FrameRegisters } from '../threads/index.js';
import { readCode, readStack, type Unwinder, type UnwindSource } from './unwinder.js';

const PUSH_EBP = 0x55;
const RET = 0xc3;
const RET_N = 0xc2;

/**
 * One frame by frame pointer. Before `push ebp` and at a `ret` the return address is on top of the stack. Where ebp is no
 * frame pointer (functions built without one), the nearest slot above that holds a plausible return address is taken.
 */
export const unwindX86: Unwinder = (registers, source, innermost) => {
  const pc = registers.get('eip') ?? 0n;
  const esp = registers.get('esp') ?? 0n;
  const ebp = registers.get('ebp') ?? 0n;
  const image = source.imageAt(pc);
  if (innermost && image !== undefined) {
    const rva = image.rva(pc);
    const near = rva < image.sizeOfImage ? image.symbols.byAddress(rva) : undefined;
    const [opcode] = readCode(source, pc, 1);
    const entry = near === undefined ? pc : pc - BigInt(near.offset);
    const [first] = readCode(source, entry, 1);
    // Entry, its padding, and the HPAT: nothing has been pushed.
    const nothingPushed = near === undefined || near.offset === 0 || opcode === RET || opcode === RET_N;
    if (nothingPushed) return popReturnAddress(registers, source, esp);
    if (near.offset === 1 && first === PUSH_EBP) return popReturnAddress(registers, source, esp + 4n);
  }
  const saved = readStack(source, ebp, 4);
  const target = readStack(source, ebp + 4n, 4);
  if (ebp >= esp && saved !== undefined && target !== undefined && isReturnAddress(source, target))
    return new Map([
      ['eip', target],
      ['esp', ebp + 8n],
      ['ebp', saved],
    ]);
  for (let at = esp; at + 4n <= source.stack.end; at += 4n) {
    const candidate = readStack(source, at, 4);
    if (candidate !== undefined && isReturnAddress(source, candidate))
      return new Map([
        ['eip', candidate],
        ['esp', at + 4n],
        ['ebp', ebp],
      ]);
  }
  return undefined;
};

function popReturnAddress(
  registers: FrameRegisters,
  source: UnwindSource,
  at: bigint,
): FrameRegisters | undefined {
  const target = readStack(source, at, 4);
  return target === undefined ? undefined : new Map(registers).set('eip', target).set('esp', at + 4n);
}

const SENTINEL = 0xffff_f000n;

/** Does the address lie in an image's code, right behind a call? */
function isReturnAddress(source: UnwindSource, address: bigint): boolean {
  if (address === SENTINEL) return true;
  const image = source.imageAt(address);
  if (image === undefined) return false;
  const section = image.image.sectionAt(image.rva(address));
  if (section === undefined || !isExecutable(section)) return false;
  const before = readCode(source, address - 7n, 7);
  if (before[2] === 0xe8) return true;
  return [5, 4, 3, 2, 1, 0].some((at) => before[at] === 0xff && ((before[at + 1] ?? 0) & 0x38) === 0x10);
}
