import { describe, expect, it } from 'vitest';
import type { LoadedImage, Process } from '../../loader/index.js';
import { boot, builder, returning } from './support.js';

const PROCESSES = 50;
const DLLS = 10;
/** Code, read-only data, and data that nothing writes to while loading. */
const PAGES_OF_CODE = 3;

function library(index: number) {
  return builder('x64', { name: `lib${index}.dll` })
    .code('value', returning('x64', index))
    .code('more', new Uint8Array(PAGES_OF_CODE * 0x1000).fill(0xc3))
    .data('constant', Uint8Array.of(1, 2, 3, 4), { section: '.rdata' })
    .data('counter', Uint8Array.of(index, 0, 0, 0))
    .export('value')
    .export('counter')
    .build().image;
}

/** Frames of all pages of an image in a process; undefined where nobody has touched them. */
function framesOf({ dllBase, sizeOfImage, domain }: LoadedImage): (number | undefined)[] {
  return Array.from(
    { length: Math.ceil(sizeOfImage / 0x1000) },
    (_, page) => domain.table.query(dllBase + BigInt(page) * 0x1000n).frame,
  );
}

describe(`${PROCESSES} processes with ${DLLS} DLLs each`, () => {
  it('use the shared frames once, and private pages only where something was written', () => {
    using kernel = boot('x64');
    const images = Array.from({ length: DLLS }, (_, index) => library(index));
    const { memory } = kernel.machine;
    const load = (process: Process) =>
      images.map((image) => process.loadImage(image, { name: image.file ?? '' }));
    const inUse = () => memory.framesInUse;

    const atStart = inUse();
    const first = kernel.createProcess({ name: 'first.exe' });
    const withoutImages = inUse() - atStart;
    const dlls = load(first);
    const shared = new Set(dlls.flatMap((dll) => framesOf(dll)).filter((frame) => frame !== undefined));
    // Each DLL: headers, code, read-only data, data, exports, relocations.
    expect(shared.size).toBeGreaterThanOrEqual(DLLS * (PAGES_OF_CODE + 3));
    const loaderData = inUse() - atStart - withoutImages - shared.size;
    // The list entries of ten DLLs fit into one page or two.
    expect(loaderData).toBeLessThanOrEqual(2);

    const others: Process[] = [];
    for (let i = 1; i < PROCESSES; i++) {
      const process = kernel.createProcess({ name: `p${i}.exe` });
      load(process);
      others.push(process);
    }
    expect(inUse() - atStart).toBe(shared.size + PROCESSES * (withoutImages + loaderData));
    for (const process of others)
      for (const [index, dll] of process.images.entries())
        expect(framesOf(dll)).toEqual(framesOf(dlls[index] as LoadedImage));

    // A write makes exactly one page private, in exactly one process.
    const before = inUse();
    const writer = others[7]?.images[3];
    if (writer === undefined) throw new Error('no process');
    writer.domain.addressSpace.writeU32(writer.symbol('counter'), 4711);
    expect(inUse()).toBe(before + 1);
    expect(first.addressSpace.readU32((dlls[3] as LoadedImage).symbol('counter'))).toBe(3);

    for (const process of others) process.terminate();
    first.terminate();
    expect(inUse()).toBe(atStart);
  });
});
