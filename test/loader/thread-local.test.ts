import { type BuiltImage, readImage } from 'hotpatch-lab/image';
import { describe, expect, it } from 'vitest';
import { boot, builder, returning } from './support.js';

const TLS_DIRECTORY = 9;
const DELAY_IMPORT_DIRECTORY = 13;

/** The built image with one more data directory. */
function withDirectory({ bytes, rva }: BuiltImage, index: number, part: string, size: number) {
  const copy = bytes.slice();
  const view = new DataView(copy.buffer);
  const directories = view.getUint32(0x3c, true) + 24 + 112;
  view.setUint32(directories + 8 * index, rva(part), true);
  view.setUint32(directories + 8 * index + 4, size, true);
  return readImage(copy, { file: 'built.dll' });
}

const pointers = (...values: bigint[]) => new Uint8Array(BigUint64Array.from(values).buffer);

/** mov eax, [rip+index]; mov rcx, gs:[58h]; mov rax, [rcx+rax*8]; inc dword [rax]; mov eax, [rax]; ret */
const COUNT = [
  0x8b, 0x05, 0, 0, 0, 0, 0x65, 0x48, 0x8b, 0x0c, 0x25, 0x58, 0, 0, 0, 0x48, 0x8b, 0x04, 0xc1, 0xff, 0x00,
  0x8b, 0x00, 0xc3,
];
/** inc dword [rip+calls]; ret */
const CALLBACK = [0xff, 0x05, 0, 0, 0, 0, 0xc3];

function counting(name: string) {
  const relative = (code: number[], to: number, next: number) => {
    const bytes = Uint8Array.from(code);
    new DataView(bytes.buffer).setInt32(2, to - next, true);
    return bytes;
  };
  const built = builder('x64', { name })
    .code('count', (layout) => relative(COUNT, layout.rva('index'), layout.rva('count') + 6))
    .code('callback', (layout) => relative(CALLBACK, layout.rva('calls'), layout.rva('callback') + 6))
    .export('count')
    .export('calls')
    .data('index', new Uint8Array(8))
    .data('calls', new Uint8Array(8))
    .data('template', Uint8Array.of(100, 0, 0, 0, 1, 1, 1, 1))
    .pointers('callbacks', ['callback', 'callback'], { section: '.data' })
    .data('end of callbacks', new Uint8Array(8))
    .data(
      'tls',
      (layout) => {
        const start = layout.address('template');
        const zeroFill = 8n;
        return pointers(start, start + 8n, layout.address('index'), layout.address('callbacks'), zeroFill);
      },
      { relocations: [0, 8, 16, 24] },
    )
    .build();
  return withDirectory(built, TLS_DIRECTORY, 'tls', 40);
}

describe('thread-local storage', () => {
  it('gives every thread its own copy of every image, and runs the callbacks first', () => {
    using kernel = boot('x64');
    const process = kernel.createProcess({ name: 'a.exe' });
    const [one, two] = ['one.dll', 'two.dll'].map((name) => process.loadImage(counting(name), { name }));
    if (one === undefined || two === undefined) throw new Error('no images');
    for (const dll of [one, two]) expect(process.addressSpace.readU32(dll.symbol('calls'))).toBe(2);
    expect(process.call64(one.symbol('count')) & 0xffffffffn).toBe(101n);
    expect(process.call64(one.symbol('count')) & 0xffffffffn).toBe(101n);
    expect(process.call64(two.symbol('count')) & 0xffffffffn).toBe(101n);
    const blocks = process.heap.blocks.size;
    process.unloadImage(two);
    expect(process.addressSpace.query(two.dllBase).state).toBe('free');
    expect(process.heap.blocks.size).toBe(blocks);
  });

  it('reaches threads that were there before the image', () => {
    using kernel = boot('x64');
    const process = kernel.createProcess({ name: 'a.exe' });
    const first = process.loadImage(counting('one.dll'), { name: 'one.dll' });
    const thread = process.createThread(first.symbol('count'));
    const later = process.loadImage(counting('two.dll'), { name: 'two.dll' });
    const other = process.createThread(later.symbol('count'));
    kernel.run({ until: thread.returns() });
    kernel.run({ until: other.returns() });
    expect([thread.result, other.result]).toEqual([101, 101]);
  });
});

describe('delay loading', () => {
  it('loads the module and binds the slot when the helper asks for it', () => {
    using kernel = boot('x64');
    const library = builder('x64', { name: 'late.dll' })
      .code('answer', returning('x64', 42))
      .export('answer')
      .build();
    kernel.files.add('late.dll', library.image);
    const built = builder('x64', { name: 'lazy.dll' })
      .code('f', returning('x64', 1))
      .data('module', Buffer.from('late.dll\0'))
      .data('hint and name', Buffer.from('\0\0answer\0'))
      .data('handle', new Uint8Array(8))
      .data('slots', new Uint8Array(16))
      .data('names', (layout) => pointers(BigInt(layout.rva('hint and name')), 0n))
      .data('delay', (layout) => {
        const fields = [
          1,
          layout.rva('module'),
          layout.rva('handle'),
          layout.rva('slots'),
          layout.rva('names'),
          0,
          0,
          0,
        ];
        return new Uint8Array(Uint32Array.from([...fields, 0, 0, 0, 0, 0, 0, 0, 0]).buffer);
      })
      .build();
    const process = kernel.createProcess({ name: 'a.exe' });
    const dll = process.loadImage(withDirectory(built, DELAY_IMPORT_DIRECTORY, 'delay', 64), {
      name: 'lazy.dll',
    });
    expect(process.findImage('late')).toBeUndefined();
    const slot = built.rva('slots');
    const resolve = process.domain.services.address('kernelbase.dll', 'ResolveDelayLoadedAPI');
    const target = process.call64(resolve, [dll.dllBase, 0, 0, 0, dll.address(slot), 0]);
    expect(process.domain.imageAt(target)?.describe(target)).toBe('late!answer');
    expect(dll.readPointer(slot)).toBe(target);
    expect(process.call64(target) & 0xffffffffn).toBe(42n);
    expect(process.call64(resolve, [dll.dllBase, 0, 0, 0, dll.dllBase, 0])).toBe(0n);
  });
});
