import type { EventLog } from '../common/index.js';
import { DO, IO_TYPE, IRP_MJ, isSuccess, poolTag, STATUS } from './constants.js';
import { DEVICE_OBJECT, DRIVER_EXTENSION, DRIVER_OBJECT, KEVENT } from './layouts.js';
import { ObjectNames } from './names.js';
import type { Structure } from './structure.js';
import type { IoWorld } from './world.js';

const DRIVER_TAG = poolTag('Driv');
const DEVICE_TAG = poolTag('Devi');
const NAME_TAG = poolTag('IoNm');
const SYNCHRONIZATION_EVENT = 1;
/** DEVOBJ_EXTENSION: { CSHORT Type; USHORT Size; PDEVICE_OBJECT DeviceObject; … ULONG ExtensionFlags }. */
const DEVICE_EXTENSION_TYPE = 13;
const DEVICE_OBJECT_EXTENSION_SIZE = 0x20;
const EXTENSION_FLAGS = 0x18n;
const DOE_DELETE_PENDING = 2;

export type DeviceObject = Structure<Extract<keyof (typeof DEVICE_OBJECT)['fields'], string>>;
export type DriverObject = Structure<Extract<keyof (typeof DRIVER_OBJECT)['fields'], string>>;

export interface DriverFacts {
  /** `packets` of packets.sys: its key in the registry, and its name in `\Driver`. */
  readonly service: string;
  readonly dllBase: bigint;
  readonly sizeOfImage: number;
  /** Address of its entry in PsLoadedModuleList. */
  readonly section: bigint;
  readonly entryPoint: bigint;
  /** What every MajorFunction leads to that the driver does not set. */
  readonly invalidRequest: bigint;
}

export interface DeviceRequest {
  readonly driver: bigint;
  readonly extensionSize: number;
  /** '' for none. */
  readonly name: string;
  readonly type: number;
  readonly characteristics: number;
  readonly exclusive: boolean;
}

/** Driver and device objects of one world, in guest memory as wdm.h lays them out. */
export class Devices {
  readonly names: ObjectNames;

  constructor(
    private readonly world: IoWorld,
    private readonly events: EventLog,
  ) {
    this.names = new ObjectNames(world);
  }

  driver(address: bigint): DriverObject {
    return this.world.at(DRIVER_OBJECT, address);
  }

  device(address: bigint): DeviceObject {
    return this.world.at(DEVICE_OBJECT, address);
  }

  /** The driver's object with its extension, for DriverEntry. 0 when there is no memory. */
  createDriver(facts: DriverFacts): bigint {
    const { world } = this;
    const driver = world.createObject(DRIVER_OBJECT, DRIVER_TAG, 0);
    const extension = world.allocate(DRIVER_EXTENSION, DRIVER_TAG);
    if (driver === undefined || extension === undefined) return 0n;
    driver.set('Type', IO_TYPE.driver);
    driver.set('Size', driver.size);
    driver.set('DriverStart', facts.dllBase);
    driver.set('DriverSize', facts.sizeOfImage);
    driver.set('DriverSection', facts.section);
    driver.set('DriverInit', facts.entryPoint);
    driver.set('DriverExtension', extension.address);
    extension.set('DriverObject', driver.address);
    world.setString(driver.at('DriverName'), `\\Driver\\${facts.service}`, NAME_TAG);
    world.setString(extension.at('ServiceKeyName'), facts.service, NAME_TAG);
    for (let major = 0; major <= IRP_MJ.MAXIMUM; major++)
      this.#setPointer(this.majorFunction(driver, major), facts.invalidRequest);
    return driver.address;
  }

  /** Address of MajorFunction[`major`]. */
  majorFunction(driver: DriverObject, major: number): bigint {
    return driver.at('MajorFunction') + BigInt(major * this.world.pointerSize);
  }

  /** The devices of a driver, the newest first. */
  devicesOf(driver: bigint): DeviceObject[] {
    const found: DeviceObject[] = [];
    for (let at = this.driver(driver).wide('DeviceObject'); at !== 0n; ) {
      const device = this.device(at);
      found.push(device);
      at = device.wide('NextDevice');
    }
    return found;
  }

  /** IoCreateDevice. */
  create(request: DeviceRequest): { readonly status: number; readonly device: bigint } {
    const { world } = this;
    const extensionSize = (request.extensionSize + 15) & ~15;
    const device = world.createObject(
      DEVICE_OBJECT,
      DEVICE_TAG,
      extensionSize + DEVICE_OBJECT_EXTENSION_SIZE,
    );
    if (device === undefined) return { status: STATUS.INSUFFICIENT_RESOURCES, device: 0n };
    const status = request.name === '' ? STATUS.SUCCESS : this.names.addDevice(request.name, device.address);
    if (!isSuccess(status)) {
      world.freeObject(device.address, DEVICE_TAG);
      return { status, device: 0n };
    }
    const driver = this.driver(request.driver);
    const extension = device.address + BigInt(device.size);
    const own = extension + BigInt(extensionSize);
    device.set('Type', IO_TYPE.device);
    device.set('Size', device.size + request.extensionSize);
    device.set('DriverObject', request.driver);
    device.set('DeviceExtension', request.extensionSize === 0 ? 0n : extension);
    device.set('DeviceType', request.type);
    device.set('Characteristics', request.characteristics);
    device.set('StackSize', 1);
    device.set(
      'Flags',
      DO.DEVICE_INITIALIZING |
        (request.exclusive ? DO.EXCLUSIVE : 0) |
        (request.name === '' ? 0 : DO.DEVICE_HAS_NAME),
    );
    device.set('DeviceObjectExtension', own);
    world.memory.writeU16(own, DEVICE_EXTENSION_TYPE);
    this.#setPointer(own + BigInt(world.pointerSize), device.address);
    world.memory.writeU8(device.at('DeviceLock'), SYNCHRONIZATION_EVENT);
    world.at(KEVENT, device.at('DeviceLock')).set('Header.SignalState', 1);
    device.set('NextDevice', driver.wide('DeviceObject'));
    driver.set('DeviceObject', device.address);
    const named = request.name === '' ? 'a device without a name' : `device ${request.name}`;
    this.events.emit({ kind: 'deviceCreated', text: `${this.driverName(request.driver)} creates ${named}` });
    return { status, device: device.address };
  }

  /** IoDeleteDevice. The memory goes with the last handle. */
  delete(address: bigint): void {
    const device = this.device(address);
    const name = this.names.nameOf(address);
    const driver = this.driver(device.wide('DriverObject'));
    let link = driver.at('DeviceObject');
    for (const other of this.devicesOf(driver.address)) {
      if (other.address === address) this.#setPointer(link, device.wide('NextDevice'));
      link = other.at('NextDevice');
    }
    this.names.removeDevice(address);
    const own = device.wide('DeviceObjectExtension') + EXTENSION_FLAGS;
    this.world.memory.writeU32(own, this.world.memory.readU32(own) | DOE_DELETE_PENDING);
    this.events.emit({
      kind: 'deviceDeleted',
      text: `${this.driverName(driver.address)} deletes ${name === undefined ? 'a device without a name' : `device ${name}`}`,
    });
    this.releaseDeleted(device);
  }

  isDeletePending(device: DeviceObject): boolean {
    const flags = this.world.memory.readU32(device.wide('DeviceObjectExtension') + EXTENSION_FLAGS);
    return (flags & DOE_DELETE_PENDING) !== 0;
  }

  /** Gives the memory of a deleted device back, if no file object refers to it any more. */
  releaseDeleted(device: DeviceObject): void {
    if (!this.isDeletePending(device) || device.get('ReferenceCount') !== 0) return;
    this.world.freeObject(device.address, DEVICE_TAG);
  }

  /** The device on top of the stack that `address` is in: what requests go to (IoGetAttachedDevice). */
  top(address: bigint): DeviceObject {
    let device = this.device(address);
    for (let above = device.wide('AttachedDevice'); above !== 0n; above = device.wide('AttachedDevice'))
      device = this.device(above);
    return device;
  }

  /** IoAttachDeviceToDeviceStack: the device that was on top. */
  attach(source: bigint, target: bigint): bigint {
    const below = this.top(target);
    const device = this.device(source);
    below.set('AttachedDevice', source);
    device.set('StackSize', below.get('StackSize') + 1);
    return below.address;
  }

  /** `\Driver\packets` */
  driverName(driver: bigint): string {
    return this.world.readString(this.driver(driver).at('DriverName'));
  }

  /** DriverEntry is over: its devices take requests. */
  entered(driver: bigint): void {
    for (const device of this.devicesOf(driver))
      device.set('Flags', device.get('Flags') & ~DO.DEVICE_INITIALIZING);
  }

  /** The driver is gone. */
  freeDriver(address: bigint): void {
    const driver = this.driver(address);
    const extension = this.world.at(DRIVER_EXTENSION, driver.wide('DriverExtension'));
    this.world.freeString(extension.at('ServiceKeyName'), NAME_TAG);
    this.world.freeString(driver.at('DriverName'), NAME_TAG);
    this.world.pool.free(extension.address, DRIVER_TAG);
    this.world.freeObject(address, DRIVER_TAG);
  }

  #setPointer(at: bigint, value: bigint): void {
    this.world.memory.writePointer(at, value);
  }
}
