import { Drivers } from './drivers.js';
import { DeviceFiles } from './files.js';
import { IoCore, type IoOwner } from './io-core.js';

/**
 * The I/O manager: devices, drivers, requests. Everything that it keeps lies in guest memory, laid out as the driver kit
 * documents it where it does. Drivers run in kernel space; 32-bit drivers, which no 64-bit Windows loads, in the user
 * space of their program, with objects of the 32-bit kit (modelled).
 */
export class IoManager extends IoCore {
  readonly drivers: Drivers;
  readonly files: DeviceFiles;

  constructor(owner: IoOwner) {
    super(owner);
    this.drivers = new Drivers(this);
    this.files = new DeviceFiles(this);
  }
}
