import type { Server2003Engine } from '../../../../engine/index.js';
import type { BuiltImage, PeImage } from '../../../../image/index.js';
import type { LoadedImage } from '../../../../loader/index.js';
import { FUNCTIONS, type FunctionName, type Hotpatch } from './module.js';

const LONGEST_WAY = 4;

/** Where a processor that begins at an address in the module is led by jumps: out of the module, or to other code of it. */
export function follow(module: LoadedImage, address: bigint): bigint {
  let at = address;
  for (let hops = 0; hops < LONGEST_WAY && module.contains(at); hops++) {
    const bytes = module.domain.addressSpace.read(at, 6);
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    if (bytes[0] === 0xeb) at += 2n + BigInt(view.getInt8(1));
    else if (bytes[0] === 0xe9) at += 5n + BigInt(view.getInt32(1, true));
    else if (bytes[0] === 0xff && bytes[1] === 0x25 && module.domain.architecture.pointerSize === 8)
      at = module.domain.addressSpace.readU64(at + 6n + BigInt(view.getInt32(2, true)));
    else return at;
  }
  return at;
}

/**
 * The one invariant: each function of the module, and each pointer of its table, leads to the newest hotpatch in force that
 * covers it, or is as the file has it. Judged from the bytes in memory and from what each hotpatch was built of.
 */
export function brokenWays(
  engine: Server2003Engine,
  module: LoadedImage,
  built: BuiltImage,
  hotpatches: ReadonlyMap<PeImage, Hotpatch>,
): string[] {
  const inForce = engine
    .patchList(module)
    .filter(({ active }) => active)
    // The newest in every process is the one that the engine was given last.
    .toSorted((one, other) => engine.patches.indexOf(one.patch) - engine.patches.indexOf(other.patch))
    .flatMap(({ patch, loaded }) => {
      const hotpatch = hotpatches.get(patch.image);
      return hotpatch === undefined ? [] : [{ hotpatch, loaded }];
    });
  const broken: string[] = [];
  for (const name of FUNCTIONS) {
    const entry = module.address(built.rva(name));
    const newest = inForce.findLast(({ hotpatch }) => hotpatch.routines.has(name));
    const right =
      newest === undefined ? entry : newest.loaded.address(newest.hotpatch.routines.get(name) ?? 0);
    const found = follow(module, entry);
    if (found !== right)
      broken.push(`${name} leads to ${module.domain.imageAt(found)?.describe(found) ?? found.toString(16)}`);
    const size = 8;
    const file = built.image.read(built.rva(name), size);
    const bytes = module.domain.addressSpace.read(entry, size);
    if (newest === undefined && !Buffer.from(bytes).equals(file))
      broken.push(
        `${name} is ${Buffer.from(bytes).toString('hex')}, the file has ${Buffer.from(file).toString('hex')}`,
      );
  }
  for (const index of [0, 1]) {
    const { pointerSize } = module.domain.architecture;
    const at = module.address(built.rva('table') + pointerSize * index);
    const newest = inForce.findLast(({ hotpatch }) => hotpatch.pointers.has(index));
    const right =
      newest === undefined
        ? module.address(built.rva(FUNCTIONS[index] ?? 'f0'))
        : newest.loaded.address(newest.hotpatch.pointers.get(index) ?? 0);
    const { addressSpace } = module.domain;
    const found = pointerSize === 8 ? addressSpace.readU64(at) : BigInt(addressSpace.readU32(at));
    if (found !== right) broken.push(`table[${index}] holds ${found.toString(16)}`);
  }
  return broken;
}

/** The bytes of the module's code are those of its file, but for padding and pointers in which a thread stands. */
export function isOriginal(module: LoadedImage): boolean {
  return Buffer.from(module.codeBytes()).equals(module.codeBytesBeforePatch);
}

export type Results = ReadonlyMap<FunctionName, ReadonlySet<number>>;
