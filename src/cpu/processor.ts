import type { AddressSpace } from './address-space.js';
import type { Architecture, Ring } from './architecture/architecture.js';
import { Breakpoints } from './breakpoints.js';
import { CpuError, hex } from './error.js';
import { arm64Exception, type Delivery, type ExitWithoutCount, x86Exception } from './exceptions.js';
import type { Exit, Fault } from './exit.js';
import type { FetchUnit } from './instruction-fetch.js';
import { type Observation, ObserverSet } from './observers.js';
import { ProcessorContext } from './processor-context.js';
import type { ProcessorOwner } from './processor-owner.js';
import { PAGE_SHIFT } from './protection.js';
import { FetchEffectHooks } from './serialising.js';
import { Translator } from './translator.js';
import { calibration } from './unicorn/calibration.js';
import {
  UC_ERR_EXCEPTION,
  UC_ERR_INSN_INVALID,
  UC_ERR_OK,
  UC_X86_INS_SYSENTER,
  unicornErrorName,
} from './unicorn/constants.js';
import { Engine, NO_LIMIT } from './unicorn/engine.js';
import { initialContext, type ModeName, modeBits, withMode } from './unicorn/mode.js';

export interface RunOptions {
  /** Stop after so many. Default: no limit. */
  readonly instructions?: number;
  /** Stop before executing there; but not at the very first instruction of this run. */
  readonly breakpoints?: Iterable<bigint>;
}

/** What a callback noted on why the engine is stopping. */
type Stop =
  | { readonly kind: 'interrupt'; readonly vector: number }
  | { readonly kind: 'systemCall'; readonly instruction: number }
  | { readonly kind: 'breakpoint' }
  | { readonly kind: 'fetchEffect' };

const HLT = 0xf4;
const WFE = 0xd503205f;
const WFI = 0xd503207f;

/** One virtual processor: its own registers, translations and view of the code, on the machine's shared memory. */
export class Processor {
  readonly index: number;
  readonly architecture: Architecture;
  readonly fetchUnit: FetchUnit;
  readonly #owner: ProcessorOwner;
  readonly #engine: Engine;
  readonly #translator: Translator;
  readonly #breakpoints: Breakpoints;
  readonly #observers: ObserverSet;
  readonly #fetchEffects: FetchEffectHooks | undefined;
  #addressSpace: AddressSpace;
  #vtl: 0 | 1 = 0;
  #stop: Stop | undefined;
  /** Where a run was stopped because the instruction there has an effect on fetching. */
  #effectAt: bigint | undefined;
  #executingEffect: bigint | undefined;
  #pc: bigint | undefined;

  constructor(index: number, owner: ProcessorOwner, fetchUnit: FetchUnit) {
    const { architecture, memory } = owner;
    this.index = index;
    this.architecture = architecture;
    this.fetchUnit = fetchUnit;
    this.#owner = owner;
    this.#addressSpace = owner.emptyAddressSpace;
    this.#translator = new Translator(this, owner);
    this.#engine = new Engine(architecture.engine, memory.buffer, architecture.registerFile, {
      translate: (page, access) => this.#translator.translate(page, access),
      interrupt: (vector) => {
        this.#stop = { kind: 'interrupt', vector };
      },
      systemCall: (instruction) => {
        this.#stop = { kind: 'systemCall', instruction };
      },
      code: (address, size, tag) => this.#code(address, size, tag),
      block: (address, size) => this.#observers.block(address, size),
      memory: (write, physical, size, value) => this.#observers.memory(write, physical, size, value),
    });
    this.#breakpoints = new Breakpoints(this.#engine);
    this.#observers = new ObserverSet(this.#engine, this, this.#translator);
    if (owner.instructionFetch.mode === 'weak') {
      const hooks = new FetchEffectHooks(this.#engine, owner.instructionFetch);
      this.#fetchEffects = hooks;
      this.#translator.beforeFetch = (page, source) => {
        const missing = hooks.missing(page, memory.peek(source));
        return missing.length === 0 ? undefined : () => hooks.add(missing);
      };
    }
    this.#engine.restoreContext(initialContext(architecture.engine));
    this.#engine.writeRegister(architecture.programCounter, 0n);
    this.#engine.writeRegister(architecture.stackPointer, 0n);
    const { ring, bits } = architecture.initialMode;
    if (ring !== 0 || bits !== 64) this.setMode(ring, bits);
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
    return this.#isArm ? ((this.get('pstate') & 0xcn) === 0n ? 3 : 0) : (Number(this.get('cs') & 3n) as Ring);
  }

  set ring(ring: Ring) {
    this.setMode(ring, this.bits);
  }

  /** 32 in compatibility mode, as WOW64 code runs. */
  get bits(): 32 | 64 {
    return this.#isArm || this.get('cs') !== 0x23n ? 64 : 32;
  }

  /** Ring 0 is always 64-bit; 32-bit user code needs an x86 or x64 processor. Registers keep their values. */
  setMode(ring: Ring, bits: 32 | 64 = 64): void {
    this.#owner.assertIdle('switch the mode');
    const mode: ModeName = ring === 0 ? 'kernel' : bits === 32 ? 'compatibility' : 'user';
    const bitsOfMode = modeBits(this.architecture.engine, mode);
    this.#engine.restoreContext(withMode(this.#engine.saveContext(), bitsOfMode));
    this.fetchUnit.flushTranslations();
  }

  get #isArm(): boolean {
    return this.architecture.engine === 'arm64';
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
    this.#pc ??= this.#engine.readRegister(this.architecture.programCounter);
    return this.#pc;
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
    for (let done = 0; done < length; done++) {
      const at = address + BigInt(done);
      const { frame } = this.#addressSpace.query(at);
      const view = frame === undefined ? undefined : this.fetchUnit.views.get(frame);
      if (view !== undefined) bytes[done] = this.#owner.memory.peek(view)[Number(at & 0xfffn)] ?? 0;
    }
    return bytes;
  }

  step(): Exit {
    return this.run({ instructions: 1 });
  }

  /**
   * Runs until something in {@link Exit} happens. After a fault or service call the caller may change what it wants and
   * run again: the instruction restarts. Rethrows what an observer threw; pc is then at the observed instruction.
   */
  run({ instructions = Number.POSITIVE_INFINITY, breakpoints }: RunOptions = {}): Exit {
    if (
      !(instructions >= 0) ||
      (instructions !== Number.POSITIVE_INFINITY && !Number.isSafeInteger(instructions))
    ) {
      throw new CpuError('instructionLimit', `${instructions} is not a number of instructions`, {
        status: 'STATUS_INVALID_PARAMETER',
      });
    }
    this.#owner.assertIdle('run a processor');
    this.#breakpoints.use(breakpoints);
    if (this.fetchUnit.returnsFromException) this.#owner.instructionFetch.returnFromException(this.fetchUnit);
    let done = 0;
    let passed = true;
    this.#effectAt = undefined;
    while (done < instructions) {
      this.#bringUpToDate();
      const start = this.pc;
      const effect = this.#effectAt === start ? this.#fetchEffects?.effect(start, this) : undefined;
      if (effect?.emulated === true) {
        effect.apply();
        this.#effectAt = undefined;
        done += 1;
        continue;
      }
      const limit = effect === undefined ? Math.min(instructions - done, NO_LIMIT) : 1;
      this.#breakpoints.begin(passed ? start : undefined);
      this.#executingEffect = effect === undefined ? undefined : start;
      this.#stop = undefined;
      this.#translator.begin();
      const code = this.#runEngine(start, limit);
      const { begun } = this.#engine;
      const outcome = this.#outcome(code, begun, limit);
      done += outcome.completed;
      passed = outcome.completed === begun - 1 || (passed && outcome.completed === 0);
      this.#observers.segmentDone(outcome.completed);
      if (effect !== undefined && outcome.completed === 1) {
        effect.apply();
        if (this.#effectAt === start) this.#effectAt = undefined;
      }
      if (outcome.exit !== undefined) return this.#leave(done, outcome.exit);
    }
    return this.#breakpoints.has(this.pc) && done > 0
      ? { instructions: done, reason: 'breakpoint', address: this.pc }
      : { instructions: done, reason: 'instructionLimit' };
  }

  #leave(instructions: number, exit: ExitWithoutCount): Exit {
    const { reason } = exit;
    const isException =
      reason === 'fault' ||
      reason === 'exception' ||
      (reason === 'systemCall' && (exit.via === 'int' || exit.via === 'svc'));
    if (isException && this.#fetchEffects !== undefined) this.fetchUnit.returnsFromException = true;
    return { instructions, ...exit };
  }

  #runEngine(start: bigint, limit: number): number {
    this.#owner.running = this;
    try {
      return this.#engine.run(start, limit);
    } finally {
      this.#owner.running = undefined;
      this.#pc = undefined;
    }
  }

  #bringUpToDate(): void {
    const { fetchUnit } = this;
    if (fetchUnit.forget.size > 0) {
      this.#engine.forgetCode(fetchUnit.forget);
      fetchUnit.forget.clear();
      fetchUnit.flush = false;
      fetchUnit.writable.clear();
    } else if (fetchUnit.flush) {
      this.#engine.flushTranslations();
      fetchUnit.flush = false;
      fetchUnit.writable.clear();
    }
  }

  /** `completed` instructions of this segment; no exit: go on. */
  #outcome(code: number, begun: number, limit: number): { completed: number; exit?: ExitWithoutCount } {
    const stop = this.#stop;
    const refusal = this.#translator.refusal;
    if (code === UC_ERR_EXCEPTION && refusal !== undefined) {
      const completed = refusal.access === 'execute' ? begun : begun - 1;
      if (refusal.kind === 'retry') {
        refusal.resolve?.();
        return { completed };
      }
      // Unicorn fetches the next instruction before it looks at the count.
      return completed < limit ? { completed, exit: this.#refused(refusal) } : { completed };
    }
    if (code === UC_ERR_INSN_INVALID) {
      return {
        completed: begun - 1,
        exit: { reason: 'exception', name: 'invalidOpcode', vector: 6, instruction: this.pc },
      };
    }
    if (code !== UC_ERR_OK) {
      throw new CpuError('unicorn', `Unicorn stopped at ${hex(this.pc)} with ${unicornErrorName(code)}`, {
        status: 'STATUS_INTERNAL_ERROR',
        address: this.pc,
      });
    }
    if (stop === undefined) {
      if (begun > limit) return { completed: limit };
      this.#assertHalted();
      return { completed: begun, exit: { reason: 'halted' } };
    }
    switch (stop.kind) {
      case 'breakpoint':
        return { completed: begun - 1, exit: { reason: 'breakpoint', address: this.pc } };
      case 'fetchEffect':
        this.#effectAt = this.pc;
        return { completed: begun - 1 };
      case 'systemCall': {
        const via = stop.instruction === UC_X86_INS_SYSENTER ? 'sysenter' : 'syscall';
        const number = Number(this.get('rax') & 0xffff_ffffn);
        return {
          completed: begun,
          exit: { reason: 'systemCall', number, instruction: this.pc - 2n, via },
        };
      }
      case 'interrupt': {
        const { exit, advanced } = this.#exception(stop.vector);
        return { completed: advanced ? begun : begun - 1, exit };
      }
    }
  }

  #refused(refusal: Exclude<Translator['refusal'], undefined | { kind: 'retry' }>): ExitWithoutCount {
    if (refusal.kind !== 'fault') {
      return refusal.kind === 'returned'
        ? { reason: 'returned' }
        : { reason: 'serviceCall', address: this.pc };
    }
    const exact = this.#engine.refusedAddress;
    const isExact = Number(exact >> PAGE_SHIFT) === refusal.page;
    const fault: Fault = {
      address: isExact ? exact : BigInt(refusal.page) << PAGE_SHIFT,
      access: refusal.access,
      cause: refusal.cause,
      instruction: this.pc,
      processor: this.index,
    };
    return { reason: 'fault', fault };
  }

  #exception(vector: number): Delivery {
    const moment = {
      space: this.#addressSpace,
      pc: this.pc,
      register: (name: string) => this.get(name),
      isHardware: false,
    };
    if (this.#isArm) return arm64Exception(vector, moment);
    return x86Exception(vector, { ...moment, isHardware: this.#clearOldException() });
  }

  /** Unicorn never forgets that an exception was being delivered and would make the next one a double fault. */
  #clearOldException(): boolean {
    const context = this.#engine.saveContext();
    const view = new DataView(context.buffer);
    const { oldException } = calibration();
    if (view.getInt32(oldException, true) === -1) return false;
    view.setInt32(oldException, -1, true);
    this.#engine.restoreContext(context);
    return true;
  }

  #assertHalted(): void {
    const { pc } = this;
    const isHalt = this.#isArm
      ? [WFI, WFE].includes(this.#addressSpace.readU32(pc - 4n))
      : this.#addressSpace.readU8(pc - 1n) === HLT;
    if (isHalt) return;
    throw new CpuError('unexplainedStop', `processor ${this.index} stopped at ${hex(pc)} without a reason`, {
      status: 'STATUS_INTERNAL_ERROR',
      address: pc,
    });
  }

  #code(address: bigint, size: number, tag: number): void {
    if (tag === Breakpoints.TAG) {
      if (!this.#breakpoints.stopsAt(address)) return;
      this.#stop = { kind: 'breakpoint' };
      this.#engine.stop();
      return;
    }
    if (tag === FetchEffectHooks.TAG) {
      if (address === this.#executingEffect) return;
      this.#stop ??= { kind: 'fetchEffect' };
      this.#engine.stop();
      return;
    }
    this.#observers.instruction(address, size);
  }

  /** Values of the registers of {@link RegisterFile.state}, two 64-bit words each. */
  registerState(): BigUint64Array {
    return this.#engine.readState();
  }

  /** Observers may read registers and memory but not change anything. */
  observe(observation: Observation): Disposable {
    this.#owner.assertIdle('add an observer');
    return this.#observers.add(observation);
  }

  [Symbol.dispose](): void {
    this.#engine[Symbol.dispose]();
  }
}
