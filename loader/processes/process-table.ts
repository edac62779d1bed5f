import { architectureNamed } from '../../cpu/index.js';
import { IMAGE_DLLCHARACTERISTICS, PeImage } from '../../image/index.js';
import {
  assertArgument,
  assertOwn,
  FLAG,
  instanceOf,
  KernelError,
  OBJECT,
  optional,
  optionsOf,
  TEXT,
} from '../common/index.js';
import {
  assertLoadable,
  fileName,
  giveDomain,
  type ImageDomain,
  type LoadOptions,
  refuseOtherMachine,
} from '../images/index.js';
import type { ProcessOwner, ProcessTableOwner } from './owners.js';
import { Process, type ProcessDetails } from './process.js';
import { Session } from './session.js';
import { KI_USER_SHARED_DATA, SHARED_USER_DATA, SharedUserData } from './shared-user-data.js';
import { UserWorld } from './user-world.js';

/** How a process is created. */
export interface ProcessOptions {
  /** File name of its EXE: `mail.exe`. */
  readonly name: string;
  /** 32-bit code. Default: as the EXE; without one, as the machine. */
  readonly wow64?: boolean;
  /** The session that it belongs to. Default: none. */
  readonly session?: Session;
  /** The EXE; it is mapped with everything it imports. Its entry point is what a thread may then start at. */
  readonly image?: PeImage;
  /** Names of what is in the EXE. Default: what it exports. */
  readonly symbols?: LoadOptions['symbols'];
  /** Of its token: `S-1-5-21-…`. Default: none. */
  readonly userSid?: string | undefined;
  /** Does it run in a server silo (container)? Default false. */
  readonly silo?: boolean;
  /** Enforce Control Flow Guard. Default: as the EXE asks for; off without one. */
  readonly controlFlowGuard?: boolean;
}

const PROCESS_OPTIONS = optionsOf<ProcessOptions>({
  name: TEXT,
  wow64: optional(FLAG),
  session: optional(instanceOf(Session, 'a session: what createSession returns')),
  image: optional(instanceOf(PeImage, 'an image: what readImage returns')),
  symbols: optional(OBJECT),
  userSid: optional(TEXT),
  silo: optional(FLAG),
  controlFlowGuard: optional(FLAG),
});

/** The processes that have not ended, and what 64-bit and 32-bit ones have in common. */
export class ProcessTable {
  readonly #processes = new Map<number, Process>();
  readonly #worlds = new Map<boolean, UserWorld>();
  readonly #sharedUserData: SharedUserData;

  constructor(private readonly kernel: ProcessTableOwner) {
    this.#sharedUserData = new SharedUserData(kernel.machine);
    this.#sharedUserData.map(kernel.system.table, KI_USER_SHARED_DATA);
  }

  get all(): readonly Process[] {
    return [...this.#processes.values()];
  }

  create(options: ProcessOptions): Process {
    const { kernel } = this;
    assertArgument(PROCESS_OPTIONS, options, 'createProcess');
    const { name, session, image } = options;
    if (session !== undefined) assertOwn(kernel.machine, session, 'createProcess: session');
    kernel.bugChecks.assertRunning(`create process ${name}`);
    const programs = architectureNamed(image?.architecture ?? kernel.programs);
    const wow64 = options.wow64 ?? programs.system !== programs.name;
    const world = this.#world(wow64);
    if (image !== undefined) {
      refuseOtherMachine(world.architecture, name, image, fileName(image));
      assertLoadable(image);
    }
    const enforceGuard = options.controlFlowGuard ?? wantsGuard(image);
    const id = kernel.nextId();
    const domain = world.createDomain(
      `${name} (${id})`,
      kernel.machine,
      kernel.tables(session),
      enforceGuard,
    );
    const { userSid, silo = false } = options;
    const process = this.#createIn(domain, { id, name, session, wow64, userSid, silo });
    giveDomain(domain, { process, session });
    this.#processes.set(process.id, process);
    const where = session === undefined ? '' : `, session ${session.id}`;
    kernel.events.emit({
      kind: 'processCreated',
      text: `process ${name} (${process.id})${wow64 ? ', WOW64' : ''}${where}`,
    });
    if (image !== undefined) this.#loadProgram(process, image, options);
    return process;
  }

  /** Gives the user space back when the process cannot be made in it. */
  #createIn(
    domain: ImageDomain,
    details: Pick<ProcessDetails, 'id' | 'name' | 'session' | 'wow64' | 'userSid' | 'silo'>,
  ): Process {
    try {
      const process = this.#create({ ...details, minimal: false, domain });
      this.#sharedUserData.map(domain.table, SHARED_USER_DATA);
      return process;
    } catch (error) {
      releaseUserSpace(domain);
      throw error;
    }
  }

  #create(details: Omit<ProcessDetails, 'owner' | 'region' | 'heapMode'>): Process {
    const { kernel } = this;
    const owner: ProcessOwner = {
      machine: kernel.machine,
      bugChecks: kernel.bugChecks,
      loader: kernel.loader,
      get threads() {
        return kernel.threads;
      },
      createThread: (...of) => kernel.createThread(...of),
      call64: (...of) => kernel.call64(...of),
      processEnded: (process) => this.#ended(process),
    };
    return new Process({ ...details, owner, region: kernel.fittings.region, heapMode: kernel.heapMode });
  }

  /** A process without user space. */
  createMinimal(name: string, domain: ImageDomain): Process {
    const process = this.#create({
      id: this.kernel.nextId(),
      name,
      session: undefined,
      wow64: false,
      userSid: undefined,
      silo: false,
      minimal: true,
      domain,
    });
    this.#processes.set(process.id, process);
    return process;
  }

  /** Takes everything back that a process has. */
  #ended(process: Process): void {
    const { kernel } = this;
    for (const thread of process.threads) kernel.destroyThread(thread);
    kernel.io.processEnded(process);
    for (const image of [...process.images].reverse()) kernel.loader.unload(image);
    releaseUserSpace(process.domain);
    this.#processes.delete(process.id);
    const status = (process.exitStatus ?? 0).toString(16);
    kernel.events.emit({
      kind: 'processEnded',
      text: `process ${process.name} (${process.id}) has ended (0x${status})`,
    });
  }

  #loadProgram(process: Process, image: PeImage, { symbols }: ProcessOptions): void {
    try {
      process.loadImage(image, symbols === undefined ? {} : { symbols });
    } catch (error) {
      process.terminate(1);
      throw error;
    }
  }

  #world(wow64: boolean): UserWorld {
    const known = this.#worlds.get(wow64);
    if (known !== undefined) return known;
    if (wow64 && architectureNamed('x86').system !== this.kernel.system.architecture.name)
      throw new KernelError({
        rule: 'wow64OnArm64',
        status: 'STATUS_IMAGE_MACHINE_TYPE_MISMATCH',
        place: 'wow64',
        message: 'x86 programs on ARM64 run in a translator, which is not modelled',
      });
    const architecture = wow64 ? architectureNamed('x86') : this.kernel.system.architecture;
    const { layoutRandom, fittings } = this.kernel;
    const world = new UserWorld(architecture, this.kernel.exportsOf(wow64), layoutRandom, fittings);
    this.#worlds.set(wow64, world);
    return world;
  }
}

function releaseUserSpace({ services, table }: ImageDomain): void {
  services.detach(table);
  for (const { address } of [...table.entries()]) table.release(address, 1);
}

function wantsGuard(image: PeImage | undefined): boolean {
  const characteristics = image?.optionalHeader.dllCharacteristics ?? 0;
  return (characteristics & IMAGE_DLLCHARACTERISTICS.GUARD_CF) !== 0;
}
