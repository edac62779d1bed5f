import {
  type BootOptions,
  type HotPatch2003Options,
  Lab,
  type LoadedImage,
  type Process,
  Server2003Engine,
} from 'hotpatch-lab';
import { SYSTEM_HOTPATCH_INFORMATION } from 'hotpatch-lab/engine';
import {
  type BuiltImage,
  encodeHotp1,
  HOOK_TYPE,
  type Hotp1HookInput,
  type Hotp1Input,
  ImageBuilder,
  type ImageBuilderOptions,
  type Layout,
  MODULE_ID_METHOD,
  moduleIdValue,
  type PeImage,
  readImage,
} from 'hotpatch-lab/image';

export type Processor = 'x86' | 'x64';
export type Kind = 'driver' | 'dll';

const OPTIONS: Readonly<Record<Kind, ImageBuilderOptions>> = {
  driver: { subsystem: 'NATIVE' },
  dll: { subsystem: 'WINDOWS_CUI', dll: true },
};

/** mov edi,edi on x86, a two-byte no-operation on x64; then `mov eax, n; ret`. */
export const returning = (n: number): number[] => [0x8b, 0xff, 0xb8, n, 0, 0, 0, 0xc3];

/** A module with a function `f` that returns 1, one that is too short to be hooked, and data. */
export function buildTarget(processor: Processor, kind: Kind = 'dll', functionPadding = 6): BuiltImage {
  const name = kind === 'dll' ? 'target.dll' : 'target.sys';
  return new ImageBuilder(processor, { ...OPTIONS[kind], name, functionPadding })
    .code('f', returning(1))
    .code('h', returning(2))
    .code('tiny', [0xc3])
    .code('pushed', [0x55, 0x5d, 0xb8, 3, 0, 0, 0, 0xc3])
    .code('crowded', returning(5), { padding: 0, alignment: 1 })
    .data('counter', new Uint8Array(16))
    .pointers('table', ['f', 'h'], { section: '.data' })
    .code('cave', new Uint8Array(32).fill(0xcc), { padding: 0 })
    .code('cells', new Uint8Array(64))
    .export('f')
    .export('h')
    .build();
}

export const SHORT_BACK_5 = 0xf9;
export const SHORT_BACK_6 = 0xf8;

/** The pair for one function: a near jump in the padding, a short jump at the entry. */
export function nearHooks(f: number, g: number): Hotp1HookInput[] {
  return [
    { type: HOOK_TYPE.X86_JMP, options: 0x8005, hookRva: f - 5, hotpRva: g },
    { type: HOOK_TYPE.X86_JMP2B, options: 0x0002, hookRva: f, hotpRva: SHORT_BACK_5 },
  ];
}

/** The x64 form: a pointer, an indirect jump through it in the padding, a short jump at the entry. */
export function indirectHooks(f: number, g: number, cell: number): Hotp1HookInput[] {
  return [
    { type: HOOK_TYPE.AMD64_CNT, hookRva: cell, hotpRva: g },
    { type: HOOK_TYPE.AMD64_IND, options: 6, hookRva: f - 6, hotpRva: g },
    { type: HOOK_TYPE.X86_JMP2B, options: 2, hookRva: f, hotpRva: SHORT_BACK_6 },
  ];
}

export interface Draft {
  readonly target: BuiltImage;
  readonly layout: Layout;
  readonly good: Hotp1Input;
}

export interface PatchChange {
  readonly processor?: Processor;
  readonly kind?: Kind;
  readonly name?: string;
  readonly result?: number;
  /** Changes what the section says. */
  readonly section?: (draft: Draft) => Hotp1Input;
  readonly build?: (builder: ImageBuilder) => void;
  /** Changes bytes of the file: view, then file offset of the section. */
  readonly file?: (view: DataView, section: number, image: BuiltImage) => void;
}

/** A hotpatch that makes `f` of the target return 9. */
export function buildPatch(target: BuiltImage, change: PatchChange = {}): PeImage {
  const { processor = 'x86', kind = 'dll', result = 9, section = ({ good }: Draft) => good } = change;
  const name = change.name ?? `patch.${kind === 'dll' ? 'dll' : 'sys'}`;
  const builder = new ImageBuilder(processor, { ...OPTIONS[kind], name, timeDateStamp: 0x60000000 + result })
    .code('g', returning(result))
    .data('value', new Uint8Array(16))
    .pointers('pointers', ['g'], { section: '.data' })
    .section('.hotp1', 0x40000040)
    .data(
      'hotp1',
      (layout) => {
        const good: Hotp1Input = {
          hooks: nearHooks(target.rva('f'), layout.rva('g')),
          validations: [
            { source: target.image.read(target.rva('f'), 8), targetRva: target.rva('f') },
            { source: target.image.read(target.rva('f') - 5, 5), targetRva: target.rva('f') - 5 },
          ],
          origHotpBaseAddress: 0x10000000n,
          origTargetBaseAddress: target.image.optionalHeader.imageBase,
          targetName: target.image.file ?? '',
          moduleIdMethod: MODULE_ID_METHOD.PeChecksum,
          moduleIdValue: moduleIdValue(target.image, 'PeChecksum'),
        };
        return encodeHotp1(section({ target, layout, good }), layout.rva('hotp1'));
      },
      { section: '.hotp1' },
    );
  change.build?.(builder);
  const built = builder.build();
  if (change.file === undefined) return built.image;
  const bytes = built.bytes.slice();
  change.file(new DataView(bytes.buffer), built.image.rvaToOffset(built.rva('hotp1')) ?? 0, built);
  return readImage(bytes, { file: name });
}

export interface Running extends Disposable {
  readonly lab: Lab;
  readonly engine: Server2003Engine;
  readonly target: BuiltImage;
  /** The module in every place that has it. */
  readonly loaded: readonly LoadedImage[];
  call(name?: string): number[];
}

export interface RunOptions {
  readonly processor?: Processor;
  readonly kind?: Kind;
  /** Processes that have the module; 0 with a driver. */
  readonly processes?: number;
  readonly wow64?: boolean;
  readonly engine?: HotPatch2003Options;
  readonly processors?: number;
  /** Boots a system that no engine of Server 2003 ever ran on, and puts one there. */
  readonly boot?: Partial<BootOptions>;
}

/** A booted Server 2003 with the target loaded. */
export async function run(options: RunOptions = {}): Promise<Running> {
  const { processor = 'x86', kind = 'dll', processes = 2, wow64 = false } = options;
  const target = buildTarget(processor, kind);
  const architecture = wow64 ? 'x64' : processor;
  const boot = { architecture, memorySize: 16 << 20, processors: options.processors ?? 1 };
  const lab: Lab =
    options.boot === undefined
      ? await Lab.boot({ ...boot, engine: 'server-2003', engineOptions: options.engine ?? {} })
      : await Lab.boot({ ...boot, ...options.boot });
  const engine =
    lab.engine.name === 'server-2003' ? lab.engine : new Server2003Engine(lab.kernel, options.engine);
  const load = { symbols: target.symbols, initialize: false };
  const loaded =
    kind === 'driver'
      ? [lab.kernel.loadImage(target.image, load)]
      : Array.from({ length: processes }, (_, index) =>
          lab
            .createProcess({ name: `process${index}.exe`, wow64: processor === 'x86' })
            .loadImage(target.image, load),
        );
  return {
    lab,
    engine,
    target,
    loaded,
    call: (name = 'f') =>
      loaded.map((image) =>
        Number(lab.kernel.call64(image.symbol(name), [], { domain: image.domain }) & 0xffff_ffffn),
      ),
    [Symbol.dispose]: () => lab[Symbol.dispose](),
  };
}

/** Calls NtSetSystemInformation as guest code does, through ntdll's export; returns the NTSTATUS, and the flags afterwards. */
export function setSystemInformation(
  process: Process,
  buffer: Uint8Array,
  { kind = SYSTEM_HOTPATCH_INFORMATION, length = buffer.length } = {},
): { status: number; flags: number } {
  const { domain, addressSpace } = process;
  const address = domain.allocateMemory('pool', Math.max(1, buffer.length));
  addressSpace.write(address, buffer);
  const service = domain.services.address('ntdll.dll', 'NtSetSystemInformation');
  const status = process.call64(service, [kind, address, length]);
  return { status: Number(status & 0xffff_ffffn), flags: addressSpace.readU32(address) };
}
