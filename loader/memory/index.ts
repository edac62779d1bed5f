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
export { HEAP_LAYOUT, Heap, type HeapBlock, type HeapFailure, type HeapMode } from './heap.js';
export {
  type ImageStore,
  type ImageWriter,
  KernelImageWriter,
  SecureImageWriter,
  UserImageWriter,
} from './image-writer.js';
export {
  type MakeRegion,
  regionMaker,
  SECURE_SPACE,
  SESSION_SPACE,
  SYSTEM_LOADER_DATA,
  SYSTEM_SPACE,
  USER_SPACE,
} from './layout.js';
export { isWritableAndExecutable, PAGE_GUARD, pageProtection, protectionValue } from './page-protection.js';
export { type PointerMemory, readPointer, writePointer } from './pointer.js';
export { Pool, type PoolBlock, type PoolState } from './pool.js';
