import type { ExitWithoutCount } from '../exceptions.js';
import type { FaultAccess } from '../exit.js';
import type { MemoryAccess } from '../observers.js';
import type { PhysicalMemory } from '../physical-memory.js';
import type { Processor } from '../processor.js';
import { PAGE_SHIFT, PAGE_SIZE } from '../protection.js';
import type { Translator } from '../translator.js';
import { GuestFault } from './emulation.js';

type DataAccess = Exclude<FaultAccess, 'execute'>;

interface Piece {
  readonly frame: number;
  readonly offset: number;
  readonly size: number;
}

/** Memory as the guest on one processor may access it, for instructions that are emulated. */
export class GuestMemory {
  readonly #processor: Processor;
  readonly #memory: PhysicalMemory;
  readonly #translator: Translator;
  readonly #observe: (access: MemoryAccess) => void;

  constructor(
    processor: Processor,
    memory: PhysicalMemory,
    translator: Translator,
    observe: (access: MemoryAccess) => void,
  ) {
    this.#processor = processor;
    this.#memory = memory;
    this.#translator = translator;
    this.#observe = observe;
  }

  read(address: bigint, size: number): bigint {
    const value = this.#load(this.#pieces(address, size, 'read'));
    this.#observe({ access: 'read', address, size, value: 0n });
    return value;
  }

  readForWrite(address: bigint, size: number): bigint {
    const pieces = this.#pieces(address, size, 'write');
    this.#observe({ access: 'read', address, size, value: 0n });
    return this.#load(pieces);
  }

  write(address: bigint, size: number, value: bigint): void {
    let left = value;
    for (const { frame, offset, size: count } of this.#pieces(address, size, 'write')) {
      const bytes = new Uint8Array(count);
      for (let index = 0; index < count; index++) {
        bytes[index] = Number(left & 0xffn);
        left >>= 8n;
      }
      this.#memory.write(frame, offset, bytes);
    }
    this.#observe({ access: 'write', address, size, value });
  }

  #load(pieces: readonly Piece[]): bigint {
    const bytes = pieces.flatMap(({ frame, offset, size }) => [
      ...this.#memory.peek(frame).subarray(offset, offset + size),
    ]);
    return bytes.reduceRight((value, byte) => (value << 8n) | BigInt(byte), 0n);
  }

  #pieces(address: bigint, size: number, access: DataAccess): Piece[] {
    const pieces: Piece[] = [];
    for (let done = 0; done < size; ) {
      const at = BigInt.asUintN(this.#processor.bits, address + BigInt(done));
      const offset = Number(at & BigInt(PAGE_SIZE - 1));
      const count = Math.min(size - done, PAGE_SIZE - offset);
      pieces.push({ frame: this.#frame(at, access), offset, size: count });
      done += count;
    }
    return pieces;
  }

  #frame(address: bigint, access: DataAccess): number {
    const answer = this.#translator.resolve(Number(address >> PAGE_SHIFT), access);
    if (typeof answer === 'number') return answer;
    const fault = {
      address,
      access,
      cause: answer.cause,
      instruction: this.#processor.pc,
      processor: this.#processor.index,
    };
    const exit: ExitWithoutCount = { reason: 'fault', fault };
    throw new GuestFault(exit);
  }
}
