import type { SimulatedModule } from '../dispatch/index.js';
import { exceptionExports, exceptionHandlerExports } from './exceptions.js';
import { interlockedExports, listExports } from './interlocked.js';
import { memoryExports } from './memory.js';
import { unwindingExports } from './unwinding.js';
import { userFiles } from './user-files.js';
import { userLibraries } from './user-libraries.js';
import { userMemory } from './user-memory.js';
import { userProcess } from './user-process.js';
import { userSynchronization } from './user-synchronization.js';
import { userVersion } from './user-version.js';

/** What programs call of kernelbase.dll and kernel32.dll. */
export function kernelbase(): SimulatedModule {
  return {
    name: 'kernelbase.dll',
    exports: [
      ...memoryExports(),
      ...interlockedExports(),
      ...listExports(),
      ...userMemory(),
      ...userLibraries(),
      ...userProcess(),
      ...exceptionHandlerExports(),
      ...exceptionExports(),
      ...unwindingExports(),
      ...userSynchronization(),
      ...userFiles(),
      ...userVersion(),
    ],
  };
}
