import type { PlacedExport } from '../dispatch/index.js';
import { ExportTable, kernelModules, secureModules, userModules } from '../exports/index.js';
import type { ImageDomain } from '../images/index.js';
import { type MakeRegion, SECURE_SPACE, SYSTEM_SPACE, USER_SPACE } from '../memory/index.js';

/** The simulated exports of every world: the kernel, programs of both widths, VTL1. A world's table is made on first use. */
export class SystemExports {
  readonly kernel: ExportTable;
  readonly #user = new Map<boolean, ExportTable>();
  #secure: ExportTable | undefined;

  constructor(private readonly region: MakeRegion) {
    this.kernel = new ExportTable(region('kernel exports', SYSTEM_SPACE.services));
    for (const module of kernelModules()) this.kernel.define(module);
  }

  /** What programs of one width can import. */
  user(wow64: boolean): ExportTable {
    const known = this.#user.get(wow64);
    if (known !== undefined) return known;
    const { services } = USER_SPACE[wow64 ? 32 : 64];
    const table = new ExportTable(this.region('user exports', services));
    for (const module of userModules(wow64)) table.define(module);
    this.#user.set(wow64, table);
    return table;
  }

  /** What images of VTL1 can import. */
  get secure(): ExportTable {
    if (this.#secure !== undefined) return this.#secure;
    this.#secure = new ExportTable(this.region('VTL1 exports', SECURE_SPACE.services));
    for (const module of secureModules()) this.#secure.define(module);
    return this.#secure;
  }

  /** The simulated export at an address of a domain. */
  at({ services }: ImageDomain, address: bigint): PlacedExport | undefined {
    return services instanceof ExportTable ? services.at(address) : undefined;
  }
}
