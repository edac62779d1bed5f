import { architectureNamed } from './architecture/index.js';
import { CpuError, hex } from './error.js';
import type { Processor } from './processor.js';
import { PAGE_SHIFT, PAGE_SIZE } from './protection.js';

interface Block {
  readonly address: bigint;
  readonly bytes: Uint8Array;
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
  readonly #blocks: readonly Block[];
  readonly #counts: readonly number[];
  readonly length: number;

  constructor(blocks: readonly Block[], counts: readonly number[]) {
    this.#blocks = blocks;
    this.#counts = counts;
    this.length = counts.reduce((total, count) => total + count, 0);
  }

  /** In the order of execution. */
  *[Symbol.iterator](): Iterator<bigint> {
    for (const [index, { address, offsets }] of this.#blocks.entries()) {
      const count = this.#counts[index] ?? 0;
      for (let instruction = 0; instruction < count; instruction++) {
        yield address + BigInt(offsets[instruction] ?? 0);
      }
    }
  }
}

/**
 * Records every executed instruction of a processor from the blocks that it enters, several times faster than an
 * instruction observer. What a run did not finish of its last block is taken off by the run's exact count.
 */
export class InstructionRecorder implements Disposable {
  readonly #processor: Processor;
  readonly #known = new Map<bigint, Block>();
  readonly #observation: Disposable;
  #last: Block | undefined;
  #blocks: Block[] = [];
  #counts: number[] = [];
  /** Instructions of the blocks entered in the current segment. */
  #entered = 0;

  constructor(processor: Processor) {
    this.#processor = processor;
    this.#observation = processor.observe({
      block: (address, size) => this.#enter(address, size),
      segment: (completed) => this.#finish(completed),
    });
  }

  /** What has been recorded since the last call. */
  take(): InstructionTrace {
    const trace = new InstructionTrace(this.#blocks, this.#counts);
    this.#blocks = [];
    this.#counts = [];
    return trace;
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
    const count = block.offsets.length;
    this.#blocks.push(block);
    this.#counts.push(count);
    this.#entered += count;
  }

  #finish(completed: number): void {
    const last = this.#counts.length - 1;
    const count = (this.#counts[last] ?? 0) - (this.#entered - completed);
    if (this.#entered !== completed) {
      if (last < 0 || count < 0) {
        throw new CpuError(
          'traceIncomplete',
          `${this.#entered} instructions recorded, ${completed} executed`,
          {
            status: 'STATUS_INTERNAL_ERROR',
          },
        );
      }
      this.#counts[last] = count;
    }
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
    const bytes = this.#processor.fetchBytes(address, size);
    const architecture =
      this.#processor.bits === 32 ? architectureNamed('x86') : this.#processor.architecture;
    const offsets: number[] = [];
    for (let offset = 0; offset < size; ) {
      offsets.push(offset);
      const length = architecture.instructionLength(bytes.subarray(offset), address + BigInt(offset));
      if (length <= 0) {
        throw new CpuError('traceIncomplete', `no instruction at ${hex(address + BigInt(offset))}`, {
          address: address + BigInt(offset),
        });
      }
      offset += length;
    }
    const { epoch } = this.#processor.fetchUnit;
    return { address, bytes, offsets, successor: undefined, epoch, frame: this.#frame(address, size) };
  }

  [Symbol.dispose](): void {
    this.#observation[Symbol.dispose]();
  }
}

function equal(a: Uint8Array, b: Uint8Array): boolean {
  return a.every((byte, index) => byte === b[index]);
}
