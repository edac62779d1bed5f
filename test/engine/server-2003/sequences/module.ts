import {
  type BuiltImage,
  encodeHotp1,
  HOOK_TYPE,
  type Hotp1HookInput,
  ImageBuilder,
  type Layout,
  MODULE_ID_METHOD,
  moduleIdValue,
  type PeImage,
  readImage,
} from '../../../../image/index.js';
import type { SeededRandom } from '../../../../loader/common/index.js';

export type Processor = 'x86' | 'x64';

/** Functions of the module: the last one begins with an instruction of five bytes, whose place a near jump can take. */
export const FUNCTIONS = ['f0', 'f1', 'f2', 'f3', 'direct'] as const;
export type FunctionName = (typeof FUNCTIONS)[number];

/** What a function returns names it; a hotpatch adds a thousand for each number of its own. */
export const originalResult = (name: FunctionName): number => FUNCTIONS.indexOf(name) + 1;
const SHARED = 50;

const returning = (value: number, entry: readonly number[] = [0x8b, 0xff]): number[] => [
  ...entry,
  0xb8,
  value & 0xff,
  value >> 8,
  0,
  0,
  0xc3,
];

/** A function that runs through the padding of `f3` into it, where that is of no-operations. */
export const THROUGH = 'through';
const INTO: FunctionName = 'f3';

/** What fills the module's padding: `nop`, as the linker of 2003 had it, or `int 3`, which traps. */
export type PaddingFill = 'int3' | 'nop';

export function buildModule(processor: Processor, fill: PaddingFill = 'int3'): BuiltImage {
  const builder = new ImageBuilder(processor, {
    subsystem: 'WINDOWS_CUI',
    dll: true,
    name: 'module.dll',
    functionPadding: 6,
  });
  for (const name of FUNCTIONS) {
    if (name === INTO) builder.code(THROUGH, [0x8b, 0xff, 0x90, 0x90]);
    builder.code(name, returning(originalResult(name), name === 'direct' ? [] : [0x8b, 0xff]));
  }
  // Within reach of short jumps from every function.
  const built = builder
    .code('cave', new Uint8Array(24).fill(0xcc), { padding: 0 })
    .code('cells', new Uint8Array(32), { padding: 0 })
    .pointers('table', ['f0', 'f1'], { section: '.data' })
    .build();
  return fill === 'nop' ? withNops(built) : built;
}

function withNops(built: BuiltImage): BuiltImage {
  const bytes = built.bytes.slice();
  for (const name of FUNCTIONS) {
    const entry = built.image.rvaToOffset(built.rva(name)) ?? 0;
    for (let at = entry - 1; bytes[at] === 0xcc; at--) bytes[at] = 0x90;
  }
  const { file } = built.image;
  return {
    ...built,
    bytes,
    image: readImage(bytes, file === undefined ? {} : { file }),
    rva: (name) => built.rva(name),
  };
}

/** How one function is hooked. */
type Form = 'near' | 'indirect' | 'cave' | 'direct';

export interface Hotpatch {
  readonly image: PeImage;
  /** What it makes the functions that it covers return. */
  readonly results: ReadonlyMap<FunctionName, number>;
  /** The routine of each, as RVA in its image. */
  readonly routines: ReadonlyMap<FunctionName, number>;
  /** Pointers of the module's table that it changes, by index. */
  readonly pointers: ReadonlyMap<number, number>;
  readonly text: string;
}

/** A hotpatch of some functions by some forms; several may share caves, cells and routines. */
export function buildHotpatch(
  module: BuiltImage,
  processor: Processor,
  number: number,
  random: SeededRandom,
): Hotpatch {
  const covered = FUNCTIONS.filter(() => random.between(0, 2) > 0);
  const functions = covered.length === 0 ? [FUNCTIONS[0]] : covered;
  const isShared = processor === 'x64' && functions.length > 1 && random.between(0, 3) === 0;
  const forms = new Map(functions.map((name) => [name, formOf(name, processor, random)]));
  if (isShared) for (const name of functions.slice(0, 2)) if (name !== 'direct') forms.set(name, 'indirect');
  const sharing = isShared ? functions.slice(0, 2).filter((name) => forms.get(name) === 'indirect') : [];
  const results = new Map(
    functions.map((name) => [name, number * 1000 + (sharing.includes(name) ? SHARED : originalResult(name))]),
  );
  const routine = (name: FunctionName) => (sharing.includes(name) ? 'shared' : `new_${name}`);
  const [cave, cell] = [random.between(0, 1), random.between(0, 3)];
  const pointed = random.between(0, 3) === 0 ? [random.between(0, 1)] : [];
  const builder = new ImageBuilder(processor, {
    subsystem: 'WINDOWS_CUI',
    dll: true,
    name: `hotpatch${number}.dll`,
    timeDateStamp: 0x6000_0000 + number,
  });
  for (const name of new Set(functions.map(routine)))
    builder.code(name, returning(results.get(functions.find((one) => routine(one) === name) ?? 'f0') ?? 0));
  const hooksOf = (layout: Layout): Hotp1HookInput[] => {
    let [caves, cells] = [cave, cell];
    const cellOf = new Map<string, number>();
    const hooks = functions.flatMap((name): Hotp1HookInput[] => {
      const [f, g] = [module.rva(name), layout.rva(routine(name))];
      const short = (to: number): Hotp1HookInput => ({
        type: HOOK_TYPE.X86_JMP2B,
        options: 2,
        hookRva: f,
        hotpRva: (to - f - 2) & 0xff,
      });
      const jump = (hookRva: number): Hotp1HookInput => ({
        type: HOOK_TYPE.X86_JMP,
        options: 5,
        hookRva,
        hotpRva: g,
      });
      switch (forms.get(name)) {
        case 'direct':
          return [jump(f)];
        case 'cave': {
          const at = module.rva('cave') + 8 * (caves++ % 3);
          return [jump(at), short(at)];
        }
        case 'indirect': {
          const known = cellOf.get(routine(name));
          const at = known ?? module.rva('cells') + 8 * (cells++ % 4);
          cellOf.set(routine(name), at);
          const pointer = { type: HOOK_TYPE.AMD64_CNT, hookRva: at, hotpRva: g };
          const indirect = { type: HOOK_TYPE.AMD64_IND, options: 6, hookRva: f - 6, hotpRva: g };
          return [...(known === undefined ? [pointer] : []), indirect, short(f - 6)];
        }
        default:
          return [jump(f - 5), short(f - 5)];
      }
    });
    const size = processor === 'x64' ? 8 : 4;
    const type = processor === 'x64' ? HOOK_TYPE.VA64 : HOOK_TYPE.VA32;
    const [first = 'f0'] = functions;
    for (const index of pointed)
      hooks.push({
        type,
        hookRva: module.rva('table') + size * index,
        hotpRva: layout.rva(routine(first)),
      });
    return hooks;
  };
  builder.section('.hotp1', 0x4000_0040).data(
    'hotp1',
    (layout) =>
      encodeHotp1(
        {
          hooks: hooksOf(layout),
          origHotpBaseAddress: 0n,
          origTargetBaseAddress: module.image.optionalHeader.imageBase,
          targetName: 'module.dll',
          moduleIdMethod: MODULE_ID_METHOD.PeChecksum,
          moduleIdValue: moduleIdValue(module.image, 'PeChecksum'),
        },
        layout.rva('hotp1'),
      ),
    { section: '.hotp1' },
  );
  const built = builder.build();
  const [first = 'f0'] = functions;
  return {
    image: built.image,
    results,
    routines: new Map(functions.map((name) => [name, built.rva(routine(name))])),
    pointers: new Map(pointed.map((index) => [index, built.rva(routine(first))])),
    text: `hotpatch${number} {${functions.map((name) => `${name}:${forms.get(name)}`).join(' ')}${pointed.map((index) => ` table[${index}]`).join('')}}`,
  };
}

function formOf(name: FunctionName, processor: Processor, random: SeededRandom): Form {
  if (name === 'direct') return 'direct';
  const forms: readonly Form[] =
    processor === 'x64' ? ['near', 'near', 'indirect', 'indirect', 'cave'] : ['near', 'near', 'cave'];
  return forms[random.between(0, forms.length - 1)] ?? 'near';
}
