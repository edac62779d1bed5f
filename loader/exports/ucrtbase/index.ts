import type { SimulatedExport, SimulatedModule } from '../../dispatch/index.js';
import { exceptionExports } from '../exceptions.js';
import { memoryExports } from '../memory.js';
import { crtHeapExports } from '../user-heap.js';
import { convertExports } from './convert.js';
import { ctypeExports } from './ctype.js';
import { descriptorExports } from './descriptors.js';
import { formattedExports } from './formatted.js';
import { localeExports } from './locale.js';
import { mathExports } from './math.js';
import { processExports } from './process.js';
import { setjmpExports } from './setjmp.js';
import { stdlibExports } from './stdlib.js';
import { streamExports } from './streams.js';
import { byteExports, plainStringExports, secureStringExports, statefulStringExports } from './string.js';
import { threadExports } from './threads.js';
import { timeExports } from './time.js';
import { variadicExports } from './variadic.js';

const HANDLERS = new Set(['__C_specific_handler', '_except_handler3', '_except_handler4_common']);

/** The language-specific handlers that compiled code imports from a C runtime. */
const handlers = (): SimulatedExport[] => exceptionExports().filter(({ name }) => HANDLERS.has(name));

/** What the runtime's strings have in common with ntdll and ntoskrnl. */
export function commonStringExports(): SimulatedExport[] {
  return [...plainStringExports(), ...byteExports()];
}

function runtime(): SimulatedExport[] {
  return [
    ...memoryExports(),
    ...commonStringExports(),
    ...secureStringExports(),
    ...statefulStringExports(),
    ...ctypeExports(),
    ...convertExports(),
    ...stdlibExports(),
    ...mathExports(),
    ...timeExports(),
    ...localeExports(),
    ...crtHeapExports(),
    ...processExports(),
    ...threadExports(),
    ...descriptorExports(),
    ...streamExports(),
    ...formattedExports(),
    ...setjmpExports(),
    ...handlers(),
  ];
}

/** The universal C runtime. */
export function ucrtbase(): SimulatedModule {
  return { name: 'ucrtbase.dll', exports: runtime() };
}

/** The runtime of Windows itself, which MinGW programs import: it exports the variadic functions, too. */
export function msvcrt(): SimulatedModule {
  return { name: 'msvcrt.dll', exports: [...runtime(), ...variadicExports()] };
}

/** Memory and strings, exception handlers and setjmp of the compiler's runtime. */
export function vcruntime(): SimulatedModule {
  const names = new Set(['strchr', 'strrchr', 'strstr', 'wcschr', 'wcsrchr', 'wcsstr', 'memchr']);
  return {
    name: 'vcruntime140.dll',
    exports: [
      ...memoryExports(),
      ...commonStringExports().filter(({ name }) => names.has(name)),
      ...handlers(),
      ...setjmpExports(),
      ...processExports().filter(({ name }) => name === '_purecall'),
    ],
  };
}
