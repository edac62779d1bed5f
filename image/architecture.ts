import type { ImageArchitecture } from './mapped-file.js';

/** Bytes of a pointer in an image. */
export const POINTER_SIZE: Readonly<Record<ImageArchitecture, 4 | 8>> = { x64: 8, x86: 4, arm64: 8 };

/** Instructions lie at multiples of so many bytes. */
export const INSTRUCTION_ALIGNMENT: Readonly<Record<ImageArchitecture, 1 | 4>> = { x64: 1, x86: 1, arm64: 4 };
