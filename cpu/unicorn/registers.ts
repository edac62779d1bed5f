import { CpuError } from '../error.js';
import { koffi } from './koffi.js';
import { check, type HostPointer, type UnicornFunctions } from './library.js';

interface Register {
  readonly id: number;
  readonly bits: number;
  /** Loading a segment register from outside would fault in Unicorn where nothing catches it. */
  readonly readOnly?: boolean;
}

type Names = Readonly<Record<string, Register>>;

const WIDEST = 16;
const MASK_64 = (1n << 64n) - 1n;

/** The registers of one kind of engine, by the names of the processor manuals, lower case. */
export class RegisterFile {
  readonly names: readonly string[];
  readonly #registers: ReadonlyMap<string, Register>;
  readonly #batches = new Map<string, RegisterBatch>();
  readonly #value = new BigUint64Array(new ArrayBuffer(WIDEST));

  /** `stateNames`: registers that together are what a program can notice of the processor. */
  constructor(
    registers: Names,
    readonly stateNames: readonly string[],
  ) {
    this.#registers = new Map(Object.entries(registers));
    this.names = [...this.#registers.keys()];
  }

  has(name: string): boolean {
    return this.#registers.has(name);
  }

  #find(name: string): Register {
    const register = this.#registers.get(name);
    if (register === undefined) {
      throw new CpuError('unknownRegister', `this processor has no register ${JSON.stringify(name)}`, {
        status: 'STATUS_INVALID_PARAMETER',
      });
    }
    return register;
  }

  read(functions: UnicornFunctions, engine: HostPointer, name: string): bigint {
    const { id, bits } = this.#find(name);
    const value = this.#value;
    value[0] = 0n;
    value[1] = 0n;
    check(functions.readRegister(engine, id, value), `uc_reg_read of ${name}`);
    const low = value[0] ?? 0n;
    return bits <= 64 ? low : low | ((value[1] ?? 0n) << 64n);
  }

  write(functions: UnicornFunctions, engine: HostPointer, name: string, contents: bigint): void {
    const { id, bits, readOnly } = this.#find(name);
    if (readOnly === true) {
      throw new CpuError('readOnlyRegister', `${name} can only be changed by the guest`, {
        status: 'STATUS_INVALID_PARAMETER',
      });
    }
    const masked = BigInt.asUintN(bits, contents);
    this.#value[0] = masked & MASK_64;
    this.#value[1] = masked >> 64n;
    check(functions.writeRegister(engine, id, this.#value), `uc_reg_write of ${name}`);
  }

  /** A reader of several registers in one call; the same one, with the same `values`, for the same list. */
  batch(names: readonly string[]): RegisterBatch {
    const key = names.join();
    const known = this.#batches.get(key);
    if (known !== undefined) return known;
    const batch = new RegisterBatch(
      names,
      names.map((name) => this.#find(name)),
    );
    this.#batches.set(key, batch);
    return batch;
  }
}

/** Values of a fixed list of registers: one 64-bit word each, or two, low word first, if any is wider. */
export class RegisterBatch {
  readonly names: readonly string[];
  readonly values: BigUint64Array;
  readonly #ids: Int32Array;
  readonly #pointers: BigUint64Array;

  constructor(names: readonly string[], registers: readonly Register[]) {
    this.names = names;
    const stride = registers.some(({ bits }) => bits > 64) ? WIDEST : 8;
    this.values = new BigUint64Array(new ArrayBuffer(registers.length * stride));
    this.#ids = Int32Array.from(registers, ({ id }) => id);
    const base = koffi().address(this.values);
    this.#pointers = BigUint64Array.from(registers, (_, index) => base + BigInt(index * stride));
  }

  read(functions: UnicornFunctions, engine: HostPointer): BigUint64Array {
    check(
      functions.readRegisters(engine, this.#ids, this.#pointers, this.#ids.length),
      `uc_reg_read_batch of ${this.names.length} registers`,
    );
    return this.values;
  }
}

const readOnly = (registers: Names): Names =>
  Object.fromEntries(
    Object.entries(registers).map(([name, register]) => [name, { ...register, readOnly: true }]),
  );

const numbered = (prefix: string, first: number, last: number, id: number, bits: number): Names =>
  Object.fromEntries(
    Array.from({ length: last - first + 1 }, (_, i) => [`${prefix}${first + i}`, { id: id + i, bits }]),
  );

const listed = (bits: number, ids: Readonly<Record<string, number>>): Names =>
  Object.fromEntries(Object.entries(ids).map(([name, id]) => [name, { id, bits }]));

/** Register numbers of unicorn/x86.h. */
const x86Names: Names = {
  ...listed(64, { rax: 35, rcx: 38, rdx: 40, rbx: 37, rsp: 44, rbp: 36, rsi: 43, rdi: 39 }),
  ...numbered('r', 8, 15, 106, 64),
  ...listed(64, { rip: 41, rflags: 253 }),
  ...listed(32, {
    eflags: 25,
    eax: 19,
    ecx: 22,
    edx: 24,
    ebx: 21,
    esp: 30,
    ebp: 20,
    esi: 29,
    edi: 23,
    eip: 26,
  }),
  ...readOnly(listed(16, { cs: 11, ss: 49, ds: 17, es: 28, fs: 32, gs: 33 })),
  ...listed(64, { 'fs.base': 250, 'gs.base': 251 }),
  ...readOnly(listed(64, { cr0: 50, cr2: 52, cr3: 53, cr4: 54, cr8: 58 })),
  ...numbered('xmm', 0, 15, 122, 128),
  ...numbered('fp', 0, 7, 82, 80),
  ...listed(32, { mxcsr: 249 }),
  ...listed(16, { fpcw: 246, fpsw: 31 }),
};

/** Register numbers of unicorn/arm64.h. */
const arm64Names: Names = {
  ...numbered('x', 0, 28, 199, 64),
  ...listed(64, { x29: 1, x30: 2, sp: 4, pc: 260 }),
  ...listed(32, { nzcv: 3 }),
  ...readOnly(listed(32, { pstate: 265 })),
  ...numbered('q', 0, 31, 104, 128),
  ...numbered('d', 0, 31, 40, 64),
  ...listed(64, { tpidr_el0: 262, tpidrro_el0: 263, tpidr_el1: 264, elr_el1: 267 }),
  ...listed(32, { fpcr: 291, fpsr: 292 }),
};

const without = (names: Names, ...excluded: readonly RegExp[]): string[] =>
  Object.keys(names).filter((name) => !excluded.some((pattern) => pattern.test(name)));

/** eax and the like are parts of others; cr2 and the rest of the control registers mean nothing with a virtual TLB. */
export const X86_REGISTERS = new RegisterFile(x86Names, without(x86Names, /^e[a-z]{2}$/, /^eflags$/, /^cr/));
export const ARM64_REGISTERS = new RegisterFile(arm64Names, without(arm64Names, /^d/, /^elr/));
