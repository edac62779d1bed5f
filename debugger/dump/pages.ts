import { PAGE_SIZE } from '../../cpu/index.js';
import type { MemoryRange, MinidumpRegion } from '../../image/index.js';
import { type ImageDomain, PAGE_GUARD, protectionValue } from '../../loader/index.js';

/** winnt.h */
const MEM_COMMIT = 0x1000;
const MEM_PRIVATE = 0x2_0000;
const MEM_IMAGE = 0x100_0000;

interface Page {
  readonly address: bigint;
  readonly bytes: Uint8Array | undefined;
  readonly protect: number;
  readonly protection: string;
  /** Base of the image that it belongs to. */
  readonly image: bigint | undefined;
}

/**
 * The committed pages of a domain, without those that only stand for simulated exports. A page of demand-zero memory that
 * nobody has touched is zero; what a guard page holds is not read, as MiniDumpWriteDump does not either.
 */
function* pagesOf(domain: ImageDomain): Generator<Page> {
  const { table, machine } = domain;
  for (const { address, protection, frame, guard, service } of table.entries()) {
    if (service) continue;
    const bytes = frame === undefined ? new Uint8Array(PAGE_SIZE) : machine.memory.peek(frame).slice();
    const image = domain.images.find((each) => each.contains(address))?.dllBase;
    const protect = protectionValue(protection) | (guard ? PAGE_GUARD : 0);
    yield { address, bytes: guard ? undefined : bytes, protect, protection, image };
  }
}

export interface DomainMemory {
  /** Stretches of memory, in ascending order; pages that touch are one. */
  readonly memory: readonly (MemoryRange & { readonly protection: string })[];
  /** What VirtualQuery would say of them. */
  readonly regions: readonly MinidumpRegion[];
}

/**
 * Copies all memory of a domain.
 * @param byProtection a new stretch begins where the protection changes, too
 */
export function memoryOf(domain: ImageDomain, byProtection = false): DomainMemory {
  const memory: { address: bigint; parts: Uint8Array[]; protection: string }[] = [];
  const regions: MinidumpRegion[] = [];
  let end = -1n;
  for (const page of pagesOf(domain)) {
    const lastRange = memory.at(-1);
    const lastRegion = regions.at(-1);
    const touches = page.address === end;
    end = page.address + BigInt(PAGE_SIZE);
    const allocationBase =
      page.image ?? (touches && lastRegion?.type === MEM_PRIVATE ? lastRegion.allocationBase : page.address);
    if (
      touches &&
      lastRegion !== undefined &&
      lastRegion.protect === page.protect &&
      lastRegion.allocationBase === allocationBase
    )
      regions[regions.length - 1] = { ...lastRegion, size: lastRegion.size + BigInt(PAGE_SIZE) };
    else
      regions.push({
        base: page.address,
        allocationBase,
        allocationProtect: page.protect,
        size: BigInt(PAGE_SIZE),
        state: MEM_COMMIT,
        protect: page.protect,
        type: page.image === undefined ? MEM_PRIVATE : MEM_IMAGE,
      });
    if (page.bytes === undefined) continue;
    const isSame =
      lastRange !== undefined &&
      lastRange.address + BigInt(lastRange.parts.length * PAGE_SIZE) === page.address &&
      (!byProtection || lastRange.protection === page.protection);
    if (isSame) lastRange.parts.push(page.bytes);
    else memory.push({ address: page.address, parts: [page.bytes], protection: page.protection });
  }
  return {
    regions,
    memory: memory.map(({ address, parts, protection }) => {
      const bytes = new Uint8Array(parts.length * PAGE_SIZE);
      parts.forEach((part, index) => {
        bytes.set(part, index * PAGE_SIZE);
      });
      return { address, bytes, protection };
    }),
  };
}
