import { architectureNamed } from '../../cpu/index.js';
import type { ImageArchitecture } from '../../image/index.js';
import type { SimulatedModule } from '../dispatch/index.js';
import { kernelbase } from './kernelbase.js';
import { memoryExports } from './memory.js';
import { ntdll } from './ntdll.js';
import { ntoskrnl } from './ntoskrnl.js';
import { advapi32, bcrypt, iphlpapi, ws2_32 } from './other-libraries.js';
import { msvcrt, ucrtbase, vcruntime } from './ucrtbase/index.js';

/** What kernel images can import. */
export function kernelModules(): SimulatedModule[] {
  return [ntoskrnl()];
}

/** What images of VTL1 can import. */
export function secureModules(): SimulatedModule[] {
  return [{ name: 'securekernel.exe', exports: memoryExports() }];
}

/** What programs can import. 32-bit drivers run as programs here (modelled: no 64-bit Windows loads them). */
export function userModules(wow64: boolean): SimulatedModule[] {
  const base = kernelbase();
  const modules = [
    ntdll(),
    base,
    { ...base, name: 'kernel32.dll' },
    ucrtbase(),
    vcruntime(),
    msvcrt(),
    advapi32(),
    bcrypt(),
    ws2_32(),
    iphlpapi(),
  ];
  return wow64 ? [...modules, ntoskrnl()] : modules;
}

/** Every module that images can import from without an image of it being loaded. */
export function simulatedModules(of: {
  readonly kind: 'kernel' | 'user';
  readonly architecture: ImageArchitecture;
}): SimulatedModule[] {
  const { name, system } = architectureNamed(of.architecture);
  return of.kind === 'kernel' ? kernelModules() : userModules(system !== name);
}
