import { CpuError } from '../error.js';
import type { Architecture, ArchitectureName } from './architecture.js';
import { arm64 } from './arm64.js';
import { x64 } from './x64.js';
import { x86 } from './x86.js';

export const ARCHITECTURES: readonly Architecture[] = [x64, arm64, x86];

/** What a processor executes in a mode of so many bits: in compatibility mode, of 32, x86. */
export const architectureInMode = (architecture: Architecture, bits: number): Architecture =>
  bits === architecture.initialMode.bits ? architecture : x86;

export function architectureNamed(name: ArchitectureName): Architecture {
  const architecture = ARCHITECTURES.find((candidate) => candidate.name === name);
  if (architecture === undefined) {
    throw new CpuError('unknownArchitecture', `${JSON.stringify(name)} is not x64, arm64 or x86`, {
      status: 'STATUS_INVALID_PARAMETER',
    });
  }
  return architecture;
}
