import { PAGE_SIZE, type PageTable } from '../../cpu/index.js';
import { KernelError } from '../common/index.js';
import type { PlacedExport, SimulatedExport, SimulatedModule } from '../dispatch/index.js';
import { apiSetHost, type ExportSource } from '../images/index.js';
import type { AddressRegion } from '../memory/index.js';

const SERVICE_SPACING = 16;

interface ServicePages {
  readonly addresses: bigint[];
  /** Bytes of the last one that are given out. */
  used: number;
  readonly readable: boolean;
}

/** An import that nobody exports. */
export interface MissingImport {
  readonly module: string;
  readonly name: string;
  /** Images that import it. */
  readonly importers: Set<string>;
  /** Has it been called? */
  reached: boolean;
}

/**
 * The simulated exports of one world (kernel, 64-bit or 32-bit user mode, VTL1) and their addresses, which are the same
 * in every page table of that world. Fetching from one leaves the guest.
 */
export class ExportTable implements ExportSource {
  readonly #modules = new Map<string, Map<string, SimulatedExport>>();
  readonly #addresses = new Map<string, bigint>();
  readonly #services = new Map<bigint, PlacedExport>();
  readonly #data = new Map<string, bigint>();
  /** What is missing has no bytes: whoever reads it as a variable faults. */
  readonly #pages: Readonly<Record<'served' | 'missing', ServicePages>> = {
    served: { addresses: [], used: PAGE_SIZE, readable: true },
    missing: { addresses: [], used: PAGE_SIZE, readable: false },
  };
  readonly #tables = new Set<PageTable>();
  readonly #missing = new Map<string, MissingImport>();
  readonly #stubs = new Map<string, SimulatedExport>();
  #used = PAGE_SIZE;

  constructor(private readonly region: AddressRegion) {}

  /** Shows the service pages, those to come too, in a page table. */
  attach(table: PageTable): void {
    this.#tables.add(table);
    for (const { addresses, readable } of Object.values(this.#pages))
      for (const page of addresses) table.service(page, 1, { readable });
  }

  detach(table: PageTable): void {
    if (!this.#tables.delete(table)) return;
    for (const { addresses } of Object.values(this.#pages))
      for (const page of addresses) table.release(page, 1);
  }

  /** Adds a module, or replaces exports of one that is there. Bound imports keep their address and get the new meaning. */
  define(module: SimulatedModule): void {
    const name = module.name.toLowerCase();
    const exports = this.#modules.get(name) ?? new Map<string, SimulatedExport>();
    this.#modules.set(name, exports);
    for (const entry of module.exports) {
      exports.set(entry.name, entry);
      const address = this.#addresses.get(`${name}!${entry.name}`);
      if (address !== undefined) this.#services.set(address, { module: module.name, entry });
    }
  }

  /** Lets images import a variable of the kernel model, which lies at `address`. */
  defineData(module: string, name: string, address: bigint): void {
    this.#data.set(`${module.toLowerCase()}!${name}`, address);
  }

  has(module: string): boolean {
    return this.#modules.has(apiSetHost(module));
  }

  /** The declaration of an export, wherever it will be placed. */
  find(module: string, name: string): SimulatedExport | undefined {
    return this.#modules.get(apiSetHost(module))?.get(name);
  }

  /** Names of the simulated modules, in lower case. */
  get modules(): readonly string[] {
    return [...this.#modules.keys()];
  }

  /** Address to bind an import to; undefined when the module is simulated but lacks the function, or is not simulated. */
  resolve(module: string, name: string): bigint | undefined {
    const host = apiSetHost(module);
    const data = this.#data.get(`${host}!${name}`);
    if (data !== undefined) return data;
    const entry = this.#modules.get(host)?.get(name) ?? this.#stubs.get(name);
    return entry === undefined ? undefined : this.#place(host, entry);
  }

  /** @throws KernelError `entryPointNotFound` */
  address(module: string, name: string): bigint {
    const address = this.resolve(module, name);
    if (address !== undefined) return address;
    throw new KernelError({
      rule: 'entryPointNotFound',
      status: 'STATUS_ENTRYPOINT_NOT_FOUND',
      image: module,
      message: `there is no simulated export ${name}`,
      hint: 'define it: services.define({ name, exports: [defineExport(…)] })',
    });
  }

  /**
   * Whatever imports a function of this name that nobody exports gets one that returns `value`.
   * @param pops bytes of arguments that it removes from the stack, of 32-bit stdcall functions
   */
  stub(name: string, value: bigint, pops = 0): void {
    const parameters = Array.from({ length: pops / 4 }, () => 'u32' as const);
    this.#stubs.set(name, {
      name,
      parameters,
      convention: pops === 0 ? 'cdecl' : 'stdcall',
      serve: () => value,
    });
  }

  /** What images import that nobody exports, in the order in which it was met. */
  get missing(): readonly MissingImport[] {
    return [...this.#missing.values()];
  }

  /** For the image loader: `importer` imports what {@link trap} was made for. */
  noteImporter(module: string, name: string, importer: string): void {
    this.#missing.get(`${module.toLowerCase()}!${name}`)?.importers.add(importer);
  }

  /** An address that, when it is called, ends the call with an error naming what is missing and who called it. */
  trap(module: string, name: string): bigint {
    const missing: MissingImport = { module, name, importers: new Set(), reached: false };
    const key = `${module.toLowerCase()}!${name}`;
    if (!this.#missing.has(key)) this.#missing.set(key, missing);
    return this.#place(
      module,
      {
        name,
        parameters: [],
        convention: 'cdecl',
        serve: ({ thread, processor }) => {
          const caller = thread.describe(thread.architecture.returnAddressAtEntry(processor));
          const known = this.#missing.get(key);
          if (known !== undefined) known.reached = true;
          throw new KernelError({
            rule: 'importNotModelled',
            status: 'STATUS_ENTRYPOINT_NOT_FOUND',
            place: caller,
            message: `${module}!${name} is not modelled; it was called from ${caller}`,
            hint: `load an image that exports it, or give it a result: --stub ${name}=0; or define it: services.define({ name: '${module}', exports: [defineExport('${name}', …)] })`,
          });
        },
      },
      'missing',
    );
  }

  at(address: bigint): PlacedExport | undefined {
    return this.#services.get(address);
  }

  #place(module: string, entry: SimulatedExport, kind: 'served' | 'missing' = 'served'): bigint {
    const key = `${module.toLowerCase()}!${entry.name}`;
    const known = this.#addresses.get(key);
    if (known !== undefined) return known;
    const address = this.#nextAddress(this.#pages[kind]);
    this.#addresses.set(key, address);
    this.#services.set(address, { module, entry });
    return address;
  }

  #nextAddress(pages: ServicePages): bigint {
    if (pages.used + SERVICE_SPACING > PAGE_SIZE) {
      const page = this.region.allocate(PAGE_SIZE);
      pages.addresses.push(page);
      for (const table of this.#tables) table.service(page, 1, { readable: pages.readable });
      pages.used = 0;
    }
    const address = (pages.addresses.at(-1) ?? 0n) + BigInt(pages.used);
    pages.used += SERVICE_SPACING;
    return address;
  }
}
