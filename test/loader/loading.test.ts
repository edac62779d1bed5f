import { describe, expect, it } from 'vitest';
import { defineExport, type Kernel } from '../../loader/index.js';
import { damaged } from '../support.js';
import {
  ARCHITECTURES,
  type ArchitectureName,
  boot,
  builder,
  described,
  read,
  returning,
} from './support.js';

/** A DLL that exports `value` (by name and as ordinal 7) and returns 1 from DllMain. */
function library(architecture: ArchitectureName, name: string, value = 5) {
  return builder(architecture, { name })
    .code('value', returning(architecture, value))
    .code('main', dllMain(architecture))
    .export('value', { ordinal: 7 })
    .entryPoint('main');
}

/** `return 1`, popping three arguments on x86. */
function dllMain(architecture: ArchitectureName): Uint8Array {
  return architecture === 'x86' ? Uint8Array.of(0xb8, 1, 0, 0, 0, 0xc2, 12, 0) : returning(architecture, 1);
}

const importing = (
  architecture: ArchitectureName,
  name: string,
  module: string,
  entries: (string | number)[],
) =>
  builder(architecture, { name })
    .code('main', dllMain(architecture))
    .entryPoint('main')
    .import(module, entries);

describe.each(ARCHITECTURES)('imports on %s', (architecture) => {
  it.each([
    ['by name', 'value'],
    ['by ordinal', 7],
  ])('are bound %s', (_how, wanted) => {
    using kernel = boot(architecture);
    kernel.files.add('library.dll', library(architecture, 'library.dll').build().image);
    const process = kernel.createProcess({ name: 'a.exe' });
    const dll = process.loadImage(importing(architecture, 'user.dll', 'library.dll', [wanted]).build().image);
    const [entry] = dll.imports;
    expect(entry).toMatchObject({ origin: 'image', address: process.findImage('library')?.symbol('value') });
    expect(dll.readPointer(entry?.iatRva ?? 0)).toBe(entry?.address);
    expect(process.call64(entry?.address ?? 0n) & 0xffffffffn).toBe(5n);
  });

  it('follow forwarders, and refuse those that lead in a circle', () => {
    using kernel = boot(architecture);
    kernel.files.add('library.dll', library(architecture, 'library.dll').build().image);
    const middle = builder(architecture, { name: 'middle.dll' })
      .forward('value', 'library.value')
      .forward('byOrdinal', 'library.#7')
      .forward('loop', 'middle.loop')
      .import('library.dll', ['value'])
      .build().image;
    kernel.files.add('middle.dll', middle);
    const process = kernel.createProcess({ name: 'a.exe' });
    const dll = process.loadImage(
      importing(architecture, 'user.dll', 'middle.dll', ['value', 'byOrdinal']).build().image,
    );
    const target = process.findImage('library')?.symbol('value');
    expect(dll.imports.map(({ address }) => address)).toEqual([target, target]);
    expect(() =>
      process.loadImage(importing(architecture, 'loop.dll', 'middle.dll', ['loop']).build().image),
    ).toThrow(/lead in a circle/);
    expect(process.findImage('loop')).toBeUndefined();
  });

  it('that nobody exports name themselves when they are called', () => {
    using kernel = boot(architecture);
    const process = kernel.createProcess({ name: 'a.exe' });
    const dll = process.loadImage(
      importing(architecture, 'user.dll', 'absent.dll', ['Missing']).build().image,
    );
    expect(dll.imports).toMatchObject([{ origin: 'missing' }]);
    expect(() => process.call64(dll.imports[0]?.address ?? 0n)).toThrow(
      /absent\.dll!Missing is not modelled/,
    );
  });

  it('are those that a scenario adds or replaces', () => {
    using kernel = boot(architecture);
    const services = kernel.userServices();
    services.define({
      name: 'mine.dll',
      exports: [defineExport('Twice', ['u32'], (_call, value) => 2 * value)],
    });
    const process = kernel.createProcess({ name: 'a.exe' });
    const dll = process.loadImage(importing(architecture, 'user.dll', 'mine.dll', ['Twice']).build().image);
    const address = dll.imports[0]?.address ?? 0n;
    const call = () => process.call64(address, [21]);
    // Stdcall on x86: the service pops its argument; the harness does not mind.
    expect(call() & 0xffffffffn).toBe(42n);
    services.define({
      name: 'mine.dll',
      exports: [defineExport('Twice', ['u32'], (_call, value) => value + 1)],
    });
    expect(call() & 0xffffffffn).toBe(22n);
  });
});

describe('load order', () => {
  function order(kernel: Kernel): string[] {
    const names: string[] = [];
    kernel.events.on(({ kind, text }) => {
      if (kind === 'debugPrint') names.push(text.replace('DbgPrint: ', ''));
    });
    return names;
  }

  /** A DLL whose DllMain calls `Note` of notes.dll with its own number. */
  function noting(name: string, number: number, imports: readonly string[]) {
    const dll = builder('x64', { name }).import('notes.dll', ['Note']);
    for (const module of imports) dll.import(module, ['value']);
    return dll
      .code('value', returning('x64', number))
      .code('main', (layout) => {
        // sub rsp, 28h; mov ecx, number; call [rip+slot]; mov eax, 1; add rsp, 28h; ret
        const code = Uint8Array.of(
          0x48,
          0x83,
          0xec,
          0x28,
          0xb9,
          number,
          0,
          0,
          0,
          0xff,
          0x15,
          0,
          0,
          0,
          0,
          0xb8,
          1,
          0,
          0,
          0,
          0x48,
          0x83,
          0xc4,
          0x28,
          0xc3,
        );
        const next = layout.rva('main') + 15;
        new DataView(code.buffer).setInt32(11, layout.rva('__imp_Note') - next, true);
        return code;
      })
      .export('value')
      .entryPoint('main')
      .build().image;
  }

  function bootNoting() {
    const kernel = boot('x64');
    const notes: number[] = [];
    kernel.userServices().define({
      name: 'notes.dll',
      exports: [defineExport('Note', ['u32'], (_call, number) => void notes.push(number))],
    });
    return { kernel, notes, [Symbol.dispose]: () => kernel[Symbol.dispose]() };
  }

  it('initialises what is imported before who imports it', () => {
    using machine = bootNoting();
    const { kernel, notes } = machine;
    expect(order(kernel)).toEqual([]);
    kernel.files.add('one.dll', noting('one.dll', 1, ['two.dll', 'three.dll']));
    kernel.files.add('two.dll', noting('two.dll', 2, ['three.dll']));
    kernel.files.add('three.dll', noting('three.dll', 3, []));
    const process = kernel.createProcess({ name: 'a.exe' });
    const one = process.loadImage(noting('one.dll', 1, ['two.dll', 'three.dll']));
    expect(notes).toEqual([3, 2, 1]);
    expect(process.images.map(({ referenceCount }) => referenceCount)).toEqual([1, 1, 2]);
    process.unloadImage(one);
    expect(process.images).toEqual([]);
    expect(notes).toEqual([3, 2, 1, 1, 2, 3]);
  });

  it('gets through cycles', () => {
    using machine = bootNoting();
    const { kernel, notes } = machine;
    kernel.files.add('one.dll', noting('one.dll', 1, ['two.dll']));
    kernel.files.add('two.dll', noting('two.dll', 2, ['one.dll']));
    const process = kernel.createProcess({ name: 'a.exe' });
    const one = process.loadImage(noting('one.dll', 1, ['two.dll']));
    expect(notes).toEqual([2, 1]);
    expect(one.imports.every(({ origin }) => origin !== 'missing')).toBe(true);
  });

  it('tells load-image routines of every image before any of its instructions runs', () => {
    using machine = bootNoting();
    const { kernel, notes } = machine;
    const seen: string[] = [];
    kernel.onImageLoad(({ baseDllName }) => seen.push(`${baseDllName} after ${notes.length} notes`));
    kernel.files.add('two.dll', noting('two.dll', 2, []));
    kernel.createProcess({ name: 'a.exe' }).loadImage(noting('one.dll', 1, ['two.dll']));
    expect(seen).toEqual(['two.dll after 0 notes', 'one.dll after 0 notes']);
  });

  it('counts references: a DLL that is loaded twice is mapped once', () => {
    using kernel = boot('x64');
    const process = kernel.createProcess({ name: 'a.exe' });
    const first = process.loadImage(...described('x64/hpimport.dll'));
    const second = process.loadImage(...described('x64/hpimport.dll'));
    expect(second).toBe(first);
    process.unloadImage(first);
    expect(process.images).toEqual([first]);
    process.unloadImage(first);
    expect(process.images).toEqual([]);
  });
});

describe('security of images', () => {
  it.each(ARCHITECTURES)('gives each image a cookie of its own on %s', (architecture) => {
    using kernel = boot(architecture);
    const cookie = (name: string) => {
      const process = kernel.createProcess({ name });
      const dll = process.loadImage(...described(`${architecture}/base/demo.dll`));
      const { securityCookie = 0n } = dll.image.loadConfig ?? {};
      return dll.readPointer(dll.image.vaToRva(securityCookie, 'cookie'));
    };
    const cookies = [cookie('a.exe'), cookie('b.exe')];
    expect(new Set([...cookies, 0x2b992ddfa232n, 0xbb40e64en, 0n]).size).toBe(5);
  });

  it.each(ARCHITECTURES)(
    'checks indirect calls on %s when Control Flow Guard is enforced, and only then',
    (architecture) => {
      using kernel = boot(architecture);
      for (const [name, controlFlowGuard, expected] of [
        ['free.exe', false, /access violation: execute/],
        ['guarded.exe', true, /FAST_FAIL_GUARD_ICALL_CHECK_FAILURE: indirect call to .* no valid target/],
      ] as const) {
        const process = kernel.createProcess({ name, controlFlowGuard });
        const dll = process.loadImage(...described(`${architecture}/base/demo.dll`));
        expect(process.call64(dll.symbol('call_op'), [2, 6, 7]) & 0xffffffffn).toBe(42n);
        expect(() => process.call64(dll.symbol('call_op'), [3, 6, 7])).toThrow(expected);
      }
    },
  );

  it('lets the valid call targets be changed', () => {
    using kernel = boot('x64');
    const process = kernel.createProcess({ name: 'a.exe', controlFlowGuard: true });
    const dll = process.loadImage(...described('x64/base/demo.dll'));
    const { guard } = process.domain;
    const target = dll.symbol('op_mul');
    const saved = guard.saveImage(dll.dllBase);
    expect(guard.isValidTarget(target)).toBe(true);
    guard.setTarget(target, false);
    expect(guard.isValidTarget(target)).toBe(false);
    guard.clearImage(dll.dllBase);
    expect(guard.targetsOf(dll.dllBase)).toEqual([]);
    guard.setTarget(target, true);
    expect(guard.targetsOf(dll.dllBase)).toEqual([dll.rva(target)]);
    if (saved !== undefined) guard.restoreImage(dll.dllBase, saved);
    expect(process.call64(dll.symbol('call_op'), [0, 6, 7]) & 0xffffffffn).toBe(13n);
    expect(() => guard.setTarget(target + 1n, true)).toThrow(/STATUS_INSTRUCTION_MISALIGNMENT/);
  });
});

describe('images that are refused', () => {
  const cases: [string, string, () => ReturnType<typeof read>][] = [
    ['another processor', 'STATUS_IMAGE_MACHINE_TYPE_MISMATCH', () => read('arm64/base/demo.dll')],
    [
      'a section that is writable and executable',
      'STATUS_INVALID_PAGE_PROTECTION',
      () => builder('x64').section('.text', 0xe0000020).code('f', returning('x64', 1)).build().image,
    ],
    [
      'no relocations, at an address that another image has',
      'STATUS_CONFLICTING_ADDRESSES',
      () =>
        builder('x64', { relocationsStripped: true, imageBase: 0x7fff_e0000000n, name: 'fixed.dll' })
          .code('f', returning('x64', 1))
          .build().image,
    ],
    [
      'a relocation outside the image',
      'STATUS_INVALID_IMAGE_FORMAT',
      () =>
        damaged('x64/base/demo.dll', (view) => {
          const image = read('x64/base/demo.dll');
          const at = image.rvaToOffset(image.directory('baseReloc')?.virtualAddress ?? 0) ?? 0;
          view.setUint32(at, 0x7ffff000, true);
          return undefined;
        }),
    ],
    [
      'an import directory that leads nowhere',
      'STATUS_INVALID_IMAGE_FORMAT',
      () =>
        damaged('x64/base/demo.dll', (view) => {
          const pe = view.getUint32(0x3c, true);
          view.setUint32(pe + 24 + 112 + 8, 0x7fff0000, true);
          return undefined;
        }),
    ],
  ];
  it.each(cases)('because of %s: %s, and the machine is as before', (_why, status, make) => {
    using kernel = boot('x64');
    const process = kernel.createProcess({ name: 'a.exe' });
    process.loadImage(...described('x64/hpimport.dll'));
    kernel.userServices().resolve('ntdll.dll', 'memcpy');
    const before = kernel.machine.hash();
    const image = make();
    expect(() => process.loadImage(image)).toThrow(
      expect.objectContaining({ status: expect.objectContaining({ name: status }) }),
    );
    expect(kernel.machine.hash()).toBe(before);
    expect(process.images.map(({ baseDllName }) => baseDllName)).toEqual(['hpimport.dll']);
  });

  it('because DllMain says no: everything that came with it goes again', () => {
    using kernel = boot('x64');
    kernel.files.add('library.dll', library('x64', 'library.dll').build().image);
    const failing = builder('x64', { name: 'failing.dll' })
      .import('library.dll', ['value'])
      .code('main', returning('x64', 0))
      .entryPoint('main')
      .build().image;
    const process = kernel.createProcess({ name: 'a.exe' });
    const pages = process.domain.table.committedPages;
    expect(() => process.loadImage(failing)).toThrow(/dllMainFailed, STATUS_DLL_INIT_FAILED/);
    expect(process.images).toEqual([]);
    expect(process.domain.table.committedPages).toBe(pages);
  });
});
