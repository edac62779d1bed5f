import { type ImageArchitecture, ImageBuilder, readImage } from 'hotpatch-lab/image';
import { describe, expect, it } from 'vitest';
import { Kernel, KernelError } from '../../loader/index.js';
import { ARCHITECTURES, returning } from './support.js';

function imported(architecture: ImageArchitecture) {
  const dependency = new ImageBuilder(architecture, { name: 'dep.dll', dll: true })
    .code('f', returning(architecture, 7))
    .export('f')
    .loadConfig()
    .build();
  const importer = new ImageBuilder(architecture, { name: 'importer.dll', dll: true })
    .code('g', returning(architecture, 1))
    .import('dep.dll', ['f'])
    .loadConfig()
    .build();
  const directory = importer.image.directory('import');
  if (directory === undefined) throw new Error('no imports');
  const firstThunk = importer.image.rvaToOffset(directory.virtualAddress) ?? 0;
  return { dependency, importer, firstThunk: firstThunk + 16 };
}

describe.each(ARCHITECTURES)('an import address table, %s', (architecture) => {
  const { dependency, importer, firstThunk } = imported(architecture);
  const { sizeOfImage } = importer.image.optionalHeader;
  it.each([
    ['behind the image', sizeOfImage],
    ['in another image', 0x1_1000],
    ['in the last bytes of the image', sizeOfImage - 2],
    ['in the headers', 0x40],
    ['at the end of the address space', 0xffff_fff8],
  ])('%s is refused, and nothing else has changed', (_where, rva) => {
    using kernel = Kernel.boot({ architecture });
    kernel.files.add('dep.dll', dependency.image);
    const loaded = kernel.loadImage(dependency.image, { name: 'dep.dll', initialize: false });
    const before = loaded.codeBytes();
    const bytes = importer.bytes.slice();
    new DataView(bytes.buffer).setUint32(firstThunk, rva, true);
    const images = kernel.domain.images.length;
    expect(() => kernel.loadImage(readImage(bytes, { file: 'importer.dll' }))).toThrow(
      /import dep\.dll!f: the loader would store .*loaderStore, STATUS_INVALID_IMAGE_FORMAT/,
    );
    expect(loaded.codeBytes()).toEqual(before);
    expect(kernel.domain.images).toHaveLength(images);
  });
});

describe('what Windows does not map', () => {
  const good = new ImageBuilder('x64', { name: 'image.sys' })
    .code('f', returning('x64', 1))
    .data('d', [1, 2, 3, 4])
    .loadConfig()
    .build();
  const { optionalHeaderOffset, sectionTableOffset } = good.image.headers;
  const { sections } = good.image;
  const last = sections.length - 1;
  const CASES: readonly (readonly [string, RegExp, (view: DataView) => void])[] = [
    [
      'ImageBase is no multiple of 64 KB',
      /imageBaseAlignment, STATUS_INVALID_IMAGE_FORMAT/,
      (view) => view.setBigUint64(optionalHeaderOffset + 24, 0x1_4000_1000n, true),
    ],
    [
      'a gap lies between two sections',
      /sectionGap, STATUS_INVALID_IMAGE_FORMAT/,
      (view) => {
        const at = sectionTableOffset + 40 * last + 12;
        view.setUint32(at, (sections[last]?.virtualAddress ?? 0) + 0x1000, true);
        view.setUint32(optionalHeaderOffset + 56, good.image.optionalHeader.sizeOfImage + 0x1000, true);
      },
    ],
  ];
  it.each(CASES)('%s', (_what, refusal, change) => {
    const bytes = good.bytes.slice();
    change(new DataView(bytes.buffer));
    using kernel = Kernel.boot({ architecture: 'x64' });
    expect(() => kernel.loadImage(readImage(bytes, { file: 'image.sys' }))).toThrow(refusal);
    expect(kernel.domain.images).toEqual([]);
    kernel.loadImage(readImage(good.bytes, { file: 'image.sys' }), { initialize: false });
  });

  it.each([
    ['x64', 'x86', 0x14c, 'its machine is x86, its optional header that of PE32+'],
    ['arm64', 'x86', 0x14c, 'its machine is x86, its optional header that of PE32+'],
    ['x86', 'x64', 0x8664, 'its machine is x64, its optional header that of PE32'],
    ['x86', 'arm64', 0xaa64, 'its machine is arm64, its optional header that of PE32'],
  ] as const)('an %s image whose machine says %s', (made, machine, value, reason) => {
    const { bytes, image } = imported(made).dependency;
    const changed = bytes.slice();
    new DataView(changed.buffer).setUint16(image.headers.peOffset + 4, value, true);
    using kernel = Kernel.boot({ architecture: machine });
    const process = kernel.createProcess({ name: 'a.exe' });
    const load = () => process.loadImage(readImage(changed, { file: 'image.dll' }));
    expect(load).toThrow(KernelError);
    expect(load).toThrow(
      expect.objectContaining({
        rule: 'machineMagic',
        status: { name: 'STATUS_INVALID_IMAGE_FORMAT', value: 0xc000007b },
        image: 'image.dll',
        place: 'optional header, Magic',
        reason,
      }),
    );
    expect(process.images).toEqual([]);
  });
});
