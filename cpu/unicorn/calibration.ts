import { CpuError } from '../error.js';
import { type EngineEvents, REFUSED } from './callbacks.js';
import { UC_PROT_ALL } from './constants.js';
import type { Engine } from './engine.js';
import { koffi } from './koffi.js';
import { unicorn } from './library.js';

/**
 * Places of facts for which Unicorn has no function: byte offsets into `uc_struct` (the same for every architecture)
 * and into a saved x86 context. They differ between versions, so a small probe finds them once per process.
 */
export interface Calibration {
  /** Bytes of `uc_struct` that are looked at. */
  readonly size: number;
  /** `uc_struct.emu_counter`, 8 bytes: instructions begun since uc_emu_start. */
  readonly counter: number;
  /** `uc_struct.invalid_addr`, 8 bytes: exact address of the access that the TLB fill refused. */
  readonly refusedAddress: number;
  /** `uc_struct.nested_level`, 4 bytes: how many uc_emu_start are under way. */
  readonly nestedLevel: number;
  /** `CPUX86State.old_exception`, 4 bytes in the bytes of Engine.saveContext. */
  readonly oldException: number;
}

let known: Calibration | undefined;

/** Opens an x64 engine on a memory, to be looked into. */
export type OpenProbe = (memory: Uint8Array<ArrayBuffer>, events: EngineEvents) => Engine;

export function calibration(open: OpenProbe): Calibration {
  known ??= probe(open);
  return known;
}

// uc_struct holds 64 jump buffers of 200 bytes each, behind which the nested level lies, and is larger than this.
const SEARCHED = 15 * 1024;
const COUNT = 2749;
const REFUSED_ADDRESS = 0x5a5a_1234_5678n;
const CODE_PAGE = 0x10;

const SPIN = 0x000;
const LOAD = 0x100;
const DIVIDE = 0x200;
const OUTER = 0x300;

function probe(open: OpenProbe): Calibration {
  const memory = new Uint8Array(new ArrayBuffer(4096));
  memory.set([0xeb, 0xfe], SPIN); // jmp $
  memory.set([0x48, 0x8b, 0x03], LOAD); // mov rax, [rbx]
  memory.set([0xf7, 0xf1], DIVIDE); // div ecx
  memory.set([0xcd, 0x40], OUTER); // int 0x40
  let onInterrupt = none;
  using engine = open(memory, { ...PROBE_EVENTS, interrupt: () => onInterrupt() });
  const address = (offset: number) => BigInt(CODE_PAGE * 4096 + offset);
  const state = new DataView(koffi().view(engine.handle, SEARCHED));
  const find = (what: string, matches: (offset: number) => boolean): number => {
    const offsets = Array.from({ length: SEARCHED / 8 - 1 }, (_, i) => i * 8).filter(matches);
    return only(what, offsets);
  };

  engine.run(address(SPIN), COUNT);
  const counter = find(
    'emu_counter',
    (at) =>
      state.getBigUint64(at, true) === BigInt(COUNT + 1) &&
      state.getBigUint64(at + 8, true) === BigInt(COUNT),
  );

  engine.writeRegister('rbx', REFUSED_ADDRESS);
  engine.run(address(LOAD), COUNT);
  const refusedAddress = find('invalid_addr', (at) => state.getBigUint64(at, true) === REFUSED_ADDRESS);

  const before = new DataView(engine.saveContext().buffer);
  engine.writeRegister('rcx', 0n);
  engine.run(address(DIVIDE), COUNT);
  const after = new DataView(engine.saveContext().buffer);
  const words = Array.from({ length: Math.floor(before.byteLength / 4) }, (_, i) => i * 4);
  const oldException = only(
    'old_exception',
    words.filter((at) => before.getInt32(at, true) === -1 && after.getInt32(at, true) === 0),
  );
  const nestedLevel = findNestedLevel(engine, state, address, (body) => {
    onInterrupt = body;
  });
  return {
    nestedLevel,
    size: Math.max(refusedAddress, counter, nestedLevel) + 8,
    counter,
    refusedAddress,
    oldException,
  };
}

/** The word that is 0 at rest, 1 while an engine runs, and 2 while it runs from within a callback of its own. */
function findNestedLevel(
  engine: Engine,
  state: DataView,
  address: (offset: number) => bigint,
  onInterrupt: (body: () => void) => void,
): number {
  const words = Array.from({ length: SEARCHED / 4 }, (_, i) => i * 4);
  const holding = (value: number, among: readonly number[]) =>
    among.filter((at) => state.getInt32(at, true) === value);
  let candidates = holding(0, words);
  let depth = 0;
  onInterrupt(() => {
    depth += 1;
    candidates = holding(depth, candidates);
    if (depth === 1) unicorn().start(engine.handle, address(OUTER), 0n, 0n, COUNT);
  });
  engine.run(address(OUTER), COUNT);
  onInterrupt(none);
  return only('nested_level', holding(0, candidates));
}

function only(what: string, offsets: readonly number[]): number {
  const [offset, second] = offsets;
  if (offset === undefined || second !== undefined) {
    throw new CpuError(
      'unicornNotUnderstood',
      `this build of Unicorn keeps ${what} in a place that cannot be told (${offsets.length} candidates)`,
      { status: 'STATUS_INTERNAL_ERROR' },
    );
  }
  return offset;
}

const none = (): void => {};

const PROBE_EVENTS: EngineEvents = {
  translate: (page) => (page === CODE_PAGE ? UC_PROT_ALL : REFUSED),
  retry: none,
  interrupt: none,
  systemCall: none,
  code: none,
  block: none,
  translated: none,
  memory: none,
};
