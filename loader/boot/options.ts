import {
  FLAG,
  FUNCTION,
  NUMBER,
  type OptionTable,
  optional,
  optionsOf,
  TEXT,
  whole,
  wordOf,
} from '../common/index.js';
import type { BootOptions } from './boot.js';
import type { BootSeams } from './seams.js';
import { WINDOWS_BUILDS } from './windows-build.js';

const SEAMS = optionsOf<BootSeams>({
  writer: optional(FUNCTION),
  before: optional(FUNCTION),
  call: optional(FUNCTION),
});

/** What the options of a boot may be. */
export const BOOT_OPTIONS: OptionTable<BootOptions> = {
  architecture: TEXT,
  windowsBuild: optional(wordOf(WINDOWS_BUILDS)),
  processors: optional(NUMBER),
  hotPatchTableSize: optional(NUMBER),
  vbs: optional(FLAG),
  retpoline: optional(FLAG),
  kernelControlFlowGuard: optional(FLAG),
  hpatLayout: optional(wordOf(['pairs', 'pointers'])),
  instructionFetch: optional(wordOf(['coherent', 'weak'])),
  seed: optional(whole(Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER, 'a whole number')),
  memorySize: optional(NUMBER),
  seams: optional(SEAMS),
  heap: optional(wordOf(['normal', 'checked'])),
};
