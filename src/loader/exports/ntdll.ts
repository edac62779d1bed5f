import type { SimulatedModule } from '../simulated-export.js';
import { guardExports } from './guard.js';
import { memoryExports } from './memory.js';

export function ntdll(): SimulatedModule {
  return { name: 'ntdll.dll', exports: [...memoryExports(), ...guardExports('user')] };
}
