import { CpuError } from '../error.js';
import { koffi } from './koffi.js';
import { check, type HostPointer, type UnicornFunctions } from './library.js';

/** In front of the registers: size, mode and pointers that belong to one engine. */
const HEADER = 40;

/** Native memory for one engine's register state, through which it is copied in and out. */
export class ContextBuffer {
  /** In bytes, without the header. */
  readonly size: number;
  readonly pointer: HostPointer;
  readonly #functions: UnicornFunctions;
  readonly #bytes: Uint8Array;

  constructor(functions: UnicornFunctions, engine: HostPointer) {
    const out = new BigUint64Array(new ArrayBuffer(8));
    check(functions.contextAllocate(engine, out), 'uc_context_alloc');
    this.pointer = out[0] ?? 0n;
    const size = functions.contextSize(engine);
    this.#functions = functions;
    this.#bytes = new Uint8Array(koffi().view(this.pointer, size)).subarray(HEADER);
    this.size = size - HEADER;
  }

  /** `engine` must be open, here and below: afterwards the memory is gone. */
  save(engine: HostPointer): Uint8Array {
    check(this.#functions.contextSave(engine, this.pointer), 'uc_context_save');
    return this.#bytes.slice();
  }

  restore(engine: HostPointer, context: Uint8Array): void {
    if (context.byteLength !== this.size) {
      throw new CpuError(
        'contextSize',
        `a context of ${context.byteLength} bytes is not one of ${this.size}`,
        {
          status: 'STATUS_INVALID_PARAMETER',
        },
      );
    }
    this.#bytes.set(context);
    check(this.#functions.contextRestore(engine, this.pointer), 'uc_context_restore');
  }
}
