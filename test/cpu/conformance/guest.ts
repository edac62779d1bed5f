import { assemble } from '../../../cpu/assembler.js';
import {
  type AddressSpace,
  type ArchitectureName,
  type CallArgument,
  type Exit,
  Machine,
  type MachineOptions,
  PAGE_SIZE,
  type PageProtection,
  type PageTable,
  type Processor,
} from '../../../cpu/index.js';
import { PROGRAMS, type Programs } from './programs.js';

const STACK_PAGES = 8;

export const ARCHITECTURE_NAMES: readonly ArchitectureName[] = ['x64', 'arm64', 'x86'];

/** A machine with code, data and a stack per processor: kernel mode on x64 and ARM64, user mode on x86. */
export class Guest implements Disposable {
  readonly machine: Machine;
  readonly programs: Programs;
  readonly table: PageTable;
  readonly space: AddressSpace;
  readonly base: bigint;
  readonly data: bigint;
  #nextCode: bigint;

  constructor(architecture: ArchitectureName, options: Partial<MachineOptions> = {}) {
    this.machine = Machine.create({ memorySize: 4 << 20, ...options, architecture });
    this.programs = PROGRAMS[architecture];
    const isUser = architecture === 'x86';
    this.base = isUser ? 0x0040_0000n : 0xffff_f800_1234_0000n;
    this.table = this.machine.createPageTable({
      start: isUser ? 0x1_0000n : 0xffff_f800_0000_0000n,
      end: isUser ? 0x7fff_0000n : 0xffff_f880_0000_0000n,
      mode: isUser ? 'user' : 'kernel',
      name: 'test',
    });
    this.space = this.machine.createAddressSpace('test', [this.table]);
    this.data = this.base + 0x10_0000n;
    this.table.commit(this.data, 2, 'PAGE_READWRITE');
    this.#nextCode = this.base;
    for (const processor of this.machine.processors) {
      processor.addressSpace = this.space;
      this.table.commit(this.#stackBase(processor), STACK_PAGES, 'PAGE_READWRITE');
    }
  }

  get architecture() {
    return this.machine.architecture;
  }

  get processor(): Processor {
    return this.machine.processor(0);
  }

  #stackBase(processor: Processor): bigint {
    return this.base + 0x20_0000n + BigInt(processor.index * 2 * STACK_PAGES * PAGE_SIZE);
  }

  stackTop(processor: Processor): bigint {
    return this.#stackBase(processor) + BigInt(STACK_PAGES * PAGE_SIZE);
  }

  /** Assembles into pages of its own and returns the address. */
  async code(source: string, protection: PageProtection = 'PAGE_EXECUTE_READ'): Promise<bigint> {
    const address = this.#nextCode;
    const bytes = await assemble(this.architecture.name, source, { address });
    const pages = Math.ceil(bytes.byteLength / PAGE_SIZE);
    this.table.commit(address, pages, protection);
    this.machine.writeCode(this.space, address, bytes);
    this.#nextCode += BigInt((pages + 1) * PAGE_SIZE);
    return address;
  }

  prepare(target: bigint, args: readonly CallArgument[] = [], processor = this.processor): void {
    this.architecture.prepareCall(processor, {
      target,
      arguments: args,
      stackTop: this.stackTop(processor),
    });
  }

  start(target: bigint, args: readonly CallArgument[] = [], processor = this.processor): Exit {
    this.prepare(target, args, processor);
    return processor.run({ instructions: 10_000_000 });
  }

  /** Runs to the return and gives the result. */
  call(target: bigint, args: readonly CallArgument[] = [], processor = this.processor): bigint {
    const exit = this.start(target, args, processor);
    if (exit.reason !== 'returned') throw new Error(`the call ended with ${exit.reason}`, { cause: exit });
    return this.architecture.result(processor);
  }

  get wordSize(): bigint {
    return BigInt(this.architecture.pointerSize);
  }

  readWord(address: bigint): bigint {
    return this.wordSize === 8n ? this.space.readU64(address) : BigInt(this.space.readU32(address));
  }

  [Symbol.dispose](): void {
    this.machine[Symbol.dispose]();
  }
}
