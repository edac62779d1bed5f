import { type Architecture, architectureNamed, Machine } from '../../cpu/index.js';
import { BOOT_TIME, BugCheckState, EventLog, SeededRandom } from '../common/index.js';
import { dispatchExit, type ServiceOwner, walkStack } from '../dispatch/index.js';
import { Volume } from '../files/index.js';
import {
  type ImageDomain,
  ImageDomains,
  ImageLoader,
  ImageSections,
  LoadImageRoutines,
  SystemFiles,
} from '../images/index.js';
import { IoManager } from '../io/index.js';
import { Pool, type PoolState } from '../memory/index.js';
import { type Process, ProcessTable, processOf } from '../processes/index.js';
import { PatchGuard, SecureKernel } from '../secure/index.js';
import { type SystemServices, systemServiceTable } from '../services/index.js';
import { DpcQueues, ModeContexts, Scheduler, ThreadRunner } from '../threads/index.js';
import {
  announceBoot,
  announcePhase1,
  type BootDecisions,
  type BootOptions,
  decideBoot,
  hotPatchingEnabled,
} from './boot.js';
import { KernelSpace } from './kernel-space.js';
import { type BootSeams, fittingsOf } from './seams.js';
import { SystemExports } from './system-exports.js';

/** The parts of a kernel that has booted, tied together. */
export interface KernelParts {
  readonly boot: BootDecisions;
  readonly seams: BootSeams;
  readonly machine: Machine;
  /** Of kernel code. */
  readonly architecture: Architecture;
  readonly events: EventLog;
  readonly bugChecks: BugCheckState;
  readonly layoutRandom: SeededRandom;
  readonly exports: SystemExports;
  readonly space: KernelSpace;
  readonly domains: ImageDomains;
  readonly pool: Pool;
  readonly systemServices: SystemServices;
  readonly sections: ImageSections;
  readonly files: SystemFiles;
  readonly loader: ImageLoader;
  readonly io: IoManager;
  readonly volume: Volume;
  readonly routines: LoadImageRoutines;
  readonly patchGuard: PatchGuard;
  readonly dpcs: DpcQueues;
  readonly scheduler: Scheduler;
  readonly runner: ThreadRunner;
  readonly processes: ProcessTable;
  readonly secureKernel: SecureKernel | undefined;
  readonly systemProcess: Process;
  readonly hotPatchProcess: Process | undefined;
  /** Where images go when nobody says. */
  readonly domain: ImageDomain;
}

/** Boots: makes every part of the kernel and gives each what it needs of the others. The one place that knows them all. */
export function assembleKernel(options: BootOptions): KernelParts {
  const boot = decideBoot(options);
  const { vbs, seed } = boot;
  const seams = options.seams ?? {};
  const fittings = fittingsOf(seams);
  // Threads come later than memory.
  let giveBack = () => {};
  const machine = Machine.create({
    architecture: boot.architecture,
    processors: boot.processors,
    seed,
    vbs,
    instructionFetch: options.instructionFetch ?? 'coherent',
    ...(options.memorySize === undefined ? {} : { memorySize: options.memorySize }),
    beforeAllocation: () => seams.before?.({ kind: 'page' }),
    onShortage: () => giveBack(),
  });
  const architecture = architectureNamed(machine.architecture.system);
  const events = new EventLog();
  const bugChecks = new BugCheckState(events);
  machine.addStatePart(bugChecks);
  const layoutRandom = new SeededRandom(seed + 0x5eed);
  const modes = new ModeContexts(machine);
  const nextId = idsFrom(4);
  const exports = new SystemExports(fittings.region);
  const space = new KernelSpace({ machine, architecture, boot, exports: exports.kernel, fittings });
  const { system, loadedModules } = space;
  const pool = new Pool(system);
  const systemServices = systemServiceTable();
  const sections = new ImageSections();
  const files = new SystemFiles();
  const routines = new LoadImageRoutines(events);

  // What follows needs what comes behind it, but not before a thread runs.
  const dpcs = new DpcQueues((address, parameters, given) => {
    const thread = runner.create(address, parameters, given);
    return { thread, destroy: () => runner.destroy(thread) };
  });
  const scheduler = new Scheduler({
    machine,
    bugChecks,
    random: new SeededRandom(seed),
    dpcs,
    dispatchExit: (thread, processor, exit) => dispatchExit(serving, thread, processor, exit),
  });
  const runner: ThreadRunner = new ThreadRunner(
    {
      scheduler,
      bugChecks,
      domainOf: (address) => domains.of(address),
      processOf: (domain) => processOf(domain) ?? systemProcess,
      stackWalk: walkStack,
      nextId,
      hasRun: () => patchGuard.tick(),
      isLoading: () => loader.isBusy,
      aroundCall: seams.call,
    },
    modes,
  );
  giveBack = () => runner.giveBackEnded();
  const loader: ImageLoader = new ImageLoader({
    machine,
    events,
    bugChecks,
    system,
    pool,
    layoutRandom,
    loadedModules,
    sections,
    files,
    hotPatchReserveSize: boot.hotPatchReserveSize,
    hpatLayout: boot.hpatLayout,
    retpoline: boot.retpoline,
    speculationControlPages: boot.speculationControlPages,
    get io() {
      return io;
    },
    callThread: (address, parameters, place) => runner.callThread(address, parameters, place),
    imageMapped: (image) => routines.mapped(image),
    imageUnmapped: (image) => routines.unmapped(image, system),
  });
  const io: IoManager = new IoManager({
    machine,
    events,
    system,
    pool,
    services: exports.kernel,
    loadedModules,
    get threads() {
      return scheduler.threads;
    },
    // What it runs are calls of the system's own: nobody is told of them.
    createThread: (address, parameters, given) => runner.create(address, parameters, given),
    callThread: (address, parameters, given) => runner.call(address, parameters, given),
    runAlone: (thread) => runner.runAlone(thread),
    destroyThread: (thread) => runner.destroy(thread),
  });
  const volume = new Volume(() => BOOT_TIME + scheduler.time);
  machine.addStatePart(volume);
  machine.addStatePart({
    name: 'kernel pool',
    save: () => pool.save(),
    load: (state) => pool.load(state as PoolState),
    describe: (state) => Pool.describe(state as PoolState),
  });
  const serving: ServiceOwner = {
    machine,
    events,
    bugChecks,
    system,
    pool,
    scheduler,
    dpcs,
    loader,
    files,
    volume,
    speculationControlPages: boot.speculationControlPages,
    get now() {
      return BOOT_TIME + scheduler.time;
    },
    io,
    systemServices,
    createThread: (address, parameters, given) => runner.createThread(address, parameters, given),
    callThread: (address, parameters, given) => runner.callThread(address, parameters, given),
    exportAt: (domain, address) => exports.at(domain, address),
  };
  const processes = new ProcessTable({
    machine,
    events,
    bugChecks,
    loader,
    scheduler,
    programs: boot.architecture,
    system,
    layoutRandom,
    fittings,
    heapMode: boot.heap,
    io,
    nextId,
    destroyThread: (thread) => runner.destroy(thread),
    tables: (session) => space.tables(session),
    exportsOf: (wow64) => exports.user(wow64),
    get threads() {
      return scheduler.threads;
    },
    createThread: (address, parameters, given) => runner.createThread(address, parameters, given),
    call64: (address, parameters, given) => runner.call64(address, parameters, given),
  });
  const domains: ImageDomains = new ImageDomains(
    system,
    () => [
      ...space.sessions.map((session) => session.domain),
      ...processes.all.filter(({ minimal }) => !minimal).map((process) => process.domain),
      ...(secureKernel === undefined ? [] : [secureKernel.domain]),
    ],
    machine.architecture.name,
  );
  const patchGuard = new PatchGuard({
    machine,
    bugChecks,
    secureKernelRunning: vbs,
    get time() {
      return scheduler.time;
    },
    onImageLoad: (routine) => routines.onLoad(routine),
    onImageUnload: (routine) => routines.onUnload(routine),
    describe: (address) => domains.describe(address),
  });

  announceBoot(boot, events);
  const secureKernel = vbs
    ? new SecureKernel({
        machine,
        architecture,
        fittings,
        services: exports.secure,
        loader,
        call64: (address, parameters, place) => runner.call64(address, parameters, place),
      })
    : undefined;
  const systemProcess = processes.createMinimal('System', system);
  const hotPatchProcess = hotPatchingEnabled(boot)
    ? processes.createMinimal('HotPatch', space.createHotPatchDomain())
    : undefined;
  announcePhase1(boot, events);
  const domain = boot.runsWow64 ? processes.create({ name: 'program.exe' }).domain : system;
  return {
    boot,
    seams,
    machine,
    architecture,
    events,
    bugChecks,
    layoutRandom,
    exports,
    space,
    domains,
    pool,
    systemServices,
    sections,
    files,
    loader,
    io,
    volume,
    routines,
    patchGuard,
    dpcs,
    scheduler,
    runner,
    processes,
    secureKernel,
    systemProcess,
    hotPatchProcess,
    domain,
  };
}

/** Process and thread identifiers: multiples of four, as on Windows. */
function idsFrom(first: number): () => number {
  let next = first;
  return () => {
    const id = next;
    next += 4;
    return id;
  };
}
