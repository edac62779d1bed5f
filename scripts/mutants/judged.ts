import type { Mutant } from './schemata.js';

interface Judgement {
  readonly file: string;
  readonly change: string;
  /** The code that is changed, as the report prints it, or the beginning of it. */
  readonly code: string;
  readonly why: string;
}

/** Mutants that no test can notice, each with the reason. */
const JUDGED: readonly Judgement[] = [
  {
    file: 'src/engine/2003/apply-code-patch.ts',
    change: 'leave out of ||',
    code: '!isHere(targetAddress)',
    why: 'Where there is no memory the store fails too, with the same status.',
  },
  {
    file: 'src/engine/2003/apply.ts',
    change: '+ becomes -',
    code: 'FLG_HOTPATCH.ACTIVE * Number(active) + FLG_HOTPATCH.WOW64 * Number(isWow64(domain))',
    why: 'Of the flags in a CodeInfo only ACTIVE is read, which both have.',
  },
  {
    file: 'src/engine/2003/code-information.ts',
    change: '+ becomes -',
    code: 'at + DESCRIPTOR.targetAddress',
    why: 'It is the first field of the descriptor, at offset 0.',
  },
  {
    file: 'src/engine/2003/inject.ts',
    change: 'leave out',
    code: 'new CodeInformation(domain.addressSpace, address, buffer.length, pointerSize).patchingFinished',
    why: 'The structure is freed before anybody else runs.',
  },
  {
    file: 'src/engine/2003/plan.ts',
    change: '> becomes >=',
    code: 'target.dllBase > loaded.dllBase',
    why: 'Two images never have one base.',
  },
  {
    file: 'src/engine/2003/updater.ts',
    change: '+ becomes -',
    code: 'common + FLG_HOTPATCH.KERNEL',
    why: 'KERNEL is the highest of 32 bits: modulo 2^32 both are the same.',
  },
];

/** Why a surviving mutant is of no matter, if somebody has said so. */
export function judgementOf({ file, change, code }: Mutant): string | undefined {
  return JUDGED.find((one) => one.file === file && one.change === change && code.startsWith(one.code))?.why;
}
