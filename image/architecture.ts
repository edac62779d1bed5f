import type { ImageArchitecture } from './mapped-file.js';
import { nameOf } from './text.js';
import { IMAGE_FILE_MACHINE, type MachineName } from './winnt.js';

/** Bytes of a pointer in an image. */
export const POINTER_SIZE: Readonly<Record<ImageArchitecture, 4 | 8>> = { x64: 8, x86: 4, arm64: 8 };

/** Instructions lie at multiples of so many bytes. */
export const INSTRUCTION_ALIGNMENT: Readonly<Record<ImageArchitecture, 1 | 4>> = { x64: 1, x86: 1, arm64: 4 };

/** What the file header says of the processor, as the name of its IMAGE_FILE_MACHINE. */
export const MACHINE_OF: Readonly<Record<ImageArchitecture, MachineName>> = {
  x64: 'AMD64',
  arm64: 'ARM64',
  x86: 'I386',
};

/** The name of an IMAGE_FILE_MACHINE; undefined for a number that is none. */
export const machineNameOf = (machine: number): MachineName | undefined =>
  nameOf(machine, IMAGE_FILE_MACHINE) as MachineName | undefined;

/** The processor of a machine; undefined for one that no laboratory has. */
export const ARCHITECTURE_OF: Readonly<Partial<Record<MachineName, ImageArchitecture>>> = Object.fromEntries(
  Object.entries(MACHINE_OF).map(([architecture, machine]) => [machine, architecture]),
);
