import { architectureInMode } from './architecture/index.js';
import { CpuError, hex } from './error.js';
import type { Processor } from './processor.js';
import { PAGE_SHIFT, PAGE_SIZE } from './protection.js';

/** What an engine has noted of a piece of a run. */
export interface ExecutedBlocks {
  /** In the order of execution, as places in `blocks`. */
  readonly identities: Uint32Array;
  readonly blocks: readonly Code[];
  /** Instructions completed; of the last block perhaps not all. */
  readonly instructions: number;
}

export interface Code {
  readonly address: bigint;
  readonly bytes: Uint8Array;
  /** Of the mode: 32 or 64. */
  readonly bits: number;
}

interface Block extends Code {
  /** Of each instruction, from the address of the block. */
  readonly offsets: readonly number[];
  /** Block that followed the last time. */
  successor: Block | undefined;
  /** Translations at the last check, and the frame that the block then was in. */
  epoch: number;
  frame: number | undefined;
}

/** Instructions that a processor executed, as blocks; addresses are made when they are asked for. */
export class InstructionTrace {
  readonly #pieces: readonly ExecutedBlocks[];
  readonly #offsets: (code: Code) => readonly number[];
  readonly length: number;

  constructor(pieces: readonly ExecutedBlocks[], offsets: (code: Code) => readonly number[]) {
    this.#pieces = pieces;
    this.#offsets = offsets;
    this.length = pieces.reduce((total, { instructions }) => total + instructions, 0);
  }

  /** In the order of execution. */
  *[Symbol.iterator](): Iterator<bigint> {
    const known = new Map<Code, readonly bigint[]>();
    const addressesOf = (code: Code): readonly bigint[] => {
      let addresses = known.get(code);
      addresses ??= this.#offsets(code).map((offset) => code.address + BigInt(offset));
      known.set(code, addresses);
      return addresses;
    };
    for (const { identities, blocks, instructions } of this.#pieces) {
      let left = instructions;
      for (const identity of identities) {
        const block = blocks[identity];
        if (block === undefined) continue;
        for (const address of addressesOf(block)) {
          if (left === 0) break;
          left -= 1;
          yield address;
        }
      }
    }
  }
}

/**
 * Records every executed instruction of a processor from the blocks that it enters, many times faster than an
 * instruction observer. What a run did not finish of its last block is taken off by the run's exact count.
 */
export class InstructionRecorder implements Disposable {
  readonly #processor: Processor;
  readonly #known = new Map<bigint, Block>();
  readonly #observation: Disposable;
  #last: Block | undefined;
  #pieces: ExecutedBlocks[] = [];
  /** Blocks entered in the current segment, where the engine does not note them. */
  #blocks: Block[] = [];
  /** Their instructions. */
  #entered = 0;

  constructor(processor: Processor) {
    this.#processor = processor;
    this.#observation = processor.observe({
      block: (address, size) => this.#enter(address, size),
      segment: (completed) => this.#finish(completed),
      executed: (blocks) => {
        if (blocks.instructions > 0) this.#pieces.push(blocks);
      },
    });
  }

  /** What has been recorded since the last call. */
  take(): InstructionTrace {
    const pieces = this.#pieces;
    this.#pieces = [];
    return new InstructionTrace(pieces, (code) => this.#offsetsOf(code));
  }

  #enter(address: bigint, size: number): void {
    const expected = this.#last?.successor;
    let block = expected?.address === address ? expected : this.#known.get(address);
    if (block === undefined || block.bytes.byteLength !== size || !this.#isCurrent(block)) {
      block = this.#decode(address, size);
      this.#known.set(address, block);
    }
    if (this.#last !== undefined) this.#last.successor = block;
    this.#last = block;
    this.#blocks.push(block);
    this.#entered += block.offsets.length;
  }

  #finish(completed: number): void {
    const blocks = this.#blocks;
    const inLast = blocks.at(-1)?.offsets.length ?? 0;
    if (completed > this.#entered || completed < this.#entered - inLast) {
      throw new CpuError('traceIncomplete', `${this.#entered} instructions recorded, ${completed} executed`, {
        status: 'STATUS_INTERNAL_ERROR',
      });
    }
    if (completed > 0) {
      const identities = Uint32Array.from(blocks, (_, index) => index);
      this.#pieces.push({ identities, blocks, instructions: completed });
    }
    this.#blocks = [];
    this.#entered = 0;
  }

  /** Whether the processor still fetches the bytes that the block was decoded from. */
  #isCurrent(block: Block): boolean {
    const { fetchUnit } = this.#processor;
    const { address, bytes, frame } = block;
    const isSame = block.epoch === fetchUnit.epoch && frame !== undefined && !fetchUnit.writable.has(frame);
    if (isSame) return true;
    if (!equal(this.#processor.fetchBytes(address, bytes.byteLength), bytes)) return false;
    block.epoch = fetchUnit.epoch;
    block.frame = this.#frame(address, bytes.byteLength);
    return true;
  }

  /** The frame of code that lies in one page. */
  #frame(address: bigint, size: number): number | undefined {
    const page = Number(address >> PAGE_SHIFT);
    if (Number(address & BigInt(PAGE_SIZE - 1)) + size > PAGE_SIZE) return undefined;
    return this.#processor.addressSpace.tableOfPage(page)?.lookup(page)?.frame;
  }

  #decode(address: bigint, size: number): Block {
    const { bits, fetchUnit } = this.#processor;
    const code = { address, bytes: this.#processor.fetchBytes(address, size), bits };
    const { epoch } = fetchUnit;
    const offsets = this.#offsetsOf(code);
    return { ...code, offsets, successor: undefined, epoch, frame: this.#frame(address, size) };
  }

  #offsetsOf({ address, bytes, bits }: Code): number[] {
    const architecture = architectureInMode(this.#processor.architecture, bits);
    const offsets: number[] = [];
    for (let offset = 0; offset < bytes.byteLength; ) {
      offsets.push(offset);
      const length = architecture.instructionLength(bytes.subarray(offset), address + BigInt(offset));
      if (length <= 0) {
        throw new CpuError('traceIncomplete', `no instruction at ${hex(address + BigInt(offset))}`, {
          address: address + BigInt(offset),
        });
      }
      offset += length;
    }
    return offsets;
  }

  [Symbol.dispose](): void {
    this.#observation[Symbol.dispose]();
  }
}

function equal(a: Uint8Array, b: Uint8Array): boolean {
  return a.every((byte, index) => byte === b[index]);
}
