import { type ArchitectureName, formatAddress, type PageTable } from '../../cpu/index.js';
import { assertAddress } from '../common/index.js';
import type { ImageDomain } from './image-domain.js';

/** Every place that images are loaded into: kernel space, sessions, processes, VTL1. */
export class ImageDomains {
  constructor(
    private readonly system: ImageDomain,
    /** All but kernel space, as they are now. */
    private readonly others: () => readonly ImageDomain[],
    private readonly architecture: ArchitectureName,
  ) {}

  get all(): readonly ImageDomain[] {
    return [this.system, ...this.others()];
  }

  /** The process whose session, user space or kernel space an address lies in, by the images there. */
  of(address: bigint): ImageDomain {
    assertAddress(address);
    const { start, end } = this.system.table.range;
    if (address >= start && address < end) return this.system;
    const others = this.others();
    const holder = others.find((domain) => domain.imageAt(address) !== undefined);
    return holder ?? others.find(({ table }) => inRange(table, address)) ?? this.system;
  }

  /** `module!symbol+0x12` */
  describe(address: bigint): string {
    const image = this.of(address).imageAt(address);
    return image?.describe(address) ?? formatAddress(this.architecture, address);
  }
}

function inRange({ range }: PageTable, address: bigint): boolean {
  return address >= range.start && address < range.end;
}
