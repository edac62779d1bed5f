import type { AddressSpace, Architecture, Machine, PageTable } from '../../cpu/index.js';
import { KernelError } from '../common/index.js';
import type { ExportTable } from '../exports/index.js';
import {
  ControlFlowGuard,
  type DomainFittings,
  giveDomain,
  ImageDomain,
  type ImageSession,
  LoadedModuleList,
} from '../images/index.js';
import {
  type AddressRegion,
  type ImageWriter,
  KernelImageWriter,
  MemoryArea,
  SESSION_SPACE,
  SYSTEM_LOADER_DATA,
  SYSTEM_SPACE,
} from '../memory/index.js';
import { type Process, Session, type SessionOwner } from '../processes/index.js';
import type { BootDecisions } from './boot.js';

/** What kernel space is made of. */
export interface KernelSpaceOwner {
  readonly machine: Machine;
  /** Of kernel code. */
  readonly architecture: Architecture;
  readonly boot: BootDecisions;
  /** What drivers can import. */
  readonly exports: ExportTable;
  readonly fittings: DomainFittings;
}

/** The part of the address space that belongs to the kernel: system space, the same everywhere, and session space. */
export class KernelSpace {
  /** Kernel space and PsLoadedModuleList. */
  readonly system: ImageDomain;
  /** Session space of a process that belongs to no session: empty. */
  readonly noSession: PageTable;
  readonly sessions: Session[] = [];
  /** PsLoadedModuleList, which drivers import as data. */
  readonly loadedModules: LoadedModuleList;
  readonly #sessionImages: AddressRegion;

  constructor(private readonly owner: KernelSpaceOwner) {
    const { machine, exports, fittings } = owner;
    const { region } = fittings;
    this.#sessionImages = region('session images', SESSION_SPACE.images);
    this.system = this.#createSystemDomain();
    const loaderData = new MemoryArea(this.system.table, region('loader data', SYSTEM_LOADER_DATA));
    this.loadedModules = new LoadedModuleList(this.system.addressSpace, (size) => loaderData.allocate(size));
    exports.defineData('ntoskrnl.exe', 'PsLoadedModuleList', this.loadedModules.head);
    this.noSession = machine.createPageTable({ ...SESSION_SPACE.range, name: 'no session' });
  }

  /** What lies above the user space of a process of this session. */
  tables(session: Session | undefined): readonly PageTable[] {
    return [session?.table ?? this.noSession, this.system.table];
  }

  createSession(owner: SessionOwner): Session {
    const { system } = this;
    const { machine, architecture, exports, boot } = this.owner;
    const id = this.sessions.length + 1;
    const name = `session ${id}`;
    const table = machine.createPageTable({ ...SESSION_SPACE.range, name, protectsCode: boot.vbs });
    const addressSpace = machine.createAddressSpace(name, [table, system.table]);
    const domain = new ImageDomain({
      kind: 'session',
      name,
      machine,
      architecture,
      addressSpace,
      table,
      imageRegion: this.#sessionImages,
      stacks: system.stacks,
      pool: system.pool,
      services: exports,
      writer: this.#writer(addressSpace, { name, kind: 'session' }),
      guard: new ControlFlowGuard(addressSpace, boot.kernelControlFlowGuard),
      parent: system,
    });
    const session = new Session(owner, id, table, domain);
    giveDomain(domain, { session });
    this.sessions.push(session);
    return session;
  }

  /** The HotPatch process sees kernel space and whatever session it is attached to. */
  createHotPatchDomain(): ImageDomain {
    const { system } = this;
    const { machine, architecture, exports: services } = this.owner;
    return new ImageDomain({
      kind: 'driver',
      name: 'HotPatch',
      machine,
      architecture,
      addressSpace: machine.createAddressSpace('HotPatch', this.tables(undefined)),
      table: system.table,
      imageRegion: system.imageRegion,
      stacks: system.stacks,
      pool: system.pool,
      services,
      writer: system.writer,
      guard: system.guard,
      parent: system,
    });
  }

  /** Switches the root entry of the HotPatch process to a session's, until what is returned is disposed of. */
  attach(process: Process | undefined, session: ImageSession): Disposable {
    if (process === undefined)
      throw new KernelError({
        rule: 'hotPatchProcessAbsent',
        status: 'STATUS_NOT_SUPPORTED',
        place: `session ${session.id}`,
        message: 'hotpatching is disabled, so there is no HotPatch process that could attach to a session',
      });
    const { addressSpace } = process;
    if (!addressSpace.tables.includes(this.noSession))
      throw new KernelError({
        rule: 'attachedAlready',
        status: 'STATUS_OPERATION_IN_PROGRESS',
        place: `session ${session.id}`,
        message: 'the HotPatch process is attached to a session already',
      });
    addressSpace.replaceTable(this.noSession, session.table);
    return { [Symbol.dispose]: () => addressSpace.replaceTable(session.table, this.noSession) };
  }

  #createSystemDomain(): ImageDomain {
    const { machine, architecture, exports: services, fittings, boot } = this.owner;
    const { region } = fittings;
    const table = machine.createPageTable({ ...SYSTEM_SPACE.range, name: 'system', protectsCode: boot.vbs });
    const addressSpace = machine.createAddressSpace('system', [table]);
    services.attach(table);
    return new ImageDomain({
      kind: 'driver',
      name: 'system',
      machine,
      architecture,
      addressSpace,
      table,
      imageRegion: region('kernel images', SYSTEM_SPACE.images),
      stacks: new MemoryArea(table, region('kernel stacks', SYSTEM_SPACE.stacks)),
      pool: new MemoryArea(table, region('pool', SYSTEM_SPACE.pool)),
      services,
      writer: this.#writer(addressSpace, { name: 'system', kind: 'driver' }),
      guard: new ControlFlowGuard(addressSpace, boot.kernelControlFlowGuard),
    });
  }

  #writer(space: AddressSpace, place: Pick<ImageDomain, 'name' | 'kind'>): ImageWriter {
    const { machine, boot, fittings } = this.owner;
    return fittings.writer(new KernelImageWriter(machine, space, boot.vbs), place);
  }
}
