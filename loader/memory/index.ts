export { AddressRegion, freeMemory, MemoryArea } from './address-region.js';
export { GuestList } from './guest-list.js';
export {
  type Access,
  GuestAccessViolation,
  GuestMemory,
  type GuestMemoryOwner,
  guestMemoryOf,
  type MemoryPlace,
} from './guest-memory.js';
export { HEAP_32, HEAP_64, Heap, type HeapBlock, type HeapFailure, type HeapMode } from './heap.js';
export {
  type ImageStore,
  type ImageWriter,
  KernelImageWriter,
  SecureImageWriter,
  UserImageWriter,
} from './image-writer.js';
export {
  LOADER_DATA_32,
  type MakeRegion,
  regionMaker,
  SECURE_SPACE,
  SESSION_SPACE,
  SYSTEM_LOADER_DATA,
  SYSTEM_SPACE,
  USER_SPACE_32,
  USER_SPACE_64,
} from './layout.js';
export { isWritableAndExecutable, PAGE_GUARD, pageProtection, protectionValue } from './page-protection.js';
export { type PointerMemory, readPointer, writePointer } from './pointer.js';
export { Pool, type PoolBlock, type PoolState } from './pool.js';
