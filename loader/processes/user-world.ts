import type { Architecture, Machine, PageTable } from '../../cpu/index.js';
import type { SeededRandom } from '../common/index.js';
import { ControlFlowGuard, type DomainFittings, type ExportSource, ImageDomain } from '../images/index.js';
import { type AddressRegion, MemoryArea, USER_SPACE, UserImageWriter } from '../memory/index.js';

/** Image bases differ from boot to boot by up to so many 64 KB steps. */
const ASLR_STEPS = 0xff;

/**
 * What all processes of one width have in common: the simulated system DLLs, and one region for image bases, so that an
 * image lies at the same address in every process of a boot.
 */
export class UserWorld {
  readonly imageRegion: AddressRegion;

  constructor(
    readonly architecture: Architecture,
    readonly services: ExportSource,
    random: SeededRandom,
    private readonly fittings: DomainFittings,
  ) {
    const layout = this.#layout;
    const { region } = fittings;
    this.imageRegion = region('user images', layout.images).skip(
      BigInt(random.between(0, ASLR_STEPS)) << 16n,
    );
  }

  /** The user address space of a process, with kernel and session space above it. */
  createDomain(
    name: string,
    machine: Machine,
    above: readonly PageTable[],
    enforceGuard: boolean,
  ): ImageDomain {
    const { range, stacks, pool } = this.#layout;
    const { region } = this.fittings;
    const table = machine.createPageTable({ ...range, name });
    const addressSpace = machine.createAddressSpace(name, [table, ...above]);
    this.services.attach(table);
    return new ImageDomain({
      kind: 'user',
      name,
      machine,
      architecture: this.architecture,
      addressSpace,
      table,
      imageRegion: this.imageRegion,
      stacks: new MemoryArea(table, region(`stacks of ${name}`, stacks)),
      pool: new MemoryArea(table, region(`heap of ${name}`, pool)),
      services: this.services,
      writer: this.fittings.writer(new UserImageWriter(machine, addressSpace), { name, kind: 'user' }),
      guard: new ControlFlowGuard(addressSpace, enforceGuard),
    });
  }

  get #layout() {
    return USER_SPACE[this.architecture.addressBits];
  }
}
