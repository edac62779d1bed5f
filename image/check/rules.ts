import type { Severity } from '../hotpatch/rules.js';

interface CheckRuleData {
  readonly severity: Severity;
  readonly description: string;
  /** What to change in the build. */
  readonly advice: string;
}

/** What an image needs so that its functions can be hotpatched. `function.*`: about one function. */
export const CHECK_RULES = {
  'image.machine': {
    severity: 'error',
    description: 'hotpatches of the 2003 generation are for I386 and AMD64',
    advice: 'build the image for x86 or x64',
  },
  'checkSum.absent': {
    severity: 'error',
    description: 'CheckSum is zero: a hotpatch finds its base by it',
    advice: 'link with /RELEASE',
  },
  'checkSum.wrong': {
    severity: 'error',
    description: 'CheckSum is not that of the file',
    advice: 'do not change the file after linking, or write the checksum again',
  },
  'timeDateStamp.absent': {
    severity: 'warning',
    description: 'TimeDateStamp is zero: a hotpatch finds its base by CheckSum and TimeDateStamp',
    advice: 'link with /BREPRO or a real time stamp',
  },
  'relocations.stripped': {
    severity: 'warning',
    description: 'the image has no base relocations and must be loaded at its preferred base',
    advice: 'link with /DYNAMICBASE, without /FIXED',
  },
  'loadConfig.absent': {
    severity: 'error',
    description:
      'there is no load configuration, so a hotpatch built from the same sources cannot carry its table',
    advice: 'link an object that defines _load_config_used (x86: __load_config_used)',
  },
  'loadConfig.size': {
    severity: 'error',
    description: 'the load configuration is too short for HotPatchTableOffset',
    advice: 'use the load configuration of a current Windows SDK: at least 0xf4 bytes (PE32+), 0x98 (PE32)',
  },
  'loadConfig.directorySize': {
    severity: 'error',
    description: "the data directory's size of the load configuration differs from its Size field",
    advice: 'relink with a current linker',
  },
  'exDllCharacteristics.hotPatchCompatible': {
    severity: 'error',
    description: 'the debug directory does not say HOTPATCH_COMPATIBLE',
    advice: 'link with /HOTPATCHCOMPATIBLE (lld-link: also /FUNCTIONPADMIN:6)',
  },
  'guard.absent': {
    severity: 'warning',
    description: 'the image is built without control flow guard',
    advice: 'compile with /guard:cf and link with /GUARD:CF',
  },
  'guard.functionTable': {
    severity: 'warning',
    description: 'the image checks its calls but has no table of valid call targets',
    advice: 'link with /GUARD:CF and a load configuration that refers to the table',
  },
  'guard.xfg': {
    severity: 'warning',
    description:
      'extended flow guard keeps a hash in the eight bytes before a function, where the trampoline goes',
    advice: 'build without /guard:xfg',
  },
  'unwind.absent': {
    severity: 'error',
    description: 'there is no function table (.pdata): stacks cannot be walked through this image',
    advice: 'compile with -fasynchronous-unwind-tables; -ffreestanding alone leaves it out',
  },
  'symbols.absent': {
    severity: 'error',
    description: 'no PDB or map beside the image: functions without padding can only be found through one',
    advice: 'keep the PDB or link with /MAP, or name it with --symbols',
  },
  'symbols.incomplete': {
    severity: 'warning',
    description:
      'no PDB or map beside the image: only exported functions and those with unwind data are checked',
    advice: 'keep the PDB or link with /MAP, or name it with --symbols',
  },
  'compiler.hotPatch': {
    severity: 'warning',
    description: 'an object file was compiled without hotpatch support',
    advice: 'compile it with /hotpatch (clang: -fms-hotpatch)',
  },
  'function.padding': {
    severity: 'error',
    description: 'too few bytes of padding before the function',
    advice: 'link with /FUNCTIONPADMIN:6 and compile with -ffunction-sections (or /Gy)',
  },
  'function.neverLeaves': {
    severity: 'error',
    description: 'code of the function never leaves it: a thread in there would run the old code for ever',
    advice: 'end the loop from outside',
  },
  'function.firstInstruction': {
    severity: 'error',
    description: 'the first instruction is shorter than the 2-byte jump that replaces it',
    advice: 'compile with /hotpatch (clang: -fms-hotpatch)',
  },
  'function.fallThrough': {
    severity: 'warning',
    description:
      'the function before runs through the no-operations of the padding into this one: it would execute the jump in the padding, which not all of it may fit',
    advice: 'end the function before with a jump or a return',
  },
  'function.discardable': {
    severity: 'error',
    description: 'the function lies in a section that is freed after initialisation (MEM_DISCARDABLE)',
    advice: 'keep what may have to be fixed out of INIT',
  },
  'function.invalid': {
    severity: 'error',
    description: 'the function does not begin with an instruction',
    advice: 'is this symbol really a function?',
  },
  'function.jumpTarget': {
    severity: 'error',
    description: 'a branch leads between the bytes that the patch replaces',
    advice: 'compile with /hotpatch (clang: -fms-hotpatch)',
  },
  'function.loopToEntry': {
    severity: 'warning',
    description: 'the function jumps back to its own entry: a running call could change over to the new code',
    advice: 'compile with /hotpatch (clang: -fms-hotpatch)',
  },
  'function.size': {
    severity: 'error',
    description: 'the function is smaller than what the patch replaces',
    advice: 'align and pad functions; see function.padding',
  },
  'function.alignment': {
    severity: 'error',
    description: 'an ARM64 function must begin at a multiple of 4',
    advice: 'is this symbol really a function?',
  },
  'function.relocation': {
    severity: 'warning',
    description:
      'a base relocation changes the bytes that the patch replaces: they differ from those in the file',
    advice: 'a hotpatch for this function must not expect original bytes',
  },
  'function.folded': {
    severity: 'warning',
    description: 'several functions share this address: a patch of one is a patch of all',
    advice: 'link with /OPT:NOICF',
  },
  'function.unwind': {
    severity: 'warning',
    description: 'the function calls others but has no unwind data',
    advice: 'write unwind directives in assembly, or compile with -fasynchronous-unwind-tables',
  },
} as const satisfies Record<string, CheckRuleData>;

/** Stable name of a rule of the check. */
export type CheckRuleId = keyof typeof CHECK_RULES;

/** What the check has to say of a function or an image. */
export interface CheckFinding {
  /** Stable name of the rule. */
  readonly rule: CheckRuleId;
  /** `error`: it cannot be hotpatched so. */
  readonly severity: Severity;
  /** What is wrong, in this very place. */
  readonly message: string;
  /** What to change in the build. */
  readonly advice: string;
}

export function checkFinding(rule: CheckRuleId, detail?: string): CheckFinding {
  const { severity, description, advice } = CHECK_RULES[rule];
  return {
    rule,
    severity,
    message: detail === undefined ? description : `${description}: ${detail}`,
    advice,
  };
}
