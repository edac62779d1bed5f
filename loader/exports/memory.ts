import { probe } from '../memory/user-memory-access.js';
import { defineExport, type ServiceCall, type SimulatedExport } from './simulated-export.js';

const MAX_BLOCK = 0x100_0000n;

/** memcpy and its family, as the kernel and the C runtime export them. Faults are the guest's: an access violation. */
export function memoryExports(): SimulatedExport[] {
  const read = (call: ServiceCall, address: bigint, size: bigint) => {
    probe(call, address, checked(size), 'read');
    return call.thread.addressSpace.read(address, checked(size));
  };
  const write = (call: ServiceCall, address: bigint, bytes: Uint8Array) => {
    probe(call, address, bytes.length, 'write');
    call.thread.addressSpace.write(address, bytes);
  };
  const checked = (size: bigint): number => {
    if (size > MAX_BLOCK) throw new RangeError(`a block of 0x${size.toString(16)} bytes is too large`);
    return Number(size);
  };
  const copy = (name: string) =>
    defineExport(
      name,
      ['pointer', 'pointer', 'size'],
      (call, to, from, size) => {
        if (size !== 0n) write(call, to, read(call, from, size));
        return to;
      },
      'cdecl',
    );
  return [
    defineExport('RtlZeroMemory', ['pointer', 'size'], (call, to, size) => {
      if (size !== 0n) write(call, to, new Uint8Array(checked(size)));
    }),
    copy('memcpy'),
    copy('memmove'),
    defineExport(
      'memset',
      ['pointer', 'u32', 'size'],
      (call, to, value, size) => {
        if (size !== 0n) write(call, to, new Uint8Array(checked(size)).fill(value));
        return to;
      },
      'cdecl',
    ),
    defineExport(
      'memcmp',
      ['pointer', 'pointer', 'size'],
      (call, a, b, size) => (size === 0n ? 0 : Buffer.compare(read(call, a, size), read(call, b, size))),
      'cdecl',
    ),
    defineExport('RtlCompareMemory', ['pointer', 'pointer', 'size'], (call, a, b, size) => {
      const left = read(call, a, size);
      const right = read(call, b, size);
      const different = left.findIndex((byte, index) => byte !== right[index]);
      return different < 0 ? size : BigInt(different);
    }),
  ];
}
