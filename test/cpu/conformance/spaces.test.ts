import { describe, expect, test } from 'vitest';
import type { AddressSpace, PageTable, Processor } from '../../../cpu/index.js';
import { ARCHITECTURE_NAMES, Guest } from './guest.js';

const IMAGE = 0x0070_0000n;
const STACK = 0x0080_0000n;

describe.each(ARCHITECTURE_NAMES)('address spaces on %s', (architecture) => {
  /** Two processes in user mode that share one image's code page and data page until they write. */
  async function processes() {
    const guest = new Guest(architecture, { processors: 2 });
    const { machine, programs } = guest;
    const template = machine.createPageTable({
      start: 0x7000_0000n,
      end: 0x7001_0000n,
      mode: 'user',
      name: 'file',
    });
    template.commit(0x7000_0000n, 2, 'PAGE_READWRITE');
    const frames = [...template.entries()].map(({ frame }) => frame ?? -1);
    const make = (name: string): { table: PageTable; space: AddressSpace } => {
      const table = machine.createPageTable({ start: 0x1_0000n, end: 0x7000_0000n, mode: 'user', name });
      table.commit(IMAGE, 1, 'PAGE_EXECUTE_READ', { frames: frames.slice(0, 1), copyOnWrite: true });
      table.commit(IMAGE + 0x1000n, 1, 'PAGE_WRITECOPY', { frames: frames.slice(1) });
      table.commit(STACK, 1, 'PAGE_READWRITE');
      return { table, space: machine.createAddressSpace(name, [table]) };
    };
    const [a, b] = [make('a'), make('b')];
    const code = { load: await guest.code(programs.load), store: await guest.code(programs.store) };
    const image = machine.memory.bytes(frames[0] ?? 0);
    image.set(guest.space.read(code.load, 16), 0);
    image.set(guest.space.read(code.store, 16), 16);
    const run = (processor: Processor, space: AddressSpace, offset: bigint, ...args: bigint[]) => {
      processor.addressSpace = space;
      processor.setMode(3, architecture === 'x86' ? 32 : 64);
      guest.architecture.prepareCall(processor, {
        target: IMAGE + offset,
        arguments: args,
        stackTop: STACK + 0x1000n,
      });
      const exit = processor.run();
      expect(exit.reason).toBe('returned');
      return guest.architecture.result(processor);
    };
    const load = (processor: Processor, space: AddressSpace, address: bigint) =>
      run(processor, space, 0n, address);
    const store = (processor: Processor, space: AddressSpace, address: bigint, value: bigint) =>
      run(processor, space, 16n, address, value);
    const [first, second] = machine.processors;
    if (first === undefined || second === undefined) throw new Error('two processors');
    return { guest, a, b, load, store, first, second, frames };
  }

  test('share a copy-on-write page until one process writes', async () => {
    const { guest, a, b, load, store, first, second, frames } = await processes();
    using _guest = guest;
    const data = IMAGE + 0x1000n;
    expect(a.space.query(data)).toMatchObject({ frame: frames[1], copyOnWrite: true });
    expect(load(first, a.space, data)).toBe(0n);
    expect(load(second, b.space, data)).toBe(0n);
    store(first, a.space, data, 5n);
    expect(a.space.query(data)).toMatchObject({ copyOnWrite: false });
    expect(b.space.query(data)).toMatchObject({ frame: frames[1], copyOnWrite: true });
    expect(load(first, a.space, data)).toBe(5n);
    expect(load(second, a.space, data)).toBe(5n);
    expect(load(first, b.space, data)).toBe(0n);
    expect(load(second, b.space, data)).toBe(0n);
  });

  test('code written into one process is private to it', async () => {
    const { guest, a, b, load, store, first, second } = await processes();
    using _guest = guest;
    load(second, b.space, STACK);
    const before = b.space.read(IMAGE, 16);
    const store16 = a.space.read(IMAGE + 16n, 16);
    guest.machine.writeCode(a.space, IMAGE, store16);
    expect(b.space.read(IMAGE, 16)).toEqual(before);
    expect(a.space.query(IMAGE)).toMatchObject({ protection: 'PAGE_EXECUTE_READ', copyOnWrite: false });
    load(first, b.space, STACK + 8n);
    store(second, a.space, STACK, 3n);
    expect(a.space.readU32(STACK)).toBe(3);
  });

  test('a session switch changes what lies in its range, for every processor', async () => {
    using guest = new Guest(architecture);
    const { machine, space, processor } = guest;
    const load = await guest.code(guest.programs.load);
    const start = guest.base + 0x100_0000n;
    const makeSession = (value: number) => {
      const table = machine.createPageTable({
        start,
        end: start + 0x1_0000n,
        mode: guest.table.range.mode,
        name: `session ${value}`,
      });
      table.commit(start, 1, 'PAGE_READWRITE');
      machine.memory.write(table.query(start).frame ?? 0, 0, Uint8Array.of(value));
      return table;
    };
    const [one, two] = [makeSession(1), makeSession(2)];
    const rest = machine.createPageTable({
      start: guest.table.range.start,
      end: start,
      mode: guest.table.range.mode,
      name: 'rest',
    });
    for (const entry of guest.table.entries()) {
      if (entry.address < start) {
        rest.commit(entry.address, 1, entry.protection, { frames: [entry.frame ?? 0] });
      }
    }
    space.setTables([rest, one]);
    expect(guest.call(load, [start], processor)).toBe(1n);
    space.replaceTable(one, two);
    expect(guest.call(load, [start], processor)).toBe(2n);
    expect(space.table(start)).toBe(two);
  });

  test('the second level denies VTL0 a write that the page table allows and VTL1 may do', async () => {
    using guest = new Guest(architecture);
    const { machine, processor, data } = guest;
    const store = await guest.code(guest.programs.store);
    const frame = guest.space.query(data).frame ?? -1;
    expect(guest.start(store, [data, 1n]).reason).toBe('returned');
    machine.memory.setSecondLevel(frame, { vtl0: { read: true, write: false, execute: false } });
    expect(guest.start(store, [data, 2n])).toMatchObject({
      reason: 'fault',
      fault: { address: data, access: 'write', cause: 'secondLevel' },
    });
    expect(guest.readWord(data)).toBe(1n);
    processor.vtl = 1;
    expect(processor.run().reason).toBe('returned');
    expect(guest.readWord(data)).toBe(2n);
    processor.vtl = 0;
    expect(guest.start(store, [data, 3n])).toMatchObject({ fault: { cause: 'secondLevel' } });
    const load = await guest.code(guest.programs.load);
    expect(guest.call(load, [data])).toBe(2n);
  });

  test('pages of VTL1 do not exist for VTL0', async () => {
    using guest = new Guest(architecture);
    const { machine, processor } = guest;
    const load = await guest.code(guest.programs.load);
    const start = guest.table.range.end;
    const secure = machine.createPageTable({
      start,
      end: start + 0x1000n,
      mode: guest.table.range.mode,
      vtl: 1,
      name: 'secure',
    });
    secure.commit(start, 1, 'PAGE_READWRITE');
    guest.space.setTables([guest.table, secure]);
    guest.space.writeU32(start, 9);
    expect(guest.start(load, [start])).toMatchObject({ fault: { address: start, cause: 'secondLevel' } });
    processor.vtl = 1;
    expect(guest.call(load, [start])).toBe(9n);
  });

  test('dozens of address spaces with thousands of pages cost memory for the touched pages only', async () => {
    using guest = new Guest(architecture);
    const { machine } = guest;
    const load = await guest.code(guest.programs.store);
    const before = machine.memory.framesInUse;
    const start = guest.table.range.end;
    for (let index = 0; index < 40; index++) {
      const table = machine.createPageTable({
        start,
        end: start + 0x100_0000n,
        mode: guest.table.range.mode,
        name: `process ${index}`,
      });
      table.commit(start, 2000, 'PAGE_READWRITE', { demandZero: true });
      guest.processor.addressSpace = machine.createAddressSpace(`process ${index}`, [guest.table, table]);
      guest.call(load, [start + 0x5000n, BigInt(index)]);
    }
    expect(machine.memory.framesInUse).toBe(before + 40);
    for (const [index, space] of machine.addressSpaces.slice(2).entries()) {
      expect(space.readU32(start + 0x5000n)).toBe(index);
    }
  });
});
