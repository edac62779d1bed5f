import { describe, expect, test } from 'vitest';
import { assemble } from '../../cpu/assembler.js';
import { type ArchitectureName, architectureNamed, Machine } from '../../cpu/index.js';

const CODE = 0x0040_0000n;
const STACK = 0x0050_0000n;
const STACK_TOP = STACK + 0x1000n;
const KERNEL = 0xffff_f800_1234_0000n;

/** An x64 machine with user pages below 4 GB, as a WOW64 process has. */
async function process(code: Partial<Record<ArchitectureName, string>>) {
  const machine = Machine.create({ architecture: 'x64', memorySize: 1 << 20 });
  const user = machine.createPageTable({
    start: 0x1_0000n,
    end: 0x7fff_ffff_0000n,
    mode: 'user',
    name: 'user',
  });
  const kernel = machine.createPageTable({
    start: 0xffff_f800_0000_0000n,
    end: 0xffff_f880_0000_0000n,
    mode: 'kernel',
    name: 'kernel',
  });
  const space = machine.createAddressSpace('wow64', [user, kernel]);
  user.commit(CODE, 2, 'PAGE_EXECUTE_READ');
  user.commit(STACK, 1, 'PAGE_READWRITE');
  kernel.commit(KERNEL, 2, 'PAGE_READWRITE');
  const processor = machine.processor(0);
  processor.addressSpace = space;
  const addresses = { x86: CODE, x64: CODE + 0x1000n };
  for (const name of ['x86', 'x64'] as const) {
    const source = code[name];
    if (source === undefined) continue;
    const symbols = { other: name === 'x86' ? addresses.x64 : addresses.x86 };
    machine.writeCode(
      space,
      addresses[name],
      await assemble(name, source, { address: addresses[name], symbols }),
    );
  }
  return { machine, processor, space, addresses };
}

const x86 = architectureNamed('x86');

describe('32-bit code in a process of an x64 machine', () => {
  test('decodes, calls and returns as x86', async () => {
    // 0x40 is inc eax here and a REX prefix in 64-bit code.
    const { machine, processor, addresses } = await process({
      x86: 'mov eax, dword ptr [esp + 4]\n.byte 0x40\nret',
    });
    using _machine = machine;
    processor.setMode(3, 32);
    expect(processor.bits).toBe(32);
    x86.prepareCall(processor, { target: addresses.x86, arguments: [41n], stackTop: STACK_TOP });
    expect(processor.run()).toEqual({ reason: 'returned', instructions: 3 });
    expect(x86.result(processor)).toBe(42n);
  });

  test('makes a system call that the kernel answers in 64-bit mode, and goes on', async () => {
    const { machine, processor, addresses } = await process({ x86: 'mov eax, 7\nint 0x2e\nadd eax, 1\nret' });
    using _machine = machine;
    processor.setMode(3, 32);
    x86.prepareCall(processor, { target: addresses.x86, arguments: [], stackTop: STACK_TOP });
    expect(processor.run()).toMatchObject({ reason: 'systemCall', number: 7, via: 'int' });
    const user = processor.saveContext();
    processor.ring = 0;
    expect(processor.bits).toBe(64);
    expect(processor.ring).toBe(0);
    processor.loadContext(user);
    expect(processor.bits).toBe(32);
    x86.setResult(processor, 100n);
    expect(processor.run()).toEqual({ reason: 'returned', instructions: 2 });
    expect(x86.result(processor)).toBe(101n);
  });

  test('goes through the gate into 64-bit code and back', async () => {
    const { machine, processor, addresses } = await process({
      // jmp far 0x33:x64
      x86: `.byte 0xea, 0x00, 0x10, 0x40, 0x00, 0x33, 0x00
        nop
        ret`,
      // 64-bit: eax = r8-only arithmetic, then a far return to 0x23:x86+7
      x64: 'mov r8, 0x123456789\nmov rax, r8\nshr rax, 32\npush 0x23\npush 0x400007\n.byte 0x48, 0xcb',
    });
    using _machine = machine;
    processor.setMode(3, 32);
    x86.prepareCall(processor, { target: addresses.x86, arguments: [], stackTop: STACK_TOP });
    const before = processor.get('esp');
    expect(processor.run({ breakpoints: [addresses.x64] })).toMatchObject({ reason: 'breakpoint' });
    expect(processor.bits).toBe(64);
    expect(processor.ring).toBe(3);
    expect(processor.run({ breakpoints: [addresses.x86 + 7n] })).toMatchObject({ reason: 'breakpoint' });
    expect(processor.bits).toBe(32);
    expect(processor.get('esp')).toBe(before);
    expect(processor.run().reason).toBe('returned');
    expect(x86.result(processor)).toBe(1n);
  });

  test('cannot touch kernel pages, and has a thread block behind fs', async () => {
    const { machine, processor, addresses, space } = await process({
      x86: 'mov eax, dword ptr fs:[0x18]\nret',
      x64: 'mov rax, qword ptr [rcx]\nret',
    });
    using _machine = machine;
    space.writeU32(STACK + 0x18n, 0x1234);
    processor.setMode(3, 32);
    processor.set('fs.base', STACK);
    x86.prepareCall(processor, { target: addresses.x86, arguments: [], stackTop: STACK_TOP });
    expect(processor.run().reason).toBe('returned');
    expect(x86.result(processor)).toBe(0x1234n);

    processor.setMode(3, 64);
    machine.architecture.prepareCall(processor, {
      target: addresses.x64,
      arguments: [KERNEL],
      stackTop: STACK_TOP,
    });
    expect(processor.run()).toMatchObject({ reason: 'fault', fault: { address: KERNEL, cause: 'ring' } });
  });
});

test.each([
  [0, 64],
  [3, 64],
  [3, 32],
] as const)('registers keep their values when the mode becomes ring %i, %i bits', (ring, bits) => {
  using machine = Machine.create({ architecture: 'x64', memorySize: 1 << 20 });
  const processor = machine.processor(0);
  const values = new Map<string, bigint>();
  for (const [index, name] of ['rax', 'rbx', 'rsp', 'rip', 'r15', 'xmm3', 'gs.base', 'fs.base'].entries()) {
    values.set(name, BigInt(index + 1) * 0x1111n);
    processor.set(name, BigInt(index + 1) * 0x1111n);
  }
  processor.set('rflags', 0x8d7n);
  for (const [otherRing, otherBits] of [
    [ring, bits],
    [0, 64],
    [ring, bits],
  ] as const) {
    processor.setMode(otherRing, otherBits);
    expect([processor.ring, processor.bits]).toEqual([otherRing, otherBits]);
    for (const [name, value] of values) expect([name, processor.get(name)]).toEqual([name, value]);
    expect(processor.get('rflags') & 0x8d5n).toBe(0x8d5n);
  }
});

test('ARM64 registers keep their values when the mode changes, and user mode has no privileges', async () => {
  using machine = Machine.create({ architecture: 'arm64', memorySize: 1 << 20 });
  const processor = machine.processor(0);
  for (const [index, name] of ['x0', 'x30', 'sp', 'pc', 'q3'].entries())
    processor.set(name, BigInt(index + 1) * 16n);
  for (const ring of [3, 0, 3] as const) {
    processor.ring = ring;
    expect(processor.ring).toBe(ring);
    for (const [index, name] of ['x0', 'x30', 'sp', 'pc', 'q3'].entries()) {
      expect([name, processor.get(name)]).toEqual([name, BigInt(index + 1) * 16n]);
    }
  }
});
