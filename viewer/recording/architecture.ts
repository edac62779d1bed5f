/** What a page knows of architectures: the processors' own tables need what browsers lack. */
export type RecordedArchitecture = 'x64' | 'arm64' | 'x86';

/** Bytes of a pointer. */
export const POINTER_SIZE: Readonly<Record<RecordedArchitecture, 4 | 8>> = { x64: 8, x86: 4, arm64: 8 };

/** Bytes that a line shows of what is no instruction. */
export const UNKNOWN_LENGTH: Readonly<Record<RecordedArchitecture, 1 | 4>> = { x64: 1, x86: 1, arm64: 4 };
