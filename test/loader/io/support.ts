import { type DeviceHandle, Lab, type LoadedImage, type Process } from 'hotpatch-lab';
import { processOf } from '../../../loader/index.js';
import { fixture } from '../../support.js';

/** Who asks, and whom: programs of either width on x64, ARM64, and 32-bit drivers beside their program. */
export const WORLDS = [
  { name: 'x64', architecture: 'x64', images: 'x64', wow64: false },
  { name: 'ARM64', architecture: 'arm64', images: 'arm64', wow64: false },
  { name: 'x64, from WOW64', architecture: 'x64', images: 'x86', wow64: true },
  { name: 'x86', architecture: 'x86', images: 'x86', wow64: true },
] as const;
export type World = (typeof WORLDS)[number];

const code = (number: number, method: number, access = 0) =>
  ((0x22 << 16) | (access << 14) | (number << 2) | method) >>> 0;

/** Control codes of device.sys. */
export const IOCTL = {
  BUFFERED: code(0x810, 0),
  IN_DIRECT: code(0x811, 1),
  OUT_DIRECT: code(0x812, 2),
  NEITHER: code(0x813, 3),
  TRUSTING: code(0x814, 3),
  SEEN: code(0x815, 0),
  TWICE: code(0x816, 0),
  FORGET: code(0x817, 0),
  BOAST: code(0x818, 0),
  LATER: code(0x819, 0),
  WORK: code(0x81a, 0),
  OVERFLOW: code(0x81b, 0),
  WRITE_ACCESS: code(0x81c, 0, 2),
} as const;

export interface Machine extends Disposable {
  readonly lab: Lab;
  readonly driver: LoadedImage;
  readonly process: Process;
  open(path?: string, access?: number): DeviceHandle;
  /** Memory of the program: whole pages, of which the last is followed by nothing. */
  pages(count: number, protection?: 'PAGE_READWRITE' | 'PAGE_READONLY' | 'PAGE_NOACCESS'): bigint;
  read(address: bigint, length: number): Uint8Array;
  write(address: bigint, bytes: Uint8Array): void;
  /** A system service by a thread of the program. */
  service(name: string, ...parameters: readonly (bigint | number)[]): number;
}

export async function machine({ architecture, wow64 }: World, processors = 2): Promise<Machine> {
  const lab = await Lab.boot({ architecture, processors });
  const driver = await lab.loadDriver(fixture(`${architecture}/device.sys`));
  const process = processOf(lab.kernel.domain) ?? lab.createProcess({ name: 'program.exe', wow64 });
  const { domain } = process;
  return {
    lab,
    driver,
    process,
    open: (path = '\\\\.\\LabDevice', access = 0xc000_0000) => lab.open(path, { process, access }),
    pages(count, protection = 'PAGE_READWRITE') {
      const address = domain.allocateMemory('pool', count * 0x1000);
      if (protection !== 'PAGE_READWRITE') domain.table.protect(address, count, protection);
      return address;
    },
    read: (address, length) => domain.addressSpace.read(address, length),
    write: (address, bytes) => domain.addressSpace.write(address, bytes),
    service(name, ...parameters) {
      const thread = lab.kernel.callThread(domain.services.address('ntdll.dll', name), parameters, {
        domain,
      });
      return Number(BigInt.asUintN(32, thread.returnValue ?? -1n));
    },
    [Symbol.dispose]: () => lab[Symbol.dispose](),
  };
}

export const inverted = (bytes: Uint8Array) => bytes.map((byte) => ~byte);
export const counting = (length: number) => Uint8Array.from({ length }, (_, index) => (7 * index + 1) & 0xff);
