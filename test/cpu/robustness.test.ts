import { describe, expect, test } from 'vitest';
import { CpuError, Machine, type MachineOptions, randomNumbers } from '../../cpu/index.js';
import { ARCHITECTURE_NAMES, Guest } from './conformance/guest.js';

const rule = (name: string) => expect.objectContaining({ name: 'CpuError', rule: name });

describe.each(ARCHITECTURE_NAMES)('on %s', (architecture) => {
  test('what an observer throws comes out of run, and the machine goes on', async () => {
    using guest = new Guest(architecture);
    const target = await guest.code(guest.programs.fibonacci);
    for (const kind of ['instruction', 'block', 'memory'] as const) {
      let calls = 0;
      using _observer = guest.processor.observe({
        [kind]: () => {
          calls += 1;
          if (calls === 3) throw new RangeError(`from ${kind}`);
        },
      });
      guest.prepare(target, [6n]);
      expect(() => guest.processor.run()).toThrow(new RangeError(`from ${kind}`));
      expect(calls).toBe(3);
    }
    expect(guest.call(target, [6n])).toBe(8n);
  });

  test.each([
    ['run', (guest: Guest) => guest.processor.run()],
    ['run another processor', (guest: Guest) => guest.machine.processor(1).run()],
    ['set a register', (guest: Guest) => (guest.processor.pc = 0n)],
    ['load a context', (guest: Guest) => guest.processor.loadContext(guest.processor.saveContext())],
    ['switch the ring', (guest: Guest) => (guest.processor.ring = 3)],
    ['switch the space', (guest: Guest) => (guest.processor.addressSpace = guest.machine.emptyAddressSpace)],
    ['write memory', (guest: Guest) => guest.space.writeU8(guest.data, 1)],
    ['write code', (guest: Guest) => guest.machine.writeCode(guest.space, guest.base, Uint8Array.of(0))],
    ['change a page', (guest: Guest) => guest.table.release(guest.data, 1)],
    ['serialise', (guest: Guest) => guest.machine.serialise()],
    ['take a snapshot', (guest: Guest) => guest.machine.snapshot()],
    [
      'put back a page table',
      (guest: Guest) => guest.table.load({ entries: new Map(), reserved: new Set() }),
    ],
    ['observe', (guest: Guest) => guest.processor.observe({ block: () => {} })],
    ['dispose', (guest: Guest) => guest.machine[Symbol.dispose]()],
  ] satisfies [string, (guest: Guest) => unknown][])(
    'an observer cannot %s, and the call ends as if it had not tried',
    async (_, change) => {
      using guest = new Guest(architecture, { processors: 2 });
      const target = await guest.code(guest.programs.constant(4));
      const observer = guest.processor.observe({ instruction: () => void change(guest) });
      guest.prepare(target);
      expect(() => guest.processor.run()).toThrow(rule('processorRunning'));
      expect(guest.processor.pc).toBe(target);
      observer[Symbol.dispose]();
      expect(guest.processor.run()).toMatchObject({ reason: 'returned' });
      expect(guest.architecture.result(guest.processor)).toBe(4n);
    },
  );

  test('an observer may read registers and memory', async () => {
    using guest = new Guest(architecture);
    const target = await guest.code(guest.programs.constant(4));
    const seen: unknown[] = [];
    using _observer = guest.processor.observe({
      instruction: (address) => seen.push(guest.processor.pc === address, guest.space.readU8(address)),
    });
    guest.call(target);
    expect(seen).toEqual([true, guest.space.readU8(target), true, expect.any(Number)]);
  });

  test('an observer that removes itself is not called again', async () => {
    using guest = new Guest(architecture);
    const target = await guest.code(guest.programs.fibonacci);
    let calls = 0;
    const observer = guest.processor.observe({
      instruction: () => {
        calls += 1;
      },
    });
    guest.start(target, [3n]);
    observer[Symbol.dispose]();
    observer[Symbol.dispose]();
    const before = calls;
    guest.start(target, [3n]);
    expect(calls).toBe(before);
  });

  test('a disposed machine answers with errors', async () => {
    const guest = new Guest(architecture);
    const { machine, processor, space, table } = guest;
    const context = processor.saveContext();
    const snapshot = machine.snapshot();
    const observer = processor.observe({ block: () => {} });
    machine[Symbol.dispose]();
    machine[Symbol.dispose]();
    observer[Symbol.dispose]();
    const uses: (() => unknown)[] = [
      () => processor.run(),
      () => processor.get('pc'),
      () => processor.set('pc', 0n),
      () => processor.saveContext(),
      () => processor.loadContext(context),
      () => processor.ring,
      () => processor.setMode(3),
      () => processor.observe({ block: () => {} }),
      () => machine.snapshot(),
      () => machine.restore(snapshot),
      () => machine.writeCode(space, guest.base, Uint8Array.of(1)),
      () => table.commit(guest.base, 1, 'PAGE_READWRITE'),
      () => space.writeU8(guest.data, 1),
    ];
    for (const use of uses) expect(use).toThrow(CpuError);
  });

  test.each([-1, 0.5, Number.NaN, 2 ** 60])('%d is not a number of instructions', (instructions) => {
    using guest = new Guest(architecture);
    expect(() => guest.processor.run({ instructions })).toThrow(rule('instructionLimit'));
  });

  test('registers that do not exist or cannot be set', () => {
    using guest = new Guest(architecture);
    for (const name of ['', 'rzz', 'constructor', '__proto__']) {
      expect(() => guest.processor.get(name)).toThrow(rule('unknownRegister'));
    }
    const fixed = architecture === 'arm64' ? 'pstate' : 'cs';
    expect(() => guest.processor.set(fixed, 0n)).toThrow(rule('readOnlyRegister'));
    guest.processor.set('sp', -1n);
    expect(guest.processor.sp).toBe(architecture === 'x86' ? 0xffff_ffffn : 0xffff_ffff_ffff_ffffn);
  });

  test('contexts of the wrong kind or size', () => {
    using guest = new Guest(architecture);
    using other = new Guest(architecture === 'arm64' ? 'x64' : 'arm64');
    expect(() => guest.processor.loadContext(other.processor.saveContext())).toThrow(rule('contextKind'));
    const context = guest.processor.saveContext();
    const cut = Object.assign(Object.create(Object.getPrototypeOf(context)), context, {
      bytes: context.bytes.subarray(1),
    });
    expect(() => guest.processor.loadContext(cut)).toThrow(rule('contextSize'));
  });

  test('running out of physical memory is an error, and giving memory back repairs it', async () => {
    using guest = new Guest(architecture, { memorySize: 64 * 0x1000 });
    const at = guest.table.range.end - 0x100_0000n;
    expect(() => guest.table.commit(at, 100, 'PAGE_READWRITE')).toThrow(rule('noMemory'));
    const store = await guest.code(guest.programs.store);
    guest.table.commit(at, 100, 'PAGE_READWRITE', { demandZero: true });
    const touch = () => {
      for (let page = 0n; page < 100n; page++) guest.start(store, [at + page * 0x1000n, 1n]);
    };
    expect(touch).toThrow(rule('noMemory'));
    guest.table.decommit(at, 100);
    expect(guest.start(store, [guest.data, 1n]).reason).toBe('returned');
  });

  test('random code never does worse than an exit or a typed error', () => {
    for (let seed = 0; seed < 12; seed++) {
      const random = randomNumbers(seed);
      using guest = new Guest(architecture, {
        memorySize: 1 << 20,
        instructionFetch: seed % 2 === 0 ? 'coherent' : 'weak',
      });
      guest.table.commit(guest.base, 4, 'PAGE_EXECUTE_READWRITE');
      guest.machine.writeCode(guest.space, guest.base, hostileCode(architecture === 'arm64', random));
      const { processor } = guest;
      for (let run = 0; run < 200; run++) {
        for (const register of guest.architecture.registers) {
          if (run % 50 === 0) processor.set(register, guest.data + BigInt(random() % 0x2000));
        }
        processor.pc = guest.base + BigInt((random() % 0xff0) * 4);
        try {
          const exit = processor.run({ instructions: 30 });
          expect(exit.instructions).toBeLessThanOrEqual(30);
        } catch (error) {
          expect(error).toBeInstanceOf(CpuError);
        }
      }
    }
  });
});

/** Random bytes with many system instructions among them: these reach deepest into the emulator. */
function hostileCode(isArm: boolean, random: () => number): Uint8Array {
  const bytes = new Uint8Array(0x4000).map(() => random() & 0xff);
  const view = new DataView(bytes.buffer);
  if (isArm) {
    for (let at = 0; at < bytes.byteLength; at += 4) {
      const kind = random() % 4;
      if (kind === 0) view.setUint32(at, 0xd500_0000 + (random() & 0x3f_ffff), true);
      if (kind === 1) view.setUint32(at, 0xd69f_03e0, true);
    }
    return bytes;
  }
  const opcodes = [0x00, 0x01, 0x20, 0x21, 0x22, 0x23, 0x30, 0x32, 0xaa, 0x08, 0xc7, 0xae, 0x06, 0x34, 0x35];
  for (let at = 0; at < bytes.byteLength - 2; at += 1 + (random() % 12)) {
    bytes[at] = [0x0f, 0xcf, 0xcb, 0x8e, 0x9d, 0xea, 0xee, 0x0f][random() % 8] ?? 0;
    if (bytes[at] === 0x0f) bytes[at + 1] = opcodes[random() % opcodes.length] ?? 0;
  }
  return bytes;
}

/** More than there are screened pages in an engine. */
const PAGES_WITH_SUCH_WORDS = 300;

describe('A64 words that Unicorn cannot translate', () => {
  // Each of these would end the process: unallocated operations on half-precision vectors.
  test.each([0x4ed924fd, 0x0edd24b8, 0x0ef89b8c, 0x2ef8191b, 0x0ef9f8fe, 0x7ef9f931, 0x5ef8f97a])(
    'raise an undefined instruction exception: %i',
    async (word) => {
      using guest = new Guest('arm64');
      const target = await guest.code(`nop\n.word ${word}\nret`);
      expect(guest.start(target)).toMatchObject({
        reason: 'exception',
        name: 'invalidOpcode',
        instruction: target + 4n,
        instructions: 1,
      });
      expect(guest.space.readU32(target + 4n)).toBe(word);
    },
  );

  test('beside them, code on the same page runs, is patched, and changes itself', async () => {
    using guest = new Guest('arm64');
    const target = await guest.code('movz w0, #1\nret\n.word 0x4ed924fd', 'PAGE_EXECUTE_READWRITE');
    expect(guest.call(target)).toBe(1n);
    guest.machine.writeCode(guest.space, target, Uint8Array.of(0x40, 0, 0x80, 0x52)); // movz w0, #2
    expect(guest.call(target)).toBe(2n);
    const modify = await guest.code(guest.programs.modifyAndCall);
    for (const value of [3, 4, 5]) {
      const word = 0x5280_0000 | (value << 5);
      expect(guest.call(modify, [target, BigInt(word), target])).toBe(BigInt(value));
    }
  });

  test('on hundreds of pages are screened run after run, and each page keeps its code', async () => {
    using guest = new Guest('arm64');
    const address = (index: number) => guest.base + 0x100_0000n + BigInt(index) * 0x1000n;
    const call = (index: number) => Number(guest.call(address(index)));
    guest.table.commit(address(0), PAGES_WITH_SUCH_WORDS, 'PAGE_EXECUTE_READ');
    for (let index = 0; index < PAGES_WITH_SUCH_WORDS; index++) {
      const code = Uint32Array.of(0x5280_0000 | (index << 5), 0xd65f_03c0, 0x4ed9_24fd); // movz w0, #index; ret
      guest.machine.writeCode(guest.space, address(index), new Uint8Array(code.buffer));
      expect([call(index), call(index >> 1)]).toEqual([index, index >> 1]);
    }
  });

  test('allocated half-precision operations still work', async () => {
    using guest = new Guest('arm64');
    const fadd = 0x0e401400 | (1 << 16); // fadd v0.4h, v0.4h, v1.4h
    const target = await guest.code(`.word ${fadd}\nret`);
    guest.processor.set('q0', 0x3c00n); // 1.0
    guest.processor.set('q1', 0x4000n); // 2.0
    guest.start(target);
    expect(guest.processor.get('q0')).toBe(0x4200n); // 3.0
  });
});

test.each([
  [{ memorySize: 0 }, 'memorySize'],
  [{ memorySize: 4095 }, 'memorySize'],
  [{ memorySize: -4096 }, 'memorySize'],
  [{ memorySize: 2 ** 50 }, 'memorySize'],
  [{ processors: Number.NaN }, 'processorCount'],
  [{ architecture: 'mips' as 'x64' }, 'unknownArchitecture'],
] satisfies [Partial<MachineOptions>, string][])('a machine with %j', (options, name) => {
  expect(() => Machine.create({ architecture: 'x64', ...options })).toThrow(rule(name));
});
