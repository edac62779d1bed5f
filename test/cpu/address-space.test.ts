import { describe, expect, test } from 'vitest';
import { type AddressSpace, Machine } from '../../cpu/index.js';

const START = 0x10_0000n;
const END = 0x20_0000n;
const PAGE = 0x1000n;
const TOP = 1n << 64n;
const rule = (name: string) => expect.objectContaining({ rule: name });

/** Two pages of data at the start of a table, and a page of data at the very top of the address space. */
function open(memorySize = 1 << 20) {
  const machine = Machine.create({ architecture: 'x64', memorySize });
  const table = machine.createPageTable({ start: START, end: END, mode: 'user', name: 'low' });
  const top = machine.createPageTable({ start: TOP - PAGE, end: TOP, mode: 'kernel', name: 'top' });
  table.commit(START, 2, 'PAGE_READWRITE');
  top.commit(TOP - PAGE, 1, 'PAGE_READWRITE');
  return { machine, table, top, space: machine.createAddressSpace('test', [top, table]) };
}

test.each<[string, (space: AddressSpace, address: bigint) => void, number[]]>([
  ['8', (space, address) => space.writeU8(address, 0x1_11), [0x11, 0xff, 0xff]],
  ['16', (space, address) => space.writeU16(address, 0x1_2211), [0x11, 0x22, 0xff]],
  ['32', (space, address) => space.writeU32(address, 0x4433_2211), [0x11, 0x22, 0x33, 0x44, 0xff]],
  [
    '64',
    (space, address) => space.writeU64(address, 0x8877_6655_4433_2211n),
    [0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88, 0xff],
  ],
])('words of %s bits are written in little-endian order and leave what is behind them', (_, write, bytes) => {
  const { machine, space } = open();
  using _machine = machine;
  for (const address of [START, START + 3n, START + PAGE - 1n]) {
    space.write(address, new Uint8Array(9).fill(0xff));
    write(space, address);
    expect([...space.read(address, bytes.length)]).toEqual(bytes);
  }
});

test('words are read in little-endian order', () => {
  const { machine, space } = open();
  using _machine = machine;
  space.write(START + PAGE - 4n, Uint8Array.of(0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88));
  const at = START + PAGE - 4n;
  expect([space.readU8(at), space.readU16(at), space.readU32(at), space.readU64(at)]).toEqual([
    0x11,
    0x2211,
    0x4433_2211,
    0x8877_6655_4433_2211n,
  ]);
});

test.each([
  { bytes: [0x61, 0x62, 0, 0x63], max: undefined, text: 'ab' },
  { bytes: [0, 0x61], max: undefined, text: '' },
  { bytes: [0x61, 0xe9, 0xff, 0], max: undefined, text: 'aéÿ' },
  { bytes: [0x61, 0x62, 0x63, 0], max: 2, text: 'ab' },
  { bytes: [0x61, 0], max: 0, text: '' },
])('the text in $bytes is $text', ({ bytes, max, text }) => {
  const { machine, space } = open();
  using _machine = machine;
  for (const address of [START, START + PAGE - 1n]) {
    space.write(address, Uint8Array.from(bytes));
    expect(space.readCString(address, max)).toBe(text);
  }
});

describe('what is not committed', () => {
  test.each([
    ['below zero', -PAGE],
    ['one byte below zero', -1n],
    ['above the top', TOP],
    ['over the top', TOP - 2n],
    ['before a table', START - 2n],
    ['behind the committed pages', START + 2n * PAGE - 2n],
  ])('is neither read nor written: %s', (_, address) => {
    const { machine, space } = open();
    using _machine = machine;
    const before = machine.hash();
    const uses = [
      () => space.read(address, 4),
      () => space.write(address, Uint8Array.of(1, 2, 3, 4)),
      () => space.store(address, Uint8Array.of(1, 2, 3, 4)),
      () => machine.writeCode(space, address, Uint8Array.of(1, 2, 3, 4)),
      () => space.writeU32(address, 1),
      () => space.readU32(address),
    ];
    for (const use of uses) expect(use).toThrow(rule('notCommitted'));
    expect(machine.hash()).toBe(before);
  });

  test.each([START - PAGE, END + PAGE, 0n, -1n, TOP])('takes no bytes at all at %d', (address) => {
    const { machine, space } = open();
    using _machine = machine;
    const before = machine.hash();
    expect(space.read(address, 0)).toHaveLength(0);
    space.write(address, new Uint8Array(0));
    space.store(address, new Uint8Array(0));
    expect(machine.hash()).toBe(before);
  });
});

test('bytes up to the very last address can be written and read', () => {
  const { machine, space } = open();
  using _machine = machine;
  for (const length of [1, 2, 8]) {
    const bytes = new Uint8Array(length).fill(length);
    space.write(TOP - BigInt(length), bytes);
    expect(space.read(TOP - BigInt(length), length)).toEqual(bytes);
  }
});

test.each([-1, 0.5, Number.NaN, Infinity, 2 ** 32 + 1, 2 ** 53])('%d is not a length', (length) => {
  const { machine, space } = open();
  using _machine = machine;
  expect(() => space.read(START, length)).toThrow(rule('accessLength'));
});

describe('the kernel model', () => {
  test('reads and writes across pages, all or nothing', () => {
    const { machine, table, space } = open();
    using _machine = machine;
    table.protect(START, 2, 'PAGE_READONLY');
    space.write(START + PAGE - 2n, Uint8Array.of(1, 2, 3, 4));
    expect([...space.read(START + PAGE - 3n, 6)]).toEqual([0, 1, 2, 3, 4, 0]);
    const end = START + 2n * PAGE;
    expect(() => space.write(end - 2n, Uint8Array.of(9, 9, 9))).toThrow(rule('notCommitted'));
    expect(space.readU16(end - 2n)).toBe(0);
    expect(() => space.read(end - 2n, 3)).toThrow(
      expect.objectContaining({ rule: 'notCommitted', address: end }),
    );
  });

  test('does not write to executable pages', () => {
    const { machine, table, space } = open();
    using _machine = machine;
    table.protect(START, 1, 'PAGE_EXECUTE_READWRITE');
    expect(() => space.writeU8(START, 1)).toThrow(rule('executableWrite'));
    machine.writeCode(space, START, Uint8Array.of(1));
    expect(space.readU8(START)).toBe(1);
  });
});

describe('code that reaches over two pages', () => {
  test('is not stored when the second page is missing', () => {
    const { machine, table, space } = open();
    using _machine = machine;
    table.protect(START, 2, 'PAGE_EXECUTE_READ');
    const at = START + 2n * PAGE - 2n;
    expect(() => space.store(at, Uint8Array.of(1, 2, 3, 4))).toThrow(rule('notCommitted'));
    expect(space.readU16(at)).toBe(0);
  });

  test('is not stored when there is no memory for a copy of the second page', () => {
    const { machine, table, space } = open(8 * Number(PAGE));
    using _machine = machine;
    const { memory } = machine;
    const frames = [...table.entries()].map(({ frame }) => frame ?? -1);
    const shared = START + 4n * PAGE;
    table.commit(shared, 2, 'PAGE_EXECUTE_WRITECOPY', { frames });
    while (memory.framesInUse < memory.frames - 1) memory.allocate();
    const at = shared + PAGE - 2n;
    expect(() => machine.writeCode(space, at, Uint8Array.of(1, 2, 3, 4))).toThrow(rule('noMemory'));
    expect(space.readU32(at)).toBe(0);
  });
});

describe('free addresses', () => {
  test('begin at the lowest that will do', () => {
    const { machine, table, space } = open();
    using _machine = machine;
    table.commit(START + 3n * PAGE, 1, 'PAGE_READONLY');
    expect(space.findFree(START, 1)).toBe(START + 2n * PAGE);
    expect(space.findFree(START, 2)).toBe(START + 4n * PAGE);
    expect(space.findFree(START, 2, 0x1_0000n)).toBe(START + 0x1_0000n);
    expect(space.findFree(START, 10_000)).toBeUndefined();
  });

  test('reach to the end of the table', () => {
    const { machine, table, space } = open();
    using _machine = machine;
    expect(space.findFree(END - PAGE, 1)).toBe(END - PAGE);
    expect(space.findFree(END - PAGE, 2)).toBeUndefined();
    expect(space.findFree(START, 0xfe)).toBe(START + 2n * PAGE);
    expect(space.findFree(START, 0xff)).toBeUndefined();
    table.reserve(END - PAGE, 1);
    expect(space.findFree(END - PAGE, 1)).toBeUndefined();
  });
});

test('an address has the table in whose range it lies, and may have none', () => {
  const { machine, table, top, space } = open();
  using _machine = machine;
  expect([START, END - 1n, TOP - 1n].map((address) => space.table(address))).toEqual([table, table, top]);
  for (const address of [START - 1n, END, TOP - PAGE - 1n])
    expect(() => space.table(address)).toThrow(rule('notCommitted'));
});

test('a table that the address space does not have cannot be replaced', () => {
  const { machine, table, top, space } = open();
  using _machine = machine;
  const other = machine.createPageTable({ start: END, end: END + PAGE, mode: 'user', name: 'other' });
  expect(() => space.replaceTable(other, other)).toThrow(rule('noSuchTable'));
  expect(space.tables).toEqual([table, top]);
});

test('the tables of an address space do not overlap', () => {
  const { machine, table } = open();
  using _machine = machine;
  const other = machine.createPageTable({
    start: END - PAGE,
    end: END + PAGE,
    mode: 'user',
    name: 'other',
  });
  expect(() => machine.createAddressSpace('both', [other, table])).toThrow(rule('overlappingTables'));
});
