import { assemble } from '../../cpu/index.js';
import type { HotPatch2003Options, Patch2003 } from '../../engine/index.js';
import {
  type BuiltImage,
  encodeHotp1,
  HAS_HOTP1,
  HOOK_TYPE,
  type Hotp1HookInput,
  ImageBuilder,
  MODULE_ID_METHOD,
  moduleIdValue,
  type PeImage,
  readImage,
} from '../../image/index.js';
import { Lab } from '../../lab/index.js';
import type { ExpectedResults, OperationKind, Subject, SubjectSource } from '../subject.js';
import { buildBase, type PatchSource } from './program.js';
import type { Shape } from './shape.js';

export interface Shape2003Options {
  /** How the function is hooked. Default `near`: E9 in five bytes of padding. */
  readonly form?: 'near' | 'indirect';
  /** What the linker filled the padding with: `int3` (CC), as lld does, or `nop` (90), as the linker of 2003 did. */
  readonly padding?: 'int3' | 'nop';
  readonly engine?: HotPatch2003Options;
}

/**
 * The subject that applies, replaces or disables a hotpatch of the 2003 generation: the real engine, on a machine as
 * Server 2003 knew it. Explored with the protocol `windows`, which is whatever the engine did.
 */
export async function shape2003Subject(
  shape: Shape,
  operation: OperationKind,
  options: Shape2003Options = {},
): Promise<SubjectSource> {
  const { architecture } = shape;
  if (!HAS_HOTP1[architecture]) throw new RangeError(`the 2003 generation knew no ${architecture}`);
  const built = await buildBase(architecture, shape.base);
  const base = options.padding === 'nop' ? withNops(built) : built.image;
  const patches = await Promise.all(
    shape.patches.map((patch, index) =>
      buildPatch2003(built, base, patch, index + 1, options.form ?? 'near'),
    ),
  );
  const [original, first, second] = shape.results;
  const expected: Record<OperationKind, ExpectedResults> = {
    apply: { before: original, after: first },
    repatch: { before: first, after: second },
    revert: { before: first, after: original },
  };
  return {
    name: `2003: ${shape.name}, ${operation}`,
    expected: expected[operation],
    async create({ processors = 1, instructionFetch = 'coherent' } = {}): Promise<Subject> {
      const lab = await Lab.boot({
        architecture,
        processors,
        instructionFetch,
        memorySize: MEMORY_SIZE,
        engine: 'server-2003',
        ...(options.engine === undefined ? {} : { engineOptions: options.engine }),
      });
      try {
        const { engine } = lab;
        const loaded = lab.kernel.loadImage(base, { symbols: built.symbols });
        const [older, newer] = patches;
        if (older === undefined || newer === undefined) throw new RangeError('a shape has two patches');
        const inForce: Patch2003 | undefined = operation === 'apply' ? undefined : engine.load(older);
        return {
          lab,
          operation,
          calls: [{ target: loaded.symbol(shape.call), arguments: shape.arguments }],
          steps: () =>
            operation === 'revert' && inForce !== undefined
              ? engine.unloadSteps(inForce)
              : engine.loadSteps(operation === 'repatch' ? newer : older),
          [Symbol.dispose]: () => lab[Symbol.dispose](),
        };
      } catch (error) {
        lab[Symbol.dispose]();
        throw error;
      }
    },
  };
}

const MEMORY_SIZE = 8 * 1024 * 1024;

/** A hotpatch image with functions that run at any address. */
async function buildPatch2003(
  built: BuiltImage,
  base: PeImage,
  { functions, forward }: PatchSource,
  number: number,
  form: 'near' | 'indirect',
): Promise<PeImage> {
  const { architecture } = base;
  const builder = new ImageBuilder(architecture, {
    name: `hotpatch${number}.sys`,
    timeDateStamp: 0x60000000 + number,
  });
  for (const { name, code } of functions) {
    const text = code.filter((piece) => typeof piece === 'string').join('; ');
    builder.code(name, await assemble(architecture, text, { address: 0n }));
  }
  const READ_ONLY_DATA = 0x4000_0040;
  builder.section('.hotp1', READ_ONLY_DATA).data(
    'hotp1',
    (layout) =>
      encodeHotp1(
        {
          hooks: Object.entries(forward).flatMap(([from, to], index) =>
            hooksOf(built, from, layout.rva(to), index, form),
          ),
          origHotpBaseAddress: 0n,
          origTargetBaseAddress: base.optionalHeader.imageBase,
          targetName: base.file ?? '',
          moduleIdMethod: MODULE_ID_METHOD.PeChecksum,
          moduleIdValue: moduleIdValue(base, 'PeChecksum'),
        },
        layout.rva('hotp1'),
      ),
    { section: '.hotp1' },
  );
  return builder.build().image;
}

const NEAR_PADDING = 5;
const INDIRECT_PADDING = 6;
const SHORT_JUMP = 2;

function hooksOf(
  built: BuiltImage,
  from: string,
  routine: number,
  index: number,
  form: 'near' | 'indirect',
): Hotp1HookInput[] {
  const entry = built.rva(from);
  const size = form === 'near' ? NEAR_PADDING : INDIRECT_PADDING;
  const jump = { options: size, hookRva: entry - size, hotpRva: routine };
  const short = { type: HOOK_TYPE.X86_JMP2B, hookRva: entry, hotpRva: -(size + SHORT_JUMP) & 0xff };
  if (form === 'near') return [{ ...jump, type: HOOK_TYPE.X86_JMP }, short];
  return [
    { type: HOOK_TYPE.AMD64_CNT, hookRva: cell(built.image, index), hotpRva: routine },
    { ...jump, type: HOOK_TYPE.AMD64_IND },
    short,
  ];
}

/** A pointer on the last page of code, behind the code. */
function cell({ sections }: PeImage, index: number): number {
  const [text] = sections;
  if (text === undefined) throw new RangeError('the image has no section');
  return text.virtualAddress + text.sizeInMemory - 8 * (index + 1);
}

/** The image with nop in place of int 3 wherever the linker filled. */
function withNops({ image, bytes, symbols }: BuiltImage): PeImage {
  const changed = bytes.slice();
  for (const { rva, kind } of symbols.all) {
    const offset = kind === 'function' ? image.rvaToOffset(rva) : undefined;
    for (let at = (offset ?? 0) - 1; offset !== undefined && changed[at] === 0xcc; at--) changed[at] = 0x90;
  }
  return readImage(changed, image.file === undefined ? {} : { file: image.file });
}
