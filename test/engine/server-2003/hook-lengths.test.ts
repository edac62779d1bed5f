import { describe, expect, it } from 'vitest';
import {
  encodeHotp1,
  HOOK_TYPE,
  ImageBuilder,
  MODULE_ID_METHOD,
  moduleIdValue,
  readImage,
} from '../../../image/index.js';
import { Lab } from '../../../lab/index.js';

/** `mov edi, edi; mov eax, value; ret` */
const returning = (value: number) => [0x8b, 0xff, 0xb8, value & 0xff, value >> 8, 0, 0, 0xc3];
const PADDING = 8;

/** A process with `f`, and before it eight nops of one byte, through which `through` runs into it. */
async function machineOf(architecture: 'x86' | 'x64') {
  const built = new ImageBuilder(architecture, {
    subsystem: 'WINDOWS_CUI',
    dll: true,
    name: 'module.dll',
    functionPadding: PADDING,
  })
    .code('through', [0x8b, 0xff, 0x90, 0x90])
    .code('f', returning(1))
    .build();
  const bytes = built.bytes.slice();
  for (let at = (built.image.rvaToOffset(built.rva('f')) ?? 0) - 1; bytes[at] === 0xcc; at--)
    bytes[at] = 0x90;
  const image = readImage(bytes, { file: 'module.dll' });
  const f = built.rva('f');
  /** A hotpatch whose jump begins eight bytes before `f`, and takes `size` of them. */
  const hotpatch = (value: number, size: number) =>
    new ImageBuilder(architecture, {
      subsystem: 'WINDOWS_CUI',
      dll: true,
      name: `hp${value}.dll`,
      timeDateStamp: 0x6000_0000 + value,
    })
      .code('g', returning(value))
      .section('.hotp1', 0x4000_0040)
      .data(
        'hotp1',
        (layout) =>
          encodeHotp1(
            {
              hooks: [
                { type: HOOK_TYPE.X86_JMP, options: size, hookRva: f - PADDING, hotpRva: layout.rva('g') },
                { type: HOOK_TYPE.X86_JMP2B, options: 2, hookRva: f, hotpRva: 0xf6 },
              ],
              origHotpBaseAddress: 0n,
              origTargetBaseAddress: image.optionalHeader.imageBase,
              targetName: 'module.dll',
              moduleIdMethod: MODULE_ID_METHOD.PeChecksum,
              moduleIdValue: moduleIdValue(image, 'PeChecksum'),
            },
            layout.rva('hotp1'),
          ),
        { section: '.hotp1' },
      )
      .build().image;
  const lab = await Lab.boot({ architecture, memorySize: 16 << 20, engine: 'server-2003' });
  const process = lab.createProcess({ name: 'p.exe', wow64: architecture === 'x86' });
  const module = process.loadImage(image, { symbols: built.symbols, initialize: false });
  const threadAt = (before: bigint) => {
    const thread = lab.kernel.createThread(module.symbol('through'), [], { domain: module.domain });
    lab.run({ until: thread.reaches(module.symbol('f') - before) });
    return thread;
  };
  return { lab, process, module, hotpatch, threadAt, [Symbol.dispose]: () => lab[Symbol.dispose]() };
}

describe.each(['x86', 'x64'] as const)(
  'hooks of several lengths at one place of the padding on %s',
  (architecture) => {
    it('a longer one does not take the place of a shorter one that is in force', async () => {
      using machine = await machineOf(architecture);
      const { lab, hotpatch, threadAt } = machine;
      const thread = threadAt(2n);
      lab.engine.load(hotpatch(1001, 5));
      expect(() => lab.engine.load(hotpatch(1002, 8))).toThrow(
        expect.objectContaining({ rule: 'chain.shared' }),
      );
      lab.run({ until: thread.returns() });
      expect(thread.result).toBe(1001);
    });

    it('of a longer one that is left nothing stays, whatever came in between', async () => {
      using machine = await machineOf(architecture);
      const { lab, process, module, hotpatch } = machine;
      const { engine } = lab;
      const call = () => process.call(module.symbol('through'));
      const first = engine.load(hotpatch(1001, 8));
      const thread = machine.threadAt(BigInt(PADDING));
      engine.unload(first);
      expect(() => engine.load(hotpatch(1002, 5))).toThrow(expect.objectContaining({ rule: 'chain.shared' }));
      lab.run({ until: thread.returns() });
      expect(thread.result).toBe(1001);
      const second = engine.load(hotpatch(1003, 5));
      expect(call()).toBe(1003);
      engine.unload(second);
      engine.restoreLeftHooks();
      expect(module.codeBytes()).toEqual(module.codeBytesBeforePatch);
      expect(call()).toBe(1);
    });
  },
);
