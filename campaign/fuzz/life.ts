import type { ArchitectureName } from '../../cpu/index.js';
import { HotPatchError } from '../../engine/index.js';
import { type BuiltImage, ImageBuilder, ImageError, type PeImage, readImage } from '../../image/index.js';
import { Lab } from '../../lab/index.js';
import { BugCheck, GuestCrash, KernelError } from '../../loader/index.js';
import { differences, systemState } from '../../proof/index.js';
import type { CaseResult } from './fuzzer.js';

/** What became of a hotpatch image that was loaded, applied, called and taken back: `refused RULE`, `applied, taken back` … */
export type LifeResult = Omit<CaseResult, 'input'>;

/** Code that is the same at every address: `mov eax, n; ret` and its like. */
const RETURN: Readonly<Record<ArchitectureName, (n: number) => number[]>> = {
  x64: (n) => [0xb8, n, 0, 0, 0, 0xc3],
  x86: (n) => [0xb8, n, 0, 0, 0, 0xc3],
  arm64: (n) => [(n << 5) & 0xff, n >> 3, 0x80, 0x52, 0xc0, 0x03, 0x5f, 0xd6],
};

/** A driver with three functions, a pointer table and data. */
export function lifeBase(architecture: ArchitectureName): BuiltImage {
  return new ImageBuilder(architecture, { name: 'base.sys' })
    .code('f', RETURN[architecture](1))
    .code('h', RETURN[architecture](2))
    .code('k', RETURN[architecture](3))
    .data('counter', new Uint8Array(16))
    .pointers('table', ['f', 'h', 'k'])
    .data('constant', [1, 2, 3, 4], { section: '.rdata' })
    .import('ntoskrnl.exe', ['DbgPrint'])
    .export('f')
    .loadConfig()
    .build();
}

const MACHINE_FLAG = { x86: 0x04, arm64: 0x08, x64: 0x10 } as const;
const CAN_ROLL_BACK = 0x02;

/** A hotpatch for it: two functions, a backward function, a pointer to the base's data, an entry of the import table. */
export function lifePatch(architecture: ArchitectureName, base: BuiltImage): BuiltImage {
  return new ImageBuilder(architecture, { name: 'patch.sys', timeDateStamp: 0x6000_0000 })
    .code('g', RETURN[architecture](9))
    .code('g2', RETURN[architecture](10))
    .code('stub', RETURN[architecture](8))
    .data('__ref_counter', new Uint8Array(8))
    .pointers('table', ['g', 'g2', 'stub'])
    .data('constant', [1, 2, 3, 4, 5, 6, 7, 8], { section: '.rdata' })
    .import('ntoskrnl.exe', ['DbgPrint'])
    .export('g')
    .hotPatchTable((layout) => ({
      sequenceNumber: 1,
      bases: [
        {
          sequenceNumber: 1,
          flags: MACHINE_FLAG[architecture] | CAN_ROLL_BACK,
          originalTimeDateStamp: base.image.fileHeader.timeDateStamp,
          originalCheckSum: base.image.optionalHeader.checkSum,
          chunks: [
            {
              direction: 'backward',
              type: 'FUNCTION',
              records: [{ rva: layout.rva('stub'), target: base.rva('k') }],
            },
            {
              direction: 'backward',
              type: 'ABSOLUTE',
              records: [{ rva: layout.rva('__ref_counter'), target: base.rva('counter') }],
            },
            {
              direction: 'forward',
              type: 'FUNCTION',
              records: [
                { rva: base.rva('f'), target: layout.rva('g') },
                { rva: base.rva('h'), target: layout.rva('g2') },
              ],
            },
          ],
        },
      ],
    }))
    .build();
}

/** What functions of the base return without a hotpatch. */
const RESULTS = { f: 1, h: 2, k: 3 } as const;
/** Instructions of a call of code that may be anything. */
const LIMIT = 2000;

/**
 * Loads a hotpatch image that may be broken into a fresh system with its base, calls what it redirects and takes it back.
 * Whatever is refused must leave everything as it was; whatever is taken back, the base's code and what it returns.
 */
export function liveThrough(base: BuiltImage, bytes: Uint8Array): LifeResult {
  let image: PeImage;
  try {
    image = readImage(bytes, { file: 'patch.sys' });
  } catch (error) {
    if (error instanceof ImageError) return { outcome: `refused ${error.rule}` };
    return threw('reading', error);
  }
  const { architecture } = base.image;
  using lab = Lab.boot({ architecture, memorySize: 4 << 20, processors: 1, seed: 1 });
  const loaded = lab.kernel.loadImage(base.image, { name: 'base.sys' });
  const code = Buffer.from(loaded.codeBytes());
  const before = systemState(lab);
  const call = (name: keyof typeof RESULTS): number | string => {
    try {
      const thread = lab.startThread(loaded.address(base.rva(name)));
      lab.run({ until: thread.returns(), instructions: LIMIT });
      return thread.result ?? 'does not return';
    } catch (error) {
      if (error instanceof GuestCrash) return `crashed: ${error.status.name}`;
      throw error;
    }
  };
  try {
    let patch: ReturnType<typeof lab.engine.load>;
    try {
      patch = lab.engine.load(image, { name: 'patch.sys' });
    } catch (error) {
      const rule = ruleOf(error);
      if (error instanceof BugCheck) throw error;
      if (rule === undefined) return threw('loading', error);
      const changed = differences(before, systemState(lab));
      if (changed.length > 0)
        return {
          outcome: `refused ${rule}`,
          problem: { rule: 'life.refusedButChanged', message: `refused by ${rule}, but ${changed[0]}` },
        };
      return wrongOf(call, `refused ${rule}`, 'life.refusedButChanged');
    }
    if (patch.state !== 'applied') return wrongOf(call, patch.state, 'life.notAppliedButChanged');
    const result = call('f');
    const isEnded = typeof result === 'string' ? ', crashed' : '';
    // A crash ends a process with all that it has; the code of a driver is there for others.
    if (!lab.kernel.domains.some(({ images }) => images.includes(loaded)))
      return { outcome: 'applied, crashed with its process' };
    try {
      lab.engine.unload(patch);
    } catch (error) {
      const rule = ruleOf(error);
      if (error instanceof BugCheck) throw error;
      if (rule === undefined) return threw('taking back', error);
      return { outcome: `applied${isEnded}, not taken back: ${rule}` };
    }
    const outcome = `applied${isEnded}, taken back`;
    const now = Buffer.from(loaded.codeBytes());
    const at = now.findIndex((byte, index) => byte !== code[index]);
    if (at >= 0)
      return {
        outcome,
        problem: { rule: 'life.codeNotRestored', message: `byte ${at} of the base's code is another one` },
      };
    return wrongOf(call, outcome, 'life.takenBackButChanged');
  } catch (error) {
    if (error instanceof BugCheck) return { outcome: `bug check 0x${error.code.toString(16)}` };
    return threw('calling', error);
  }
}

function wrongOf(
  call: (name: keyof typeof RESULTS) => number | string,
  outcome: string,
  rule: string,
): LifeResult {
  for (const name of ['f', 'h', 'k'] as const) {
    const result = call(name);
    if (result !== RESULTS[name])
      return {
        outcome,
        problem: { rule, message: `${outcome}: ${name} gives ${result}, not ${RESULTS[name]}` },
      };
  }
  return { outcome };
}

/** Of an error that is an answer. */
function ruleOf(error: unknown): string | undefined {
  const isAnswer =
    error instanceof HotPatchError || error instanceof KernelError || error instanceof ImageError;
  return isAnswer ? error.rule : error instanceof GuestCrash ? 'guestCrash' : undefined;
}

function threw(when: string, error: unknown): LifeResult {
  const text = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
  return { outcome: 'threw', problem: { rule: 'life.threw', message: `${when}: ${text}` } };
}
