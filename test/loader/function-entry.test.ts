import { describe, expect, it } from 'vitest';
import { lookupFunctionEntry } from '../../loader/index.js';
import { boot, described, KERNEL_ARCHITECTURES } from './support.js';

describe.each(KERNEL_ARCHITECTURES)('unwind data on %s', (architecture) => {
  it('is found for code, and for the HPAT as part of its image', () => {
    using kernel = boot(architecture);
    const process = kernel.createProcess({ name: 'a.exe' });
    const demo = process.loadImage(...described(`${architecture}/base/demo.dll`));
    const find = (address: bigint) => lookupFunctionEntry(process.domain, address);
    const entry = find(demo.symbol('hp_entry', 4));
    expect(demo.address(entry?.entry?.beginAddress ?? 0)).toBe(demo.symbol('hp_entry'));
    const begin = process.addressSpace.readU32(entry?.address ?? 0n);
    expect(demo.address(begin)).toBe(demo.symbol('hp_entry'));
    expect(find((demo.hpat?.base ?? 0n) + 8n)).toEqual({ image: demo, entry: undefined, address: undefined });
    expect(find(1n)).toBeUndefined();

    const base = process.domain.allocateMemory('pool', 8);
    const lookup = process.domain.services.address('ntdll.dll', 'RtlLookupFunctionEntry');
    expect(process.call64(lookup, [demo.symbol('hp_entry', 4), base, 0])).toBe(entry?.address);
    expect(process.addressSpace.readU64(base)).toBe(demo.dllBase);
    expect(process.call64(lookup, [demo.hpat?.base ?? 0n, base, 0])).toBe(0n);
    expect(process.addressSpace.readU64(base)).toBe(demo.dllBase);
  });
});
