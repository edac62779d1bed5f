import type { ArchitectureName } from '../../cpu/index.js';
import type { HpatForm } from '../subject.js';
import type { WriteProtocol } from './write-protocol.js';

/** The steps of the real engine, as they were recorded on a machine that was booted for this form of it. */
function engine(
  name: string,
  description: string,
  form: { readonly architectures: readonly ArchitectureName[]; readonly hpatForm: HpatForm } | undefined,
): WriteProtocol {
  return {
    name,
    description,
    kind: 'real',
    isEngine: true,
    operations: ['apply', 'repatch', 'revert'],
    steps: ({ steps, architecture }) =>
      form === undefined || form.architectures.includes(architecture) ? steps : undefined,
    ...form,
  };
}

export const windows = engine(
  'windows',
  'the hotpatch engine, with whatever HPAT layout the machine was booted with',
  undefined,
);

export const windowsCurrent = engine(
  'windows-current',
  'Windows 11: a near jump in the padding to a code slot of the HPAT, a short jump at the entry',
  { architectures: ['x64', 'x86'], hpatForm: { hpatLayout: 'pairs', retpoline: false } },
);

export const windowsEarlier = engine(
  'windows-earlier',
  'up to about Server 2019: an indirect jump in the padding through a pointer of the HPAT, a short jump at the entry',
  { architectures: ['x64'], hpatForm: { hpatLayout: 'pointers', retpoline: false } },
);

export const windowsRetpoline = engine(
  'windows-retpoline',
  'as windows-current, but the code slot calls a stub that goes on without an indirect branch',
  { architectures: ['x64'], hpatForm: { hpatLayout: 'pairs', retpoline: true } },
);

export const arm64Rendezvous = engine(
  'arm64-rendezvous',
  'ARM64: one branch at the entry, stored while all processors are gathered, and serialised before they are let go',
  { architectures: ['arm64'], hpatForm: { hpatLayout: 'pairs' } },
);
