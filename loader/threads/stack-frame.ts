import type { LoadedImage } from '../images/index.js';

/** One frame of a thread's stack. */
export interface StackFrame {
  /** The next instruction of this frame: of the innermost one the program counter, of the others a return address. */
  readonly pc: bigint;
  /** Stack pointer of the frame. */
  readonly sp: bigint;
  /** The image that `pc` is in; its HPAT and retpoline page belong to it. */
  readonly image: LoadedImage | undefined;
  /** `demo!dispatch+0x9` */
  readonly text: string;
}
