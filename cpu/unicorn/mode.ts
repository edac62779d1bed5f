import { CpuError } from '../error.js';
import { type EngineEvents, REFUSED } from './callbacks.js';
import { UC_PROT_ALL, UC_PROT_READ, UC_PROT_WRITE } from './constants.js';
import { Engine, type EngineKind } from './engine.js';
import { ARM64_REGISTERS, X86_REGISTERS } from './registers.js';

/** Virtual page of the descriptor table that every x86 processor uses; the machine shows it to ring 0 and 3. */
export const DESCRIPTOR_TABLE_PAGE = 2 ** 52 - 3;

/** Selectors of 64-bit Windows: KGDT64_R0_CODE … KGDT64_R3_CODE (the numbers are in wdm.h and ntddk.h). */
export const SELECTORS = {
  kernelCode: 0x10,
  kernelData: 0x18,
  compatibilityCode: 0x23,
  userData: 0x2b,
  userCode: 0x33,
} as const;

/** Intel SDM vol. 3, segment descriptors. Flat, base 0. */
export const DESCRIPTORS: readonly bigint[] = [
  0n,
  0n,
  0x00af_9b00_0000_ffffn,
  0x00cf_9300_0000_ffffn,
  0x00cf_fb00_0000_ffffn,
  0x00cf_f300_0000_ffffn,
  0x00af_fb00_0000_ffffn,
];

/** A context to start a new engine from: kernel mode, descriptor table set, everything else as after reset. */
export function initialContext(kind: EngineKind): Uint8Array {
  modeBits(kind, 'kernel');
  const context = initial.get(kind);
  if (context === undefined) throw new CpuError('noSuchMode', `${kind} has not been probed`);
  return context;
}

const initial = new Map<EngineKind, Uint8Array>();

export type ModeName = 'kernel' | 'user' | 'compatibility';

/**
 * A mode as the bits that it sets in a saved context. Unicorn changes the privilege level only by a guest's own iretq or
 * eret, so a probe takes each mode once; the differences between its contexts are the mode.
 */
export interface ModeBits {
  readonly mask: Uint8Array;
  readonly value: Uint8Array;
}

const known = new Map<EngineKind, ReadonlyMap<ModeName, ModeBits>>();

export function modeBits(kind: EngineKind, mode: ModeName): ModeBits {
  let modes = known.get(kind);
  if (modes === undefined) {
    modes = PROBES[kind]();
    known.set(kind, modes);
  }
  const bits = modes.get(mode);
  if (bits === undefined) {
    throw new CpuError('noSuchMode', `${kind} has no ${mode} mode`, { status: 'STATUS_INVALID_PARAMETER' });
  }
  return bits;
}

/** `context` as it would be in another mode. */
export function withMode(context: Uint8Array, { mask, value }: ModeBits): Uint8Array {
  return context.map((byte, at) => (byte & ~(mask[at] ?? 0)) | (value[at] ?? 0));
}

const CODE_PAGE = 0x10;
const STACK_PAGE = 0x11;
const CODE = BigInt(CODE_PAGE * 4096);
const STACK = BigInt(STACK_PAGE * 4096);
const SPIN = 0x100;

function probeX86(): ReadonlyMap<ModeName, ModeBits> {
  const memory = new Uint8Array(new ArrayBuffer(3 * 4096));
  const table = BigInt(DESCRIPTOR_TABLE_PAGE) << 12n;
  const data = new DataView(memory.buffer);
  writeWords(data, 2 * 4096, DESCRIPTORS);
  memory.set([0x0f, 0x01, 0x14, 0x24, 0x48, 0xcf], 0); // lgdt [rsp]; iretq
  memory.set([0xeb, 0xfe], SPIN);

  const enter = (code: number, stack: number): Uint8Array => {
    using engine = new Engine('x86-64', memory, X86_REGISTERS, PROBE_EVENTS);
    data.setUint16(4096, 0x37, true);
    data.setBigUint64(4098, table, true);
    engine.writeRegister('rsp', STACK);
    engine.run(CODE, 1);
    const frame = [CODE + BigInt(SPIN), BigInt(code), 2n, STACK, BigInt(stack)];
    writeWords(data, 4096, frame);
    engine.run(CODE + 4n, 1);
    if (engine.readRegister('cs') !== BigInt(code)) {
      throw new CpuError('unicornNotUnderstood', `iretq did not reach code segment ${code}`, {
        status: 'STATUS_INTERNAL_ERROR',
      });
    }
    return engine.saveContext();
  };
  const kernel = enter(SELECTORS.kernelCode, SELECTORS.kernelData);
  initial.set('x86-64', withFloatingPoint(kernel, memory));
  return differences({
    kernel,
    user: enter(SELECTORS.userCode, SELECTORS.userData),
    compatibility: enter(SELECTORS.compatibilityCode, SELECTORS.userData),
  });
}

/** FpCsr and MxCsr as threads on Windows begin (learn.microsoft.com, "x64 calling convention"). */
const FPCW = 0x27fn;
const MXCSR = 0x1f80n;

function withFloatingPoint(context: Uint8Array, memory: Uint8Array): Uint8Array {
  using engine = new Engine('x86-64', memory, X86_REGISTERS, PROBE_EVENTS);
  engine.restoreContext(context);
  engine.writeRegister('fpcw', FPCW);
  engine.writeRegister('mxcsr', MXCSR);
  return engine.saveContext();
}

export function writeWords(view: DataView, offset: number, words: readonly bigint[]): void {
  for (const [index, word] of words.entries()) view.setBigUint64(offset + index * 8, word, true);
}

function probeArm64(): ReadonlyMap<ModeName, ModeBits> {
  const memory = new Uint8Array(new ArrayBuffer(3 * 4096));
  new DataView(memory.buffer).setUint32(0, 0xd69f03e0, true); // eret
  new DataView(memory.buffer).setUint32(4, 0x14000000, true); // b .
  using engine = new Engine('arm64', memory, ARM64_REGISTERS, PROBE_EVENTS);
  const kernel = engine.saveContext();
  initial.set('arm64', kernel);
  engine.writeRegister('elr_el1', CODE + 4n);
  engine.run(CODE, 1);
  engine.writeRegister('elr_el1', 0n);
  engine.writeRegister('pc', 0n);
  const user = engine.saveContext();
  return differences({ kernel, user });
}

function differences(contexts: Partial<Record<ModeName, Uint8Array>>): ReadonlyMap<ModeName, ModeBits> {
  const modes = Object.entries(contexts) as [ModeName, Uint8Array][];
  const first = modes[0]?.[1] ?? new Uint8Array(0);
  const mask = first.map((byte, at) =>
    modes.reduce((bits, [, context]) => bits | (byte ^ (context[at] ?? 0)), 0),
  );
  return new Map(
    modes.map(([name, context]) => [
      name,
      { mask, value: context.map((byte, at) => byte & (mask[at] ?? 0)) },
    ]),
  );
}

const none = (): void => {};

const PROBE_EVENTS: EngineEvents = {
  translate(page) {
    if (page === CODE_PAGE) return UC_PROT_ALL;
    if (page === STACK_PAGE) return (1 << 3) | UC_PROT_READ | UC_PROT_WRITE;
    return page === DESCRIPTOR_TABLE_PAGE ? (2 << 3) | UC_PROT_READ | UC_PROT_WRITE : REFUSED;
  },
  retry: none,
  interrupt: none,
  systemCall: none,
  code: none,
  block: none,
  translated: none,
  memory: none,
};

const PROBES: Readonly<Record<EngineKind, () => ReadonlyMap<ModeName, ModeBits>>> = {
  'x86-64': probeX86,
  arm64: probeArm64,
};
