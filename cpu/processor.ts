import type { AddressSpace } from './address-space.js';
import type { Architecture, Ring } from './architecture/architecture.js';
import { CpuError } from './error.js';
import type { Exit } from './exit.js';
import type { FetchUnit } from './instruction-fetch.js';
import type { Observation } from './observers.js';
import { ProcessorContext } from './processor-context.js';
import type { ProcessorOwner } from './processor-owner.js';
import { PAGE_SHIFT } from './protection.js';
import { Runner, type RunOptions } from './runner.js';
import type { Engine, EngineKind } from './unicorn/engine.js';
import { initialContext, type ModeName, modeBits, withMode } from './unicorn/mode.js';

/** What the registers of an engine say of the mode that it is in. */
interface ModeRegisters {
  ring(processor: Processor): Ring;
  bits(processor: Processor): 32 | 64;
}

const MODES: Readonly<Record<EngineKind, ModeRegisters>> = {
  'x86-64': {
    ring: (processor) => Number(processor.get('cs') & 3n) as Ring,
    bits: (processor) => (processor.get('cs') === 0x23n ? 32 : 64),
  },
  arm64: {
    ring: (processor) => ((processor.get('pstate') & 0xcn) === 0n ? 3 : 0),
    bits: () => 64,
  },
};

/** One virtual processor: its own registers, translations and view of the code, on the machine's shared memory. */
export class Processor {
  readonly index: number;
  readonly architecture: Architecture;
  /** @internal */
  readonly fetchUnit: FetchUnit;
  readonly #owner: ProcessorOwner;
  readonly #runner: Runner;
  #addressSpace: AddressSpace;
  #vtl: 0 | 1 = 0;
  #pc: bigint | undefined;

  constructor(index: number, owner: ProcessorOwner, fetchUnit: FetchUnit) {
    const { architecture } = owner;
    this.index = index;
    this.architecture = architecture;
    this.fetchUnit = fetchUnit;
    this.#owner = owner;
    this.#addressSpace = owner.emptyAddressSpace;
    this.#runner = new Runner(this, owner);
    this.#engine.restoreContext(initialContext(architecture.engine));
    this.#engine.writeRegister(architecture.programCounter, 0n);
    this.#engine.writeRegister(architecture.stackPointer, 0n);
    const { ring, bits } = architecture.initialMode;
    if (ring !== 0 || bits !== 64) this.setMode(ring, bits);
  }

  get #engine(): Engine {
    return this.#runner.engine;
  }

  get addressSpace(): AddressSpace {
    return this.#addressSpace;
  }

  set addressSpace(space: AddressSpace) {
    this.#owner.assertIdle('switch the address space');
    if (space === this.#addressSpace) return;
    this.#addressSpace = space;
    this.fetchUnit.flushTranslations();
  }

  /** Virtual trust level: 1 is the Secure Kernel, which second-level permissions do not limit. */
  get vtl(): 0 | 1 {
    return this.#vtl;
  }

  set vtl(vtl: 0 | 1) {
    this.#owner.assertIdle('switch the trust level');
    if (vtl === this.#vtl) return;
    this.#vtl = vtl;
    this.fetchUnit.flushTranslations();
  }

  get ring(): Ring {
    return MODES[this.architecture.engine].ring(this);
  }

  set ring(ring: Ring) {
    this.setMode(ring, this.bits);
  }

  /** 32 in compatibility mode, as WOW64 code runs. */
  get bits(): 32 | 64 {
    return MODES[this.architecture.engine].bits(this);
  }

  /** Ring 0 is always 64-bit; 32-bit user code needs an x86 or x64 processor. Registers keep their values. */
  setMode(ring: Ring, bits: 32 | 64 = 64): void {
    this.#owner.assertIdle('switch the mode');
    const mode: ModeName = ring === 0 ? 'kernel' : bits === 32 ? 'compatibility' : 'user';
    const bitsOfMode = modeBits(this.architecture.engine, mode);
    this.#engine.restoreContext(withMode(this.#engine.saveContext(), bitsOfMode));
    this.fetchUnit.flushTranslations();
  }

  /** `register` as in the processor manual, lower case, or `pc` and `sp`. Vector registers have 128 bits. */
  get(register: string): bigint {
    return this.#engine.readRegister(this.#registerName(register));
  }

  /** Bits that the register does not have are cut off. */
  set(register: string, value: bigint): void {
    this.#owner.assertIdle('change a register');
    this.#pc = undefined;
    this.#engine.writeRegister(this.#registerName(register), value);
  }

  #registerName(register: string): string {
    if (register === 'pc') return this.architecture.programCounter;
    return register === 'sp' ? this.architecture.stackPointer : register;
  }

  get pc(): bigint {
    if (this.#owner.running === this) return this.#engine.readRegister(this.architecture.programCounter);
    this.#pc ??= this.#engine.readRegister(this.architecture.programCounter);
    return this.#pc;
  }

  /** The engine has moved. */
  forgetProgramCounter(): void {
    this.#pc = undefined;
  }

  set pc(address: bigint) {
    this.set(this.architecture.programCounter, address);
  }

  get sp(): bigint {
    return this.#engine.readRegister(this.architecture.stackPointer);
  }

  set sp(address: bigint) {
    this.set(this.architecture.stackPointer, address);
  }

  /** The full register state with ring and trust level, without the address space. */
  saveContext(): ProcessorContext {
    return new ProcessorContext(this.architecture.engine, this.#engine.saveContext(), this.#vtl);
  }

  loadContext(context: ProcessorContext): void {
    this.#owner.assertIdle('load a context');
    if (context.engine !== this.architecture.engine) {
      throw new CpuError('contextKind', `a context of ${context.engine} does not fit`, {
        status: 'STATUS_INVALID_PARAMETER',
      });
    }
    this.#engine.restoreContext(context.bytes);
    this.#pc = undefined;
    this.vtl = context.vtl;
  }

  /** The bytes that this processor fetches at `address`; in weak mode they may be older than what data reads give. */
  fetchBytes(address: bigint, length: number): Uint8Array {
    const bytes = this.#addressSpace.read(address, length);
    if (this.fetchUnit.views.size === 0) return bytes;
    for (let done = 0; done < length; done++) {
      const at = address + BigInt(done);
      const { frame } = this.#addressSpace.query(at);
      const view = frame === undefined ? undefined : this.fetchUnit.views.get(frame);
      if (view !== undefined) bytes[done] = this.#owner.memory.peek(view)[Number(at & 0xfffn)] ?? 0;
    }
    return bytes;
  }

  /** Has the engine translate anew what lies in this range. */
  forgetCode(address: bigint, size: number): void {
    const last = Number((address + BigInt(size - 1)) >> PAGE_SHIFT);
    for (let page = Number(address >> PAGE_SHIFT); page <= last; page++) {
      const frame = this.#addressSpace.tableOfPage(page)?.lookup(page)?.frame;
      if (frame !== undefined) this.fetchUnit.forgetFrame(this.fetchUnit.views.get(frame) ?? frame);
    }
  }

  step(): Exit {
    return this.run({ instructions: 1 });
  }

  /**
   * Runs until something in {@link Exit} happens. After a fault or service call the caller may change what it wants and
   * run again: the instruction restarts. Rethrows what an observer threw; pc is then at the observed instruction.
   */
  run(options: RunOptions = {}): Exit {
    this.#owner.assertIdle('run a processor');
    const exit = this.#runner.run(options);
    this.#owner.clock.time += exit.instructions;
    return exit;
  }

  /** Values of {@link Architecture.registers} in their order, in one call; overwritten by the next, of any processor. */
  generalRegisters(): BigUint64Array {
    return this.#engine.readGeneral();
  }

  /** All that a program can notice of the registers in a context, for comparing: two 64-bit words per register. */
  registersOf(context: ProcessorContext): BigUint64Array {
    return this.#engine.stateOf(context.bytes);
  }

  /** Observers may read registers and memory but not change anything. */
  observe(observation: Observation): Disposable {
    this.#owner.assertIdle('add an observer');
    return this.#runner.observe(observation);
  }

  [Symbol.dispose](): void {
    this.#runner[Symbol.dispose]();
  }
}
