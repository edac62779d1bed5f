import type { Machine, PageTable } from '../../cpu/index.js';

/** Where every process sees KUSER_SHARED_DATA (ntddk.h), read-only. */
export const SHARED_USER_DATA = 0x7ffe0000n;
/** … and where the kernel does. */
export const KI_USER_SHARED_DATA = 0xfffff780_00000000n;

const OFFSETS = {
  buildNumber: 0x260,
  majorVersion: 0x26c,
  minorVersion: 0x270,
  processorFeatures: 0x274,
} as const;
/** PF_… of winnt.h: what the emulated processors have. */
const FEATURES = {
  x64: [2, 6, 8, 10, 13, 14, 36, 37],
  x86: [2, 6, 8, 10, 13, 14, 36, 37],
  arm64: [20, 29, 30, 31, 34],
} as const;

/** The page of KUSER_SHARED_DATA that all processes share: version and processor features; its clocks stand still. */
export class SharedUserData {
  readonly #frame: number;

  constructor(machine: Machine) {
    const { memory, architecture } = machine;
    this.#frame = memory.allocate();
    const page = new Uint8Array(0x1000);
    const view = new DataView(page.buffer);
    view.setUint32(OFFSETS.buildNumber, 22631, true);
    view.setUint32(OFFSETS.majorVersion, 10, true);
    view.setUint32(OFFSETS.minorVersion, 0, true);
    for (const feature of FEATURES[architecture.name]) page[OFFSETS.processorFeatures + feature] = 1;
    memory.write(this.#frame, 0, page);
  }

  map(table: PageTable, address: bigint): void {
    table.commit(address, 1, 'PAGE_READONLY', { frames: [this.#frame] });
  }
}
