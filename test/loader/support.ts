import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { LoadedImage, LoadOptions } from 'hotpatch-lab';
import {
  findSymbols,
  ImageBuilder,
  type ImageBuilderOptions,
  readImage,
  readMapFile,
} from 'hotpatch-lab/image';
import { type BootOptions, type ImageDomain, Kernel } from '../../loader/index.js';
import { fixture, fixtureBytes } from '../support.js';

export type ArchitectureName = BootOptions['architecture'];
export const ARCHITECTURES = ['x64', 'arm64', 'x86'] as const;
export const KERNEL_ARCHITECTURES = ['x64', 'arm64'] as const;

/** A kernel that finds hpimport.dll when demo.dll imports from it. */
export function boot(architecture: ArchitectureName, options: Partial<BootOptions> = {}): Kernel {
  const kernel = Kernel.boot({ architecture, ...options });
  kernel.files.add('hpimport.dll', read(`${architecture}/hpimport.dll`));
  return kernel;
}

/** As if the system had not stopped: its memory stays as the bug check has left it. */
export const goOn = (kernel: Kernel): void => kernel.bugChecks.load(undefined);

export const read = (path: string) => readImage(fixtureBytes(path), { file: path });

/** A checked-in image with the symbols beside it, as the arguments of a load. */
export function described(path: string): [ReturnType<typeof read>, LoadOptions] {
  const image = read(path);
  return [image, { symbols: findSymbols({ image, path: fixture(path) }).table }];
}

/** An image that test/loader/fixtures/build.ts built, with the symbols of its map or its exports. */
export function built(name: string): [ReturnType<typeof read>, LoadOptions] {
  const at = (file: string) => fileURLToPath(new URL(`fixtures/${file}`, import.meta.url));
  const image = readImage(new Uint8Array(readFileSync(at(name))), { file: name });
  const map = at(name.replace(/\.[a-z]+$/, '.map'));
  return [image, existsSync(map) ? { symbols: readMapFile(readFileSync(map, 'utf8')).symbols } : {}];
}

/** `int f(void) { return value; }` */
export function returning(architecture: ArchitectureName, value: number): Uint8Array {
  if (architecture === 'arm64') {
    const bytes = new Uint8Array(8);
    const view = new DataView(bytes.buffer);
    view.setUint32(0, (0x52800000 | (value << 5)) >>> 0, true); // mov w0, #value
    view.setUint32(4, 0xd65f03c0, true); // ret
    return bytes;
  }
  return Uint8Array.of(0xb8, value & 0xff, value >> 8, 0, 0, 0xc3); // mov eax, value; ret
}

export function builder(architecture: ArchitectureName, options: ImageBuilderOptions = {}): ImageBuilder {
  return new ImageBuilder(architecture, { subsystem: 'WINDOWS_CUI', dll: true, ...options });
}

/** The protection of every page of an image, by the section that it is in. */
export function protections(loaded: LoadedImage): Record<string, string> {
  const at = (rva: number) => loaded.domain.table.query(loaded.address(rva)).protection ?? 'none';
  return Object.fromEntries([
    ['headers', at(0)],
    ...loaded.image.sections.map((section) => [section.name, at(section.virtualAddress)]),
  ]);
}

/** Pages of a domain that its code may both write and execute. */
export function writableAndExecutable(domain: ImageDomain): string[] {
  return [...domain.table.entries()]
    .filter(({ protection }) => /^PAGE_EXECUTE_(READWRITE|WRITECOPY)$/.test(protection))
    .map(({ address }) => address.toString(16));
}

/** Contents and protection of every page of every address space. */
export function memoryState(kernel: Kernel): string {
  const { machine } = kernel;
  const hash = createHash('sha256');
  for (const table of machine.pageTables)
    for (const { address, protection, frame, guard, service } of table.entries()) {
      hash.update(`${table.name} ${address} ${protection} ${guard} ${service}\n`);
      if (frame !== undefined) hash.update(machine.memory.peek(frame));
    }
  return hash.digest('hex');
}

/** Puts code into executable memory of its own in a domain; returns its address. */
export function placeCode(domain: ImageDomain, code: Uint8Array): bigint {
  const address = domain.pool.region.allocate(0x1000);
  domain.table.commit(address, 1, 'PAGE_EXECUTE_READ');
  domain.machine.writeCode(domain.addressSpace, address, code);
  return address;
}
