import { describe, expect, it } from 'vitest';
import { Kernel, RETPOLINE_ROUTINES } from '../../loader/index.js';
import { ARCHITECTURES, boot, builder, described, KERNEL_ARCHITECTURES, returning } from './support.js';

describe('boot', () => {
  it.each([
    [{}, /VBS on; HotPatchTableSize 0x1000: 0x2000 bytes reserved/, true],
    [{ hotPatchTableSize: 0x2001 }, /0x6000 bytes reserved/, true],
    [{ hotPatchTableSize: 0 }, /hotpatching is disabled/, false],
    [{ vbs: false }, /VBS off; .*hotpatching is disabled without virtualization-based security/, false],
    [{ retpoline: true }, /retpoline is on/, true],
    [{ hpatLayout: 'pointers' }, /plain array of pointers/, true],
  ] as const)('with %j says what it decided', (options, text, enabled) => {
    using kernel = Kernel.boot({ architecture: 'x64', ...options });
    expect(kernel.events.toString()).toMatch(text);
    expect(kernel.hotPatchingEnabled).toBe(enabled);
    expect(kernel.hotPatchProcess !== undefined).toBe(enabled);
    expect(kernel.events.toString().includes('phase 1: the minimal process HotPatch')).toBe(enabled);
    expect(kernel.secureKernel !== undefined).toBe(kernel.boot.vbs);
    const { vbs, retpoline, hotPatchReserveSize } = kernel.boot;
    expect(kernel.events.all[0]).toMatchObject({
      kind: 'booted',
      vbs,
      retpoline,
      hotPatchReserveSize,
      hotPatchingEnabled: enabled,
    });
  });

  it('keeps its decisions in the registry', () => {
    using kernel = Kernel.boot({ architecture: 'arm64', hotPatchTableSize: 0x3000, vbs: false });
    const values = [...kernel.boot.registry].flatMap(([key, entries]) =>
      [...entries].map(([name, value]) => `${key.split('\\').at(-1)}\\${name}=${value}`),
    );
    expect(values).toEqual([
      'Memory Management\\HotPatchTableSize=12288',
      'DeviceGuard\\EnableVirtualizationBasedSecurity=0',
    ]);
  });

  it('leaves no process but the minimal ones', () => {
    using kernel = Kernel.boot({ architecture: 'x64' });
    expect(kernel.processes.map(({ name, minimal, session }) => [name, minimal, session])).toEqual([
      ['System', true, undefined],
      ['HotPatch', true, undefined],
    ]);
  });
});

describe('where the HPAT lies', () => {
  it('is behind the end rounded up to 2 MB for a driver with large pages', () => {
    using kernel = boot('x64');
    const driver = kernel.loadImage(described('x64/base/packets.sys')[0], { largePages: true });
    expect(driver.dllBase % 0x200000n).toBe(0n);
    expect(driver.hpat?.base).toBe(driver.dllBase + 0x200000n);
    expect(kernel.system.table.query(driver.hpat?.base ?? 0n).state).toBe('reserved');
    expect(kernel.system.table.query(driver.dllBase + 0x100000n).state).toBe('free');
    expect(kernel.describe((driver.hpat?.base ?? 0n) + 8n)).toBe('packets!HPAT[1].code');
  });

  it('is before the retpoline page', () => {
    using kernel = boot('x64', { retpoline: true, hotPatchTableSize: 0x2000 });
    const driver = kernel.loadImage(...described('x64/base/packets.sys'));
    const hpat = driver.hpat?.base ?? 0n;
    expect(hpat).toBe(driver.dllBase + BigInt(driver.sizeOfImage));
    expect(driver.retpolinePage).toBe(hpat + 0x4000n);
    expect(driver.jumpHpat).toBe(hpat + 0x4000n + BigInt(RETPOLINE_ROUTINES.jumpHpat));
    expect(kernel.system.table.query(driver.retpolinePage ?? 0n).protection).toBe('PAGE_EXECUTE_READ');
    const dll = kernel.createProcess({ name: 'a.exe' }).loadImage(...described('x64/base/demo.dll'));
    expect(dll.retpolinePage).toBeUndefined();
  });

  it.each(ARCHITECTURES)('is nowhere without a HotPatchTableSize, on %s', (architecture) => {
    using kernel = boot(architecture, { hotPatchTableSize: 0 });
    const dll = kernel
      .createProcess({ name: 'a.exe' })
      .loadImage(...described(`${architecture}/base/demo.dll`));
    expect(dll.hpat).toBeUndefined();
    const end = dll.dllBase + BigInt(dll.sizeOfImage);
    expect(dll.domain.table.query(end).state).toBe('free');
  });

  it('can be far from other images', () => {
    using kernel = boot('x64');
    const far = 0xfffff870_00000000n;
    const driver = kernel.loadImage(described('x64/base/packets.sys')[0], { dllBase: far });
    expect(driver.dllBase).toBe(far);
    expect(kernel.call64(driver.address(driver.exportRva('PacketsSeen') ?? 0)) & 0xffffffffn).toBe(0n);
  });
});

describe('the retpoline page', () => {
  /** `int f(void)`: calls `target` the way that MSVC lays out each kind of branch for retpoline. */
  const CALLS = {
    importCall: { bytes: [0x48, 0xff, 0x15, 0, 0, 0, 0, 0x0f, 0x1f, 0x44, 0, 0], symbol: 3 },
    indirectCall: { bytes: [0xff, 0xd0, 0x0f, 0x1f, 0x00], symbol: 4 },
  } as const;

  it.each(Object.keys(CALLS) as (keyof typeof CALLS)[])('takes over an %s', (kind) => {
    const { bytes, symbol } = CALLS[kind];
    // sub rsp, 28h; mov rax, [rip+slot]; <branch>; add rsp, 28h; ret
    const code = [
      0x48,
      0x83,
      0xec,
      0x28,
      0x48,
      0x8b,
      0x05,
      0,
      0,
      0,
      0,
      ...bytes,
      0x48,
      0x83,
      0xc4,
      0x28,
      0xc3,
    ];
    const BRANCH = 11;
    const dvrt = (rva: number) => {
      const entrySize = symbol === 3 ? 4 : 2;
      const table = new Uint8Array(8 + 12 + 8 + 4);
      const view = new DataView(table.buffer);
      view.setUint32(0, 1, true);
      view.setUint32(4, 12 + 8 + 4, true);
      view.setBigUint64(8, BigInt(symbol), true);
      view.setUint32(16, 8 + 4, true);
      view.setUint32(20, rva & ~0xfff, true);
      view.setUint32(24, 8 + 4, true);
      if (entrySize === 4) view.setUint32(28, (rva & 0xfff) | 0x1000, true);
      else view.setUint16(28, (rva & 0xfff) | 0x1000, true);
      return table;
    };
    const { image } = builder('x64', { subsystem: 'NATIVE', name: 'retpoline.sys', dll: false })
      .import('ntoskrnl.exe', ['KeGetCurrentIrql'])
      .code('f', (layout) => {
        const whole = Uint8Array.from(code);
        const view = new DataView(whole.buffer);
        const slot = layout.rva('__imp_KeGetCurrentIrql');
        view.setInt32(7, slot - (layout.rva('f') + 11), true);
        if (kind === 'importCall') view.setInt32(BRANCH + 3, slot - (layout.rva('f') + BRANCH + 7), true);
        return whole;
      })
      .export('f')
      .data('dvrt', (layout) => dvrt(layout.rva('f') + BRANCH), { section: '.rdata' })
      .loadConfig({ dynamicValueRelocTable: 'dvrt' })
      .build();
    const results = [false, true].map((retpoline) => {
      using kernel = boot('x64', { retpoline });
      const driver = kernel.loadImage(image);
      const thread = kernel.callThread(driver.symbol('f'), [], { irql: 1 });
      return {
        result: thread.result,
        longer: thread.instructions,
        opcode:
          driver.codeBytes()[
            driver.rva(driver.symbol('f')) + BRANCH + (kind === 'importCall' ? 7 : 0) - 0x1000
          ],
      };
    });
    expect(results.map(({ result }) => result)).toEqual([1, 1]);
    expect(results[0]?.opcode).not.toBe(0xe8);
    expect(results[1]?.opcode).toBe(0xe8);
    expect(results[1]?.longer).toBeGreaterThan(results[0]?.longer ?? 0);
  });
});

describe('a switch table with retpoline', () => {
  /**
   * `int f(int n)`: `lea rax, [rip+cases]; lea rax, [rax+rcx*8]; jmp rax` with padding, then four cases of eight bytes.
   * The jump through a register is what symbol 5 lists.
   */
  const JUMP = 11;
  const CASES = 16;
  const code = Uint8Array.of(
    ...[0x48, 0x8d, 0x05, CASES - 7, 0, 0, 0],
    ...[0x48, 0x8d, 0x04, 0xc8],
    ...[0xff, 0xe0, 0xcc, 0xcc, 0xcc],
    ...[0, 1, 2, 3].flatMap((n) => [0xb8, 100 + n, 0, 0, 0, 0xc3, 0xcc, 0xcc]),
  );

  /** IMAGE_DYNAMIC_RELOCATION_TABLE with one IMAGE_SWITCHTABLE_BRANCH_DYNAMIC_RELOCATION (winnt.h): offset, register. */
  function table(rva: number, register: number) {
    const bytes = new Uint8Array(8 + 12 + 8 + 4);
    const view = new DataView(bytes.buffer);
    view.setUint32(0, 1, true);
    view.setUint32(4, 12 + 8 + 4, true);
    view.setBigUint64(8, 5n, true);
    view.setUint32(16, 8 + 4, true);
    view.setUint32(20, rva & ~0xfff, true);
    view.setUint32(24, 8 + 4, true);
    view.setUint16(28, (rva & 0xfff) | (register << 12), true);
    return bytes;
  }

  const switching = (body: Uint8Array, register = 0) =>
    builder('x64', { subsystem: 'NATIVE', name: 'switch.sys', dll: false })
      .code('f', body)
      .export('f')
      .data('dvrt', (layout) => table(layout.rva('f') + JUMP, register), { section: '.rdata' })
      .loadConfig({ dynamicValueRelocTable: 'dvrt' })
      .build().image;

  it.each([false, true])('leads to the same cases (retpoline %s)', (retpoline) => {
    using kernel = boot('x64', { retpoline });
    const driver = kernel.loadImage(switching(code));
    const f = driver.symbol('f');
    const results = [0, 1, 2, 3].map((n) => kernel.call64(f, [n]) & 0xffffffffn);
    expect(results).toEqual([100n, 101n, 102n, 103n]);
    const branch = kernel.system.addressSpace.read(f + BigInt(JUMP), 5);
    if (!retpoline) expect([...branch]).toEqual([0xff, 0xe0, 0xcc, 0xcc, 0xcc]);
    else {
      expect(branch[0]).toBe(0xe9);
      const target = f + BigInt(JUMP + 5 + new DataView(branch.buffer).getInt32(1, true));
      expect(target - (driver.retpolinePage ?? 0n)).toBe(BigInt(RETPOLINE_ROUTINES.switchtableJump(0)));
    }
  });

  it('goes through the routine of the register that the jump uses', () => {
    // The same through r9: lea r9, [rip+…]; lea r9, [r9+rcx*8]; jmp r9 (three bytes).
    const r9 = code.slice();
    r9.set([0x4c, 0x8d, 0x0d, CASES - 7, 0, 0, 0, 0x4d, 0x8d, 0x0c, 0xc9, 0x41, 0xff, 0xe1, 0xcc, 0xcc]);
    using kernel = boot('x64', { retpoline: true });
    const driver = kernel.loadImage(switching(r9, 9));
    expect(kernel.call64(driver.symbol('f'), [2]) & 0xffffffffn).toBe(102n);
    const visited = driver.codeBytes()[driver.rva(driver.symbol('f')) + JUMP - 0x1000];
    expect(visited).toBe(0xe9);
  });

  it('is refused when there is no padding behind the jump', () => {
    using kernel = boot('x64', { retpoline: true });
    const tight = code.slice();
    tight.set([0xc3, 0xc3, 0xc3], JUMP + 2);
    expect(() => kernel.loadImage(switching(tight))).toThrow(/no padding behind the branch/);
    expect(kernel.system.images).toEqual([]);
  });
});

describe.each(KERNEL_ARCHITECTURES)('protected code on %s', (architecture) => {
  const load = (vbs: boolean) => {
    const kernel = boot(architecture, { vbs });
    const driver = kernel.loadImage(...described(`${architecture}/base/packets.sys`));
    return { kernel, driver, [Symbol.dispose]: () => kernel[Symbol.dispose]() };
  };

  it('may be changed by the Secure Kernel', () => {
    using machine = load(true);
    const { kernel, driver } = machine;
    expect(kernel.patchGuard.pages).toBeGreaterThan(0);
    driver.domain.writer.writeCode(driver.symbol('Checksum'), returning(architecture, 3));
    kernel.patchGuard.check();
    expect(kernel.call64(driver.symbol('Checksum')) & 0xffffffffn).toBe(3n);
  });

  it.each([
    [true, /HYPERGUARD_VIOLATION 0x18c .*packets!Checksum/],
    [false, /CRITICAL_STRUCTURE_CORRUPTION 0x109 .*packets!Checksum/],
  ])('stops the system when anybody else changed it (VBS %s)', (vbs, message) => {
    using machine = load(vbs);
    const { kernel, driver } = machine;
    kernel.machine.writeCode(driver.domain.addressSpace, driver.symbol('Checksum'), Uint8Array.of(0x55), {
      writer: 'alias',
    });
    expect(() => kernel.patchGuard.check()).toThrow(message);
    kernel.patchGuard.interval = 1;
    expect(() => kernel.call64(driver.symbol('PacketsSeen'))).toThrow(message);
  });

  it('is looked at without anybody asking, every 65,536 ticks', () => {
    using machine = load(true);
    const { kernel, driver } = machine;
    const { image } = builder(architecture, { subsystem: 'NATIVE', name: 'busy.sys' })
      .code('busy', counting(architecture))
      .export('busy')
      .build();
    const busy = kernel.loadImage(image).symbol('busy');
    kernel.machine.writeCode(driver.domain.addressSpace, driver.symbol('Checksum'), Uint8Array.of(0x55), {
      writer: 'alias',
    });
    kernel.call64(busy, [0x7000n]);
    expect(() => kernel.call64(busy, [0x1000n])).toThrow(/HYPERGUARD_VIOLATION 0x18c .*packets!Checksum/);
  });

  it('cannot be written by VTL0 with VBS, even where its page table would allow it', () => {
    for (const [vbs, cause] of [
      [true, 'secondLevel'],
      [false, undefined],
    ] as const) {
      using machine = load(vbs);
      const { kernel, driver } = machine;
      const page = driver.symbol('Checksum') & ~0xfffn;
      kernel.system.table.protect(page, 1, 'PAGE_READWRITE');
      const memset = kernel.services.address('ntoskrnl.exe', 'memset');
      expect(memset).toBeGreaterThan(0n);
      const { image } = builder(architecture, { subsystem: 'NATIVE', name: 'attacker.sys' })
        .code('attack', storing(architecture))
        .export('attack')
        .build();
      const attack = kernel.loadImage(image).symbol('attack');
      if (cause === undefined) kernel.call64(attack, [page]);
      else expect(() => kernel.call64(attack, [page])).toThrow(/access violation: write .*secondLevel/);
      kernel.system.table.protect(page, 1, 'PAGE_EXECUTE_READ');
      if (cause === undefined) expect(() => kernel.patchGuard.check()).toThrow(/0x109/);
      else kernel.patchGuard.check();
    }
  });
});

/** Two instructions for each of so many rounds: `do ; while (--n)`. */
function counting(architecture: 'x64' | 'arm64'): Uint8Array {
  if (architecture === 'x64') return Uint8Array.of(0xff, 0xc9, 0x75, 0xfc, 0xc3); // dec ecx; jnz; ret
  return new Uint8Array(Uint32Array.of(0x71000400, 0x54ffffe1, 0xd65f03c0).buffer); // subs w0, w0, #1; b.ne; ret
}

/** `void f(char *p) { *p = 1; }` */
function storing(architecture: 'x64' | 'arm64'): Uint8Array {
  if (architecture === 'x64') return Uint8Array.of(0xc6, 0x01, 0x01, 0xc3); // mov byte [rcx], 1; ret
  const bytes = new Uint8Array(12);
  const view = new DataView(bytes.buffer);
  [0x52800021, 0x39000001, 0xd65f03c0].forEach((word, i) => {
    view.setUint32(4 * i, word, true); // mov w1, #1; strb w1, [x0]; ret
  });
  return bytes;
}
