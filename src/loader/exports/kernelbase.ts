import type { SimulatedModule } from '../simulated-export.js';
import { memoryExports } from './memory.js';

export function kernelbase(): SimulatedModule {
  return { name: 'kernelbase.dll', exports: [...memoryExports()] };
}
