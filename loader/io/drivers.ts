import { KernelError } from '../common/index.js';
import type { ImageDomain, LoadedImage } from '../images/index.js';
import { poolTag } from './constants.js';
import type { IoCore } from './io-core.js';
import { UNICODE_STRING } from './layouts.js';

const PATH_TAG = poolTag('IoRp');
const SERVICES = '\\Registry\\Machine\\System\\CurrentControlSet\\Services';

/** Driver objects from before DriverEntry until behind DriverUnload. */
export class Drivers {
  constructor(private readonly io: IoCore) {}

  /** What DriverEntry gets: its object, and the path of its key in the registry. */
  create(loaded: LoadedImage, entryPoint: bigint): { driverObject: bigint; registryPath: bigint } {
    const world = this.io.world(loaded.domain);
    const service = loaded.moduleName;
    const driverObject = world.devices.createDriver({
      service,
      dllBase: loaded.dllBase,
      sizeOfImage: loaded.sizeOfImage,
      section: this.io.owner.loadedModules.entry(loaded) ?? 0n,
      entryPoint,
      invalidRequest: this.io.invalidRequestRoutine(world),
    });
    const path = world.allocate(UNICODE_STRING, PATH_TAG);
    if (path !== undefined) world.setString(path.address, `${SERVICES}\\${service}`, PATH_TAG);
    return { driverObject, registryPath: path?.address ?? 0n };
  }

  /** DriverEntry has returned: the devices take requests, and the path is gone. */
  entered(domain: ImageDomain, driverObject: bigint, registryPath: bigint): void {
    const world = this.io.world(domain);
    world.devices.entered(driverObject);
    if (registryPath === 0n) return;
    world.freeString(registryPath, PATH_TAG);
    world.pool.free(registryPath, PATH_TAG);
  }

  /**
   * Calls DriverUnload, if the driver has one.
   * @throws KernelError `driverInUse` as long as a handle to one of its devices is open
   */
  unload(domain: ImageDomain, driverObject: bigint): void {
    const world = this.io.world(domain);
    const { devices } = world;
    const open = devices.devicesOf(driverObject).find((device) => device.get('ReferenceCount') !== 0);
    if (open !== undefined)
      throw new KernelError({
        rule: 'driverInUse',
        status: 'STATUS_DEVICE_BUSY',
        place: devices.driverName(driverObject),
        message: `${devices.driverName(driverObject)} cannot be unloaded: ${open.get('ReferenceCount')} handle(s) to ${devices.names.nameOf(open.address) ?? 'its device'} are open`,
        hint: 'close the handles, or end the processes that hold them, and unload it again',
      });
    const routine = devices.driver(driverObject).wide('DriverUnload');
    if (routine !== 0n) this.io.owner.callThread(routine, [driverObject], { domain, name: 'DriverUnload' });
  }

  /** The image is gone: what it has left goes, too. */
  forget(domain: ImageDomain, driverObject: bigint): void {
    if (domain.process?.terminated === true) return;
    const { devices } = this.io.world(domain);
    for (const device of devices.devicesOf(driverObject)) {
      this.io.owner.events.emit({
        kind: 'deviceLeft',
        text: `${devices.driverName(driverObject)} is unloaded and has not deleted ${devices.names.nameOf(device.address) ?? 'a device'}`,
      });
      devices.delete(device.address);
    }
    devices.freeDriver(driverObject);
  }
}
