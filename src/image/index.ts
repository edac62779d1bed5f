export { ImageError, type ImageErrorDetails } from './error.js';
export { ByteReader } from './reader.js';
export { type NtStatus, type NtStatusName, ntStatus } from './status.js';
export * from './symbols/index.js';
