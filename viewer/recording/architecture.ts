/** What a page knows of architectures; the processors' own tables need what browsers lack. Bytes of a pointer. */
export const POINTER_SIZE = { x64: 8, x86: 4, arm64: 8 } as const;

export type RecordedArchitecture = keyof typeof POINTER_SIZE;

/** Bytes that a line shows of what is no instruction. */
export const UNKNOWN_LENGTH: Readonly<Record<RecordedArchitecture, 1 | 4>> = { x64: 1, x86: 1, arm64: 4 };
