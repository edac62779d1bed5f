import type { SimulatedModule } from '../simulated-export.js';
import { memoryExports } from './memory.js';

export function ucrtbase(): SimulatedModule {
  return { name: 'ucrtbase.dll', exports: [...memoryExports()] };
}
