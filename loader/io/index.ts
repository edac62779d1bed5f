/** The I/O manager: devices and drivers, requests and their completion, in guest memory. */

export { cancelArguments, cancelRequests, markCancelled, requestsOf } from './cancel.js';
export type { Stop } from './completion.js';
export { DO, FO, IRP_FLAGS, IRP_MJ, isError, isSuccess, METHOD, poolTag, SL, STATUS } from './constants.js';
export { DeviceFile } from './device-file.js';
export { DeviceFiles } from './files.js';
export { CLOSE_FILE, DELETE_FILE, INVALID_REQUEST, type IoOwner, type Mode } from './io-core.js';
export { IoManager } from './io-manager.js';
export * from './irp.js';
export * from './layouts.js';
export * from './mdl.js';
export { type Layout, Structure, sizeOf } from './structure.js';
export { IoWorld } from './world.js';
