import type { SimulatedModule } from '../dispatch/index.js';
import { exceptionExports, exceptionHandlerExports } from './exceptions.js';
import { interlockedExports, listExports } from './interlocked.js';
import { memoryExports } from './memory.js';
import { unwindingExports } from './unwinding.js';
import { diskExports, diskHandleExports } from './user-disk.js';
import { userFiles } from './user-files.js';
import { heapExports } from './user-heap.js';
import { userLibraries } from './user-libraries.js';
import { userMappings } from './user-mappings.js';
import { userMemory } from './user-memory.js';
import { userObjects } from './user-objects.js';
import { userProcess } from './user-process.js';
import { criticalSection, srwLock, userSynchronization } from './user-synchronization.js';
import { userSystem } from './user-system.js';
import { userText } from './user-text.js';
import { userVersion } from './user-version.js';

/** What programs call of kernelbase.dll and kernel32.dll. */
export function kernelbase(): SimulatedModule {
  return {
    name: 'kernelbase.dll',
    exports: [
      ...memoryExports(),
      ...interlockedExports(),
      ...listExports(),
      ...heapExports(),
      ...userMemory(),
      ...diskHandleExports(userFiles()),
      ...diskExports(),
      ...userLibraries(),
      ...userProcess(),
      ...exceptionHandlerExports(),
      ...exceptionExports(),
      ...unwindingExports(),
      ...userSynchronization(),
      ...userObjects({ critical: criticalSection, srw: srwLock }),
      ...userMappings(),
      ...userText(),
      ...userSystem(),
      ...userVersion(),
    ],
  };
}
