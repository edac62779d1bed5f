import { instructionFacts, PAGE_SIZE } from '../../cpu/index.js';
import type { DynamicFixup, PeImage } from '../../image/index.js';
import { hex, KernelError } from '../common/index.js';
import type { ImageDomain } from './image-domain.js';

export const RETPOLINE_PAGE_SIZE = PAGE_SIZE;

/**
 * Offsets of the routines in an image's retpoline page. The set is that of _RTL_RETPOLINE_ROUTINES
 * (docs/fidelity.md#hpat-and-trampolines); their places and bytes are modelled (docs/fidelity.md#u-19).
 */
const ROUTINE_SIZE = 0x20;
export const RETPOLINE_ROUTINES = {
  switchtableJump: (register: number): number => register * ROUTINE_SIZE,
  cfgIndirectRax: 16 * ROUTINE_SIZE,
  nonCfgIndirectRax: 17 * ROUTINE_SIZE,
  importR10: 18 * ROUTINE_SIZE,
  jumpHpat: 19 * ROUTINE_SIZE,
} as const;

/**
 * Build 26100 maps one section, KSCP, in place of the retpoline page: `__guard_retpoline_jump_hpat` lies at +0x580, the
 * next routine at +0x5A0, the dispatch of the kernel's control flow guard at +0x780. Its other places and all bytes are
 * modelled.
 */
export const KSCP_ROUTINES = { ...RETPOLINE_ROUTINES, jumpHpat: 0x580, guardDispatch: 0x780 } as const;

/** The page behind an image of a process in build 26100 holds the dispatch of control flow guard; where is modelled. */
export const SCP_ROUTINES = { guardDispatch: 0x780, guardDispatchSize: 2 } as const;

const RAX = 0;
const R10 = 10;
const R11 = 11;
/** From the return address of the HPAT entry's call (5 bytes) to its data slot one page behind the entry. */
const DATA_SLOT_DISTANCE = 0xffb;

/** `call 1f; 0: pause; lfence; jmp 0b; 1: mov [rsp], register; ret`: speculation is caught in the loop at 0. */
function jumpRegister(register: number): number[] {
  const move = [register < 8 ? 0x48 : 0x4c, 0x89, 0x04 | ((register & 7) << 3), 0x24];
  return [0xe8, 0x07, 0, 0, 0, 0xf3, 0x90, 0x0f, 0xae, 0xe8, 0xeb, 0xf9, ...move, 0xc3];
}

/** `pop r11; mov r11, [r11+0xffb]`, then a retpoline through r11: only r11 and the stack below rsp are used. */
function jumpHpat(): number[] {
  const displacement = [DATA_SLOT_DISTANCE & 0xff, DATA_SLOT_DISTANCE >> 8, 0, 0];
  return [0x41, 0x5b, 0x4d, 0x8b, 0x9b, ...displacement, ...jumpRegister(R11)];
}

/** The contents of a retpoline page. */
export function retpolinePage(): Uint8Array {
  const page = new Uint8Array(RETPOLINE_PAGE_SIZE).fill(0xcc);
  for (let register = 0; register < 16; register++)
    page.set(jumpRegister(register), RETPOLINE_ROUTINES.switchtableJump(register));
  page.set(jumpRegister(RAX), RETPOLINE_ROUTINES.cfgIndirectRax);
  page.set(jumpRegister(RAX), RETPOLINE_ROUTINES.nonCfgIndirectRax);
  page.set(jumpRegister(R10), RETPOLINE_ROUTINES.importR10);
  page.set(jumpHpat(), RETPOLINE_ROUTINES.jumpHpat);
  return page;
}

/** The contents of a KSCP page. */
export function kernelSpeculationControlPage(): Uint8Array {
  const page = retpolinePage();
  page.fill(0xcc, RETPOLINE_ROUTINES.jumpHpat, RETPOLINE_ROUTINES.jumpHpat + ROUTINE_SIZE);
  page.set(jumpHpat(), KSCP_ROUTINES.jumpHpat);
  page.set(JUMP_RAX, KSCP_ROUTINES.guardDispatch);
  return page;
}

/** `jmp rax`: calls that control flow guard has checked go on with their target in rax. */
const JUMP_RAX = [0xff, 0xe0];

/** Maps the page of speculation control behind an image of a process. */
export function mapSpeculationControlPage(
  { table, addressSpace, machine }: ImageDomain,
  address: bigint,
): void {
  const page = new Uint8Array(RETPOLINE_PAGE_SIZE).fill(0xcc);
  page.set(JUMP_RAX, SCP_ROUTINES.guardDispatch);
  table.commit(address, 1, 'PAGE_EXECUTE_READ');
  machine.writeCode(addressSpace, address, page, { writer: 'alias' });
}

/** Maps an image's retpoline page, or KSCP; returns the address of `__guard_retpoline_jump_hpat` in it. */
export function mapRetpolinePage(
  { table, addressSpace, machine }: ImageDomain,
  address: bigint,
  kind: 'RETPOL' | 'KSCP',
): bigint {
  const isKscp = kind === 'KSCP';
  table.commit(address, 1, 'PAGE_EXECUTE_READ');
  const page = isKscp ? kernelSpeculationControlPage() : retpolinePage();
  machine.writeCode(addressSpace, address, page, { writer: 'vtl1' });
  return address + BigInt((isKscp ? KSCP_ROUTINES : RETPOLINE_ROUTINES).jumpHpat);
}

/**
 * Rewrites every indirect branch that the image's dynamic relocations list (symbols 3, 4 and 5) into a call or jump to
 * the image's retpoline page.
 * @param pageRva distance from the image's base to that page
 */
export function applyRetpoline(image: PeImage, layout: Uint8Array, pageRva: number): void {
  for (const { fixups } of image.dynamicRelocations)
    for (const fixup of fixups) rewrite(image, layout, pageRva, fixup);
}

const CALL = 0xe8;
const JUMP = 0xe9;
const BRANCH_SIZE = 5;

function rewrite(image: PeImage, layout: Uint8Array, pageRva: number, fixup: DynamicFixup): void {
  const { rva } = fixup;
  const branchTo = (at: number, opcode: number, routine: number): void => {
    layout[at] = opcode;
    const view = new DataView(layout.buffer, layout.byteOffset);
    view.setInt32(at + 1, pageRva + routine - (at + BRANCH_SIZE), true);
  };
  switch (fixup.kind) {
    case 'importControlTransfer': {
      // `rex.w call/jmp [rip+iat]` (7 bytes) and 5 of padding become `mov r10, [rip+iat]` and a branch.
      expectRoom(image, layout, rva, 12);
      layout.set([0x4c, 0x8b, 0x15], rva);
      branchTo(rva + 7, fixup.indirectCall ? CALL : JUMP, RETPOLINE_ROUTINES.importR10);
      return;
    }
    case 'indirControlTransfer': {
      const { cfgCheck, indirectCall } = fixup;
      const length = expectRoom(image, layout, rva, BRANCH_SIZE);
      branchTo(
        rva,
        indirectCall ? CALL : JUMP,
        cfgCheck ? RETPOLINE_ROUTINES.cfgIndirectRax : RETPOLINE_ROUTINES.nonCfgIndirectRax,
      );
      if (length > BRANCH_SIZE) layout.fill(0x90, rva + BRANCH_SIZE, rva + length);
      return;
    }
    case 'switchTableBranch':
      expectRoom(image, layout, rva, BRANCH_SIZE);
      branchTo(rva, JUMP, RETPOLINE_ROUTINES.switchtableJump(fixup.registerNumber));
      return;
    default:
      return;
  }
}

/** The branch at `rva` and the padding behind it must hold the new code; returns the branch's length. */
function expectRoom(image: PeImage, layout: Uint8Array, rva: number, size: number): number {
  const refuse = (message: string) =>
    new KernelError({
      rule: 'retpoline.fixup',
      status: 'STATUS_INVALID_IMAGE_FORMAT',
      image: image.file ?? 'image',
      message: `dynamic relocation at RVA ${hex(rva)}: ${message}`,
    });
  if (rva + size > layout.length) throw refuse('lies outside the image');
  const { length } = instructionFacts('x64', layout.subarray(rva, rva + 15), 0n);
  for (let at = rva + length; at < rva + size; ) {
    if (layout[at] === 0xcc) {
      at += 1;
      continue;
    }
    const facts = instructionFacts('x64', layout.subarray(at, at + 15), 0n);
    const isNop =
      layout[at] === 0x90 || (layout[at] === 0x0f && layout[at + 1] === 0x1f) || layout[at] === 0x66;
    if (!isNop) throw refuse('there is no padding behind the branch');
    at += facts.length;
  }
  return length;
}
