import type { Machine } from '../../cpu/index.js';
import { BugCheck, type EventLog } from '../common/index.js';
import type { ImageDomain, LoadedImage } from '../images/index.js';
import type { Pool } from '../memory/index.js';
import { type EventObject, type Process, processOf } from '../processes/index.js';
import { changeThread, type GuestProcedure, type Thread, type ThreadOptions } from '../threads/index.js';
import { Completion, callCompletionRoutines, type Stop } from './completion.js';
import { IRP_MJ, poolTag } from './constants.js';
import { DeviceFile } from './device-file.js';
import type { DeviceObject } from './devices.js';
import { currentLocation, enterNextLocation, type IrpObject, irpAt } from './irp.js';
import { KEVENT } from './layouts.js';
import { IoWorld } from './world.js';

/** What the I/O manager needs of the kernel that it is part of. */
export interface IoOwner {
  readonly machine: Machine;
  readonly events: EventLog;
  readonly system: ImageDomain;
  readonly pool: Pool;
  /** The exports of the kernel. */
  readonly services: ImageDomain['services'];
  readonly threads: readonly Thread[];
  readonly loadedModules: { entry(image: LoadedImage): bigint | undefined };
  createThread(address: bigint, parameters: readonly (bigint | number)[], options: ThreadOptions): Thread;
  callThread(address: bigint, parameters: readonly (bigint | number)[], options: ThreadOptions): Thread;
  destroyThread(thread: Thread): void;
  /** Runs a thread until its function has returned; all others stand still. @throws GuestCrash */
  runAlone(thread: Thread): void;
}

export type Mode = 'user' | 'kernel';

const EVENT_TAG = poolTag('Even');
const NO_MORE_IRP_STACK_LOCATIONS = 0x35;
/** Routines of the I/O manager itself, which lie among the exports so that kernel threads can run them. */
export const INVALID_REQUEST = 'IopInvalidDeviceRequest';
export const DELETE_FILE = 'IopDeleteFile';
export const CLOSE_FILE = 'IopCloseFile';

const routineOf = (world: IoWorld, name: string): bigint =>
  world.domain.services.address('ntoskrnl.exe', name);

/** What drivers, files and requests of the I/O manager have in common: where their objects lie, and how driver code runs. */
export class IoCore {
  readonly #worlds = new Map<ImageDomain, IoWorld>();
  readonly #completion: Completion;

  constructor(readonly owner: IoOwner) {
    this.#completion = new Completion(
      (world, irp) => this.requestorOf(world, irp),
      (world, file) =>
        void this.startSystemThread(world, routineOf(world, DELETE_FILE), [file], 'deletes a file object'),
    );
  }

  /** Where the drivers of a domain have their objects. */
  world(domain: ImageDomain): IoWorld {
    const place = domain.kind === 'user' ? domain : this.owner.system;
    const known = this.#worlds.get(place);
    if (known !== undefined) return known;
    const pool = domain.kind === 'user' ? processOf(domain)?.heap : this.owner.pool;
    const world = new IoWorld(place, pool ?? this.owner.pool, this.owner.events);
    this.#worlds.set(place, world);
    return world;
  }

  /** Where a program looks for devices: the kernel's, and those of 32-bit drivers that run in its own process. */
  worldsFor(process: Process): IoWorld[] {
    return process.wow64
      ? [this.world(process.domain), this.world(this.owner.system)]
      : [this.world(this.owner.system)];
  }

  /** What every MajorFunction leads to that a driver does not set. */
  invalidRequestRoutine(world: IoWorld): bigint {
    return routineOf(world, INVALID_REQUEST);
  }

  /** The thread on whose behalf the code of `thread` runs: itself, unless it does another's system service. */
  client(thread: Thread): Thread {
    let client = thread;
    while (client.onBehalfOf !== undefined) client = client.onBehalfOf.thread;
    return client;
  }

  /** ETHREAD of a thread. */
  threadObject(world: IoWorld, thread: Thread): bigint {
    return world.objectFor('thread', this.client(thread).id);
  }

  requestorOf(world: IoWorld, irp: IrpObject): Thread | undefined {
    const id = world.idOf('thread', irp.wide('Tail.Overlay.Thread'));
    return id === undefined ? undefined : this.owner.threads.find((thread) => thread.id === id);
  }

  /** Runs kernel code for a thread that is in a system service. It lasts until {@link ended}. */
  callKernel(
    client: Thread,
    mode: Mode,
    world: IoWorld,
    call: { readonly target: bigint; readonly arguments: readonly bigint[]; readonly irql?: number },
  ): Thread {
    const thread = this.owner.createThread(call.target, call.arguments, {
      domain: world.domain,
      onBehalfOf: { thread: client, mode },
      name: `${client.name} in the kernel`,
      ...(call.irql === undefined ? {} : { irql: call.irql }),
    });
    changeThread(client, { kernelThread: thread });
    return thread;
  }

  /** What the kernel code of {@link callKernel} returned; undefined while it runs. Its stack goes back. */
  ended(client: Thread, thread: Thread): bigint | undefined {
    if (!thread.finished || thread.crash !== undefined) return undefined;
    if (client.kernelThread === thread) changeThread(client, { kernelThread: undefined });
    return thread.returnValue ?? 0n;
  }

  /** The handles of a process that has ended are closed; requests that are under way are cancelled first. */
  processEnded(process: Process): void {
    for (const file of process.handles.all(DeviceFile)) {
      if (file.world.domain.process === process) continue;
      this.owner.callThread(routineOf(file.world, CLOSE_FILE), [file.address], {
        domain: file.world.domain,
        name: 'closes a handle',
      });
    }
    this.#worlds.delete(process.domain);
  }

  /** A system thread that calls a routine and then is gone: work items. */
  startSystemThread(world: IoWorld, routine: bigint, parameters: readonly bigint[], name: string): Thread {
    return this.owner.createThread(routine, parameters, { domain: world.domain, name });
  }

  /** IofCallDriver: moves to the next stack location. @returns the dispatch routine, or what the system must stop with */
  dispatchRoutine(world: IoWorld, device: DeviceObject, irp: IrpObject): bigint | Stop {
    if (irp.get('CurrentLocation') <= 1)
      return {
        code: NO_MORE_IRP_STACK_LOCATIONS,
        parameters: [irp.address, 0n, 0n, 0n],
        text: `the IRP at 0x${irp.address.toString(16)} has no stack location left for the device below`,
      };
    const location = enterNextLocation(world, irp);
    location.set('DeviceObject', device.address);
    const driver = world.devices.driver(device.wide('DriverObject'));
    const major = Math.min(location.get('MajorFunction'), IRP_MJ.MAXIMUM);
    return world.memory.readPointer(world.devices.majorFunction(driver, major));
  }

  /** IofCompleteRequest: completion routines, then the requestor's results. */
  *complete(world: IoWorld, address: bigint, stop: (stop: Stop) => void): GuestProcedure {
    const irp = irpAt(world, address);
    const refusal = this.#completion.refusal(irp);
    if (refusal !== undefined) {
      stop(refusal);
      return undefined;
    }
    const isDone = yield* callCompletionRoutines(world, irp);
    if (!isDone) return undefined;
    const failure = this.#completion.finish(world, irp);
    if (failure !== undefined) stop(failure);
    return undefined;
  }

  /** The KEVENT of an event that a program made: from now on its state lies there. */
  kernelEvent(world: IoWorld, event: EventObject): bigint {
    if (event.header !== undefined) return event.header.address;
    const object = world.createObject(KEVENT, EVENT_TAG);
    if (object === undefined) return 0n;
    event.moveTo(world.memory, object.address);
    return object.address;
  }

  /** `\Driver\packets` of the driver whose dispatch routine has an IRP. */
  driverOf(world: IoWorld, irp: IrpObject): string {
    const device = world.devices.device(currentLocation(world, irp).wide('DeviceObject'));
    return world.devices.driverName(device.wide('DriverObject'));
  }

  bugCheck({ code, parameters, text }: Stop): BugCheck {
    return new BugCheck(code, parameters, text);
  }
}
