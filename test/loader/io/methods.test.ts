import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { counting, IOCTL, inverted, type Machine, machine, WORLDS } from './support.js';

const STATUS_SUCCESS = 0;
const STATUS_ACCESS_VIOLATION = 0xc000_0005;

/** The fields of SEEN in device.c. */
const SEEN = [
  'major',
  'code',
  'inputLength',
  'outputLength',
  'mode',
  'is32Bit',
  'mdlFlags',
  'systemBuffer',
] as const;

function seen(bytes: Uint8Array): Record<(typeof SEEN)[number], number> {
  const buffer = Buffer.from(bytes);
  const entries = SEEN.map((name, index) => [name, buffer.readUInt32LE(4 * index)] as const);
  return Object.fromEntries(entries) as Record<(typeof SEEN)[number], number>;
}

const METHODS = [
  { name: 'METHOD_BUFFERED', code: IOCTL.BUFFERED },
  { name: 'METHOD_OUT_DIRECT', code: IOCTL.OUT_DIRECT },
  { name: 'METHOD_NEITHER', code: IOCTL.NEITHER },
] as const;

/** Lengths of input and output. */
const LENGTHS = [
  [0, 0],
  [0, 16],
  [16, 0],
  [16, 16],
  [7, 100],
  [100, 7],
  [5000, 5000],
  [0x1000, 0x3001],
] as const;

/** One machine for all tests of a group: what they ask for leaves nothing behind. */
function shared(world: (typeof WORLDS)[number]): () => Machine {
  let one: Machine | undefined;
  beforeAll(async () => {
    one = await machine(world);
  });
  afterAll(() => one?.[Symbol.dispose]());
  return () => {
    if (one === undefined) throw new Error('not booted');
    return one;
  };
}

describe.each(WORLDS)('data between a program and a driver: $name', (world) => {
  const machineOf = shared(world);
  describe.each(METHODS)('$name', ({ code }) => {
    it.each(LENGTHS)('%i bytes in, %i bytes out', (input, output) => {
      const given = machineOf();
      using device = given.open();
      const bytes = counting(input);
      const answer = device.deviceIoControl(code, bytes, output);
      const length = Math.min(input, output);
      expect(answer).toEqual({
        status: STATUS_SUCCESS,
        information: length,
        output: inverted(bytes.slice(0, length)),
      });
      const { is32Bit, mode, major, mdlFlags, systemBuffer, ...rest } = seen(
        device.deviceIoControl(IOCTL.SEEN, new Uint8Array(), 64).output,
      );
      expect(rest).toEqual({ code, inputLength: input, outputLength: output });
      expect({ is32Bit, mode, major }).toEqual({ is32Bit: world.wow64 ? 1 : 0, mode: 1, major: 0xe });
      const isBuffered = code === IOCTL.BUFFERED;
      const hasBuffer = isBuffered ? input + output > 0 : code === IOCTL.OUT_DIRECT && input > 0;
      expect(systemBuffer).toBe(hasBuffer ? 1 : 0);
      // MDL_PAGES_LOCKED | MDL_WRITE_OPERATION
      expect(mdlFlags).toBe(code === IOCTL.OUT_DIRECT && output > 0 ? 0x82 : 0);
    });
  });

  it.each(LENGTHS)('METHOD_IN_DIRECT, whose second buffer is input: %i and %i bytes', (first, second) => {
    const given = machineOf();
    using device = given.open();
    const pages = given.pages(4, 'PAGE_READWRITE');
    given.write(pages, counting(second));
    given.process.domain.table.protect(pages, 4, 'PAGE_READONLY');
    const input = given.pages(4);
    const block = given.pages(1);
    const status = control(
      given,
      device.handle,
      { code: IOCTL.IN_DIRECT, block },
      input,
      first,
      pages,
      second,
    );
    expect(status).toBe(STATUS_SUCCESS);
    const sum = counting(second).reduce((total, byte) => total + byte, 0);
    const { pointerSize } = given.process.domain.architecture;
    expect(Buffer.from(given.read(block + BigInt(pointerSize), 4)).readUInt32LE()).toBe(sum);
  });
});

interface Target {
  readonly code: number;
  readonly block: bigint;
}

function control(
  { service }: Machine,
  handle: bigint,
  { code, block }: Target,
  input: bigint,
  inputLength: number,
  output: bigint,
  outputLength: number,
): number {
  return service(
    'NtDeviceIoControlFile',
    handle,
    0,
    0,
    0,
    block,
    code,
    input,
    inputLength,
    output,
    outputLength,
  );
}

/** Addresses that are no good, and what they are no good for. */
const POINTERS = [
  { name: 'null', of: () => 0n, reads: false, writes: false, null: true },
  { name: 'nothing there', of: (given: Machine) => given.pages(1) + 0x8000n, reads: false, writes: false },
  { name: 'no access', of: (given: Machine) => given.pages(1, 'PAGE_NOACCESS'), reads: false, writes: false },
  { name: 'read-only', of: (given: Machine) => given.pages(1, 'PAGE_READONLY'), reads: true, writes: false },
  { name: 'into nothing', of: (given: Machine) => given.pages(1) + 0xff8n, reads: false, writes: false },
  {
    name: 'from read-write into read-only',
    of: (given: Machine) => {
      const address = given.pages(2);
      given.process.domain.table.protect(address + 0x1000n, 1, 'PAGE_READONLY');
      return address + 0xff8n;
    },
    reads: true,
    writes: false,
  },
  {
    name: "of the kernel's images",
    of: (given: Machine) => given.lab.kernel.system.table.range.start + 0x1000n,
    reads: false,
    writes: false,
    only64: true,
  },
  {
    name: 'beyond user space',
    of: (given: Machine) => given.process.domain.table.range.end,
    reads: false,
    writes: false,
  },
  { name: 'at the end of the world', of: (given: Machine) => lastOf(given), reads: false, writes: false },
] as const;

function lastOf({ process }: Machine): bigint {
  return process.domain.architecture.pointerSize === 8 ? 0xffff_ffff_ffff_fff8n : 0xffff_fff8n;
}

/** What is asked of the buffers; a null pointer means no buffer, but for METHOD_NEITHER, where the driver has to know. */
const USES = [
  { name: 'BUFFERED', code: IOCTL.BUFFERED, second: 'writes', nullIsNone: true },
  { name: 'IN_DIRECT', code: IOCTL.IN_DIRECT, second: 'reads', nullIsNone: true },
  { name: 'OUT_DIRECT', code: IOCTL.OUT_DIRECT, second: 'writes', nullIsNone: true },
  { name: 'NEITHER', code: IOCTL.NEITHER, second: 'writes', nullIsNone: false },
] as const;

const pointersFor = (world: (typeof WORLDS)[number]) =>
  POINTERS.filter((pointer) => !('only64' in pointer) || !world.wow64);

describe.each(WORLDS)('addresses that are no good: $name', (world) => {
  const machineOf = shared(world);
  describe.each(pointersFor(world))('$name', (pointer) => {
    it.each(USES)('as input of METHOD_$name', ({ code, nullIsNone }) => {
      const given = machineOf();
      using device = given.open();
      const block = given.pages(1);
      const target = { code, block };
      const isNone = 'null' in pointer && nullIsNone;
      const status = control(given, device.handle, target, pointer.of(given), 16, given.pages(1), 16);
      expect(status).toBe(pointer.reads || isNone ? STATUS_SUCCESS : STATUS_ACCESS_VIOLATION);
      expect(device.deviceIoControl(IOCTL.BUFFERED, Uint8Array.of(1), 1).output).toEqual(Uint8Array.of(0xfe));
    });

    it.each(USES)('as second buffer of METHOD_$name', ({ code, second, nullIsNone }) => {
      const given = machineOf();
      using device = given.open();
      const target = { code, block: given.pages(1) };
      const isNone = 'null' in pointer && nullIsNone;
      const status = control(given, device.handle, target, given.pages(1), 16, pointer.of(given), 16);
      expect(status).toBe(pointer[second] || isNone ? STATUS_SUCCESS : STATUS_ACCESS_VIOLATION);
      expect(device.deviceIoControl(IOCTL.BUFFERED, Uint8Array.of(1), 1).output).toEqual(Uint8Array.of(0xfe));
    });

    it('as status block', () => {
      const given = machineOf();
      using device = given.open();
      const target = { code: IOCTL.BUFFERED, block: pointer.of(given) };
      const status = control(given, device.handle, target, given.pages(1), 16, given.pages(1), 16);
      // Two pointers fit before the end of the page where 32-bit code has them.
      const fits = pointer.name.startsWith('from') || pointer.name === 'into nothing';
      const is32Bit = given.process.domain.architecture.pointerSize === 4;
      expect(status).toBe(fits && is32Bit ? STATUS_SUCCESS : STATUS_ACCESS_VIOLATION);
    });
  });
});

describe('a driver that trusts what it is given', () => {
  it('writes where the program wants it to, in the kernel', async () => {
    const [world] = WORLDS;
    using given = await machine(world);
    using device = given.open();
    const { lab } = given;
    const secret = lab.allocate(new Uint8Array(16));
    const input = given.pages(1);
    given.write(input, counting(16));
    const block = given.pages(1);
    expect(control(given, device.handle, { code: IOCTL.NEITHER, block }, input, 16, secret, 16)).toBe(
      STATUS_ACCESS_VIOLATION,
    );
    expect(lab.kernel.system.addressSpace.read(secret, 16)).toEqual(new Uint8Array(16));
    expect(control(given, device.handle, { code: IOCTL.TRUSTING, block }, input, 16, secret, 16)).toBe(0);
    expect(lab.kernel.system.addressSpace.read(secret, 16)).toEqual(inverted(counting(16)));
  });

  it('stops the system where nothing is, __try or not', async () => {
    const [world] = WORLDS;
    using given = await machine(world);
    using device = given.open();
    const nowhere = given.lab.kernel.system.table.range.start + 0x1000n;
    const target = { code: IOCTL.TRUSTING, block: given.pages(1) };
    expect(() => control(given, device.handle, target, given.pages(1), 16, nowhere, 16)).toThrow(
      /write of ffff8000/,
    );
    expect(given.lab.transcript).toContain('bugcheck PAGE_FAULT_IN_NONPAGED_AREA 0x50');
  });
});
