import { describe, expect, test } from 'vitest';
import type { ArchitectureName } from '../../cpu/index.js';
import { BLOCK_HOOK } from '../../cpu/unicorn/block-hook.js';
import type { HostConvention } from '../../cpu/unicorn/host-code.js';
import { Guest } from './conformance/guest.js';

/** Registers of the four arguments: engine, address, size, slot. */
const CONVENTIONS: readonly {
  readonly convention: HostConvention;
  readonly architecture: ArchitectureName;
  readonly parameters: readonly string[];
}[] = [
  { convention: 'x64 System V', architecture: 'x64', parameters: ['rdi', 'rsi', 'rdx', 'rcx'] },
  { convention: 'x64 Windows', architecture: 'x64', parameters: ['rcx', 'rdx', 'r8', 'r9'] },
  { convention: 'arm64', architecture: 'arm64', parameters: ['x0', 'x1', 'x2', 'x3'] },
];

const UC = 0x1234n;
const WORD = {
  left: 0,
  reason: 1,
  table: 2,
  mask: 3,
  log: 4,
  logEnd: 5,
  last: 6,
  address: 7,
  size: 8,
  stop: 9,
};
const ENTRIES = 16;

/** The hook as guest code, which has no stop of its own: what it calls to stop returns to nowhere. */
describe.each(CONVENTIONS)('the block hook for $convention', ({ convention, architecture, parameters }) => {
  const { code, log } = BLOCK_HOOK[convention];
  const bytes = new Uint8Array(Buffer.from(code, 'hex'));
  const home = (address: bigint) =>
    Number((((address * 0x9e3779b1n) & 0xffff_ffffn) >> 8n) & BigInt((ENTRIES - 1) * 16)) / 16;

  async function open() {
    const guest = new Guest(architecture);
    const at = await guest.code('nop');
    guest.machine.writeCode(guest.space, at, bytes);
    const stop = await guest.code('ret');
    const slot = guest.data;
    const table = guest.data + 0x400n;
    const words = guest.data + 0x800n;
    const set = (word: number, value: bigint) => guest.space.writeU64(slot + BigInt(word * 8), value);
    const get = (word: number) => guest.space.readU64(slot + BigInt(word * 8));
    set(WORD.left, 100n);
    set(WORD.table, table);
    set(WORD.mask, BigInt((ENTRIES - 1) * 16));
    set(WORD.log, words);
    set(WORD.logEnd, words + 8n);
    set(WORD.stop, stop);
    const put = (index: number, address: bigint, size: number, instructions: number, identity: number) => {
      const entry = table + BigInt((index % ENTRIES) * 16);
      guest.space.writeU64(entry, address);
      guest.space.writeU16(entry + 8n, size);
      guest.space.writeU16(entry + 10n, instructions);
      guest.space.writeU32(entry + 12n, identity);
      return entry;
    };
    const enter = (address: bigint, size: number, way = 0) => {
      guest.prepare(at + BigInt(way));
      const values = [UC, address, BigInt(size), slot];
      for (const [index, name] of parameters.entries()) guest.processor.set(name, values[index] ?? 0n);
      const exit = guest.processor.run({ instructions: 1000, breakpoints: [stop] });
      if (exit.reason === 'breakpoint') expect(guest.processor.get(parameters[0] ?? '')).toBe(UC);
      return exit.reason === 'breakpoint' ? 'stops' : exit.reason;
    };
    return { guest, at, set, get, put, enter, table, words };
  }

  test('takes the instructions of a block that it finds off what is left, also behind others in the table', async () => {
    const { guest, get, put, enter } = await open();
    using _guest = guest;
    const address = 0xffff_f800_dead_beefn;
    put(home(address), address + 1n, 9, 40, 1);
    put(home(address) + 1, address, 8, 41, 2);
    const entry = put(home(address) + 2, address, 9, 7, 3);
    expect([enter(address, 9), get(WORD.left), get(WORD.last), get(WORD.reason)]).toEqual([
      'returned',
      93n,
      entry,
      0n,
    ]);
    expect([enter(address, 9), get(WORD.left)]).toEqual(['returned', 86n]);
  });

  test('goes around the end of the table', async () => {
    const { guest, get, put, enter } = await open();
    using _guest = guest;
    const address =
      Array.from({ length: 99 }, (_, i) => 0x1000n + BigInt(i)).find((at) => home(at) === ENTRIES - 1) ?? 0n;
    put(ENTRIES - 1, 1n, 0xffff, 1, 0);
    put(0, address, 4, 1, 1);
    expect([enter(address, 4), get(WORD.left)]).toEqual(['returned', 99n]);
  });

  test('stops in front of a block that goes beyond what is left, not of one that just fits', async () => {
    const { guest, get, set, put, enter } = await open();
    using _guest = guest;
    put(home(0x4000n), 0x4000n, 12, 5, 1);
    set(WORD.left, 5n);
    expect([enter(0x4000n, 12), get(WORD.left)]).toEqual(['returned', 0n]);
    expect([enter(0x4000n, 12), get(WORD.left), get(WORD.reason)]).toEqual(['stops', 0n, 1n]);
  });

  test('stops in front of a block that it does not know, and says which', async () => {
    const { guest, get, enter } = await open();
    using _guest = guest;
    const address = 0xffff_8000_0000_0010n;
    expect(enter(address, 33)).toBe('stops');
    expect([WORD.reason, WORD.address, WORD.size, WORD.left].map(get)).toEqual([2n, address, 33n, 100n]);
  });

  test('notes blocks, and stops when there is no room', async () => {
    const { guest, get, put, enter, words } = await open();
    using _guest = guest;
    put(home(0x4000n), 0x4000n, 12, 5, 0x1111);
    put(home(0x4000n) + 1, 0x4000n, 8, 2, 0x2222);
    expect([enter(0x4000n, 12, log), enter(0x4000n, 8, log), get(WORD.left)]).toEqual([
      'returned',
      'returned',
      93n,
    ]);
    expect(guest.space.readU64(words)).toBe(0x2222_0000_1111n);
    expect([enter(0x4000n, 12, log), get(WORD.left), get(WORD.reason)]).toEqual(['stops', 93n, 3n]);
  });
});
