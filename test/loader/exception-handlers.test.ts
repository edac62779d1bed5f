import { describe, expect, it } from 'vitest';
import { defineExport } from '../../loader/index.js';
import { ARCHITECTURES, boot, builder } from './support.js';

describe.each(ARCHITECTURES)('a handler that wants to continue on %s', (architecture) => {
  it.each([
    [0, undefined, ['e0000001']],
    // EXCEPTION_NONCONTINUABLE: that it wanted to is an exception of its own.
    [1, 0xc0000025, ['e0000001', 'c0000025']],
  ])('is obeyed or not, by the flags %i of the exception', (flags, exitStatus, expected) => {
    using kernel = boot(architecture);
    const process = kernel.createProcess({ name: 'a.exe' });
    const { addressSpace } = process;
    const { architecture: code } = process.domain;
    const services = kernel.userServices({ wow64: process.wow64 });
    const seen: string[] = [];
    const handler = defineExport('Handler', ['pointer'], (_call, pointers) => {
      const wide = code.pointerSize === 8;
      const record = wide ? addressSpace.readU64(pointers) : BigInt(addressSpace.readU32(pointers));
      seen.push(addressSpace.readU32(record).toString(16));
      return seen.length === 1 ? -1 : 0;
    });
    services.define({ name: 'notes.dll', exports: [handler] });
    const win32 = (name: string) => services.address('kernelbase.dll', name);
    process.call64(win32('AddVectoredExceptionHandler'), [1, services.address('notes.dll', 'Handler')]);
    const raise = () => process.call64(win32('RaiseException'), [0xe0000001, flags, 0, 0]);
    if (exitStatus === undefined) raise();
    else expect(raise).toThrow(/raised in/);
    expect(process.exitStatus).toBe(exitStatus);
    expect(seen).toEqual(expected);
  });
});

describe('a registration at fs:[0]', () => {
  /** `handler` returns "continue"; `f` registers it and executes ud2, with its registration where `at` says. */
  function registering(options: { noSeh?: boolean; listed?: 'handler' | 'f'; misplaced?: boolean }) {
    const code = Uint8Array.of(
      ...[0x68, 0, 0, 0, 0], // push handler
      ...[0x64, 0xff, 0x35, 0, 0, 0, 0], // push dword fs:[0]
      ...(options.misplaced === true ? [0x89, 0xe0, 0x83, 0xc0, 0x02] : [0x89, 0xe0, 0x90, 0x90, 0x90]), // mov eax, esp; add eax, 2
      ...[0x64, 0xa3, 0, 0, 0, 0], // mov fs:[0], eax
      ...[0x0f, 0x0b], // ud2
    );
    const image = builder('x86', {
      name: 'byhand.dll',
      ...(options.noSeh === true ? { dllCharacteristics: 0x540 } : {}),
    })
      .code('handler', Uint8Array.of(0x31, 0xc0, 0xc3))
      .code(
        'f',
        (layout) => {
          const bytes = code.slice();
          new DataView(bytes.buffer).setUint32(1, Number(layout.address('handler')), true);
          return bytes;
        },
        { relocations: [1] },
      )
      .export('f');
    const { listed } = options;
    if (listed !== undefined)
      image
        .data('handlers', (layout) => new Uint8Array(Uint32Array.of(layout.rva(listed)).buffer), {
          section: '.rdata',
        })
        .loadConfig({ seHandlerTable: 'handlers', seHandlerCount: 1n });
    return image.build().image;
  }

  it.each([
    ['of an image without a table', {}, true],
    ['that the image lists (SafeSEH)', { listed: 'handler' }, true],
    ['that the image does not list', { listed: 'f' }, false],
    ['of an image marked NO_SEH', { noSeh: true }, false],
    ['that is not aligned', { misplaced: true }, false],
  ] as const)('%s: %j is called: %s', (_name, options, called) => {
    using kernel = boot('x86');
    const process = kernel.createProcess({ name: 'a.exe' });
    const dll = process.loadImage(registering(options));
    const thread = process.createThread(dll.symbol('f'));
    const run = () => kernel.run({ until: thread.returns(), instructions: 60 });
    // A handler that says "continue" lets the instruction fail again and again.
    if (called) expect(run()).toEqual({ reason: 'instructionLimit' });
    else expect(run).toThrow(/invalidOpcode/);
    expect(process.terminated).toBe(!called);
  });
});
