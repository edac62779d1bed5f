import type { SimulatedModule } from '../dispatch/index.js';
import { exceptionExports } from './exceptions.js';
import { memoryExports } from './memory.js';

const HANDLERS = new Set(['__C_specific_handler', '_except_handler3', '_except_handler4_common']);

/** The language-specific handlers that compiled code imports from vcruntime140.dll (`_except_handler3`: from msvcrt.dll). */
export function vcruntime(): SimulatedModule {
  return {
    name: 'vcruntime140.dll',
    exports: [...memoryExports(), ...exceptionExports().filter(({ name }) => HANDLERS.has(name))],
  };
}
