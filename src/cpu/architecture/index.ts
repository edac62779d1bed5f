import { CpuError } from '../error.js';
import type { Architecture, ArchitectureName } from './architecture.js';
import { x64 } from './x64.js';

const ARCHITECTURES: ReadonlyMap<string, Architecture> = new Map([[x64.name, x64]]);

export function architectureNamed(name: ArchitectureName): Architecture {
  const architecture = ARCHITECTURES.get(name);
  if (architecture === undefined) {
    throw new CpuError('unknownArchitecture', `${JSON.stringify(name)} is not x64, arm64 or x86`, {
      status: 'STATUS_INVALID_PARAMETER',
    });
  }
  return architecture;
}
