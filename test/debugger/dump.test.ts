import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Lab, type LoadedImage, ModernEngine, type Process } from 'hotpatch-lab';
import { readMinidump, readRawMemory, type ScanVerdict, scanMemory } from 'hotpatch-lab/image';
import { afterAll, describe, expect, it } from 'vitest';
import { captureKernel, captureProcess } from '../../debugger/index.js';
import { fixture } from '../support.js';

const work = mkdtempSync(join(tmpdir(), 'hotpatch-dump-'));
afterAll(() => rmSync(work, { recursive: true }));

const ARCHITECTURES = ['x64', 'arm64', 'x86'] as const;
type ArchitectureName = (typeof ARCHITECTURES)[number];
const MOMENT = { scenario: 'test' };
const PATCHED = ['copy_name', 'dispatch', 'hp_entry', 'leaf_opaque', 'new_leaf'];

/** A process with demo.dll, patched, and a thread that stands in it. */
function start(architecture: ArchitectureName, patched = true) {
  const lab = Lab.boot({ architecture, processors: 2 });
  const process = lab.createProcess('mail.exe');
  lab.addFile(fixture(`${architecture}/hpimport.dll`));
  const demo = lab.loadDll(process, fixture(`${architecture}/base/demo.dll`));
  const patch = patched ? lab.loadHotPatch(fixture(`${architecture}/patch/demo_hp.dll`)) : undefined;
  const thread = process.createThread(demo.symbol('fib'), [10]);
  lab.run({ until: thread.reaches(demo.symbol('fib')) });
  return { lab, process, demo, patch, thread, [Symbol.dispose]: () => lab[Symbol.dispose]() };
}

/** What the engine says is redirected in an image: its own undo table. */
function redirected(lab: Lab, image: LoadedImage): number[] {
  if (!(lab.engine instanceof ModernEngine)) throw new Error('the modern engine is meant');
  return [...lab.engine.record(image).undo].map(([, { rva }]) => rva).sort((a, b) => a - b);
}

const findingsOf = (dump: Parameters<typeof scanMemory>[0], name: string) => {
  const scanned = scanMemory(dump).find(({ module }) => module.name.endsWith(name));
  expect(scanned?.problem).toBeUndefined();
  return scanned?.findings ?? [];
};

describe.each(ARCHITECTURES)('a minidump of a process on %s', (architecture) => {
  it('is a file of header, directory and streams, with all memory at its end', () => {
    using machine = start(architecture);
    const { bytes } = captureProcess(machine.lab, machine.process, MOMENT);
    const view = new DataView(bytes.buffer);
    expect(Buffer.from(bytes.subarray(0, 4)).toString()).toBe('MDMP');
    expect(view.getUint16(4, true)).toBe(0xa793);
    const streams = new Map<number, { size: number; rva: number }>();
    for (let index = 0; index < view.getUint32(8, true); index++) {
      const at = view.getUint32(12, true) + 12 * index;
      const [type, size, rva] = [0, 4, 8].map((field) => view.getUint32(at + field, true));
      streams.set(type ?? 0, { size: size ?? 0, rva: rva ?? 0 });
      expect((rva ?? 0) + (size ?? 0)).toBeLessThanOrEqual(bytes.length);
    }
    expect([...streams.keys()].sort((a, b) => a - b)).toEqual([3, 4, 7, 9, 15, 16]);
    // Memory64List: as many bytes behind BaseRva as its ranges say, and each page as the process has it.
    const list = streams.get(9)?.rva ?? 0;
    const count = Number(view.getBigUint64(list, true));
    let at = Number(view.getBigUint64(list + 8, true));
    const { addressSpace } = machine.process;
    for (let index = 0; index < count; index++) {
      const address = view.getBigUint64(list + 16 + 16 * index, true);
      const size = Number(view.getBigUint64(list + 24 + 16 * index, true));
      for (let page = 0; page < size; page += 0x1000) {
        const found = Buffer.from(bytes.subarray(at + page, at + page + 0x1000));
        expect(found.equals(Buffer.from(addressSpace.read(address + BigInt(page), 0x1000)))).toBe(true);
      }
      at += size;
    }
    expect(at).toBe(bytes.length);
    // The thread: its id, and the program counter in its CONTEXT, at the offset of winnt.h.
    const threads = streams.get(3)?.rva ?? 0;
    expect(view.getUint32(threads, true)).toBe(1);
    expect(view.getUint32(threads + 4, true)).toBe(machine.thread.id);
    const context = view.getUint32(threads + 4 + 44, true);
    const pc = { x64: 0xf8, arm64: 0x108, x86: 0xb8 }[architecture];
    const value =
      architecture === 'x86'
        ? BigInt(view.getUint32(context + pc, true))
        : view.getBigUint64(context + pc, true);
    expect(value).toBe(machine.demo.symbol('fib'));
    // The stack, where the file says that it is.
    const [stack, stackSize, stackRva] = [threads + 4 + 24, threads + 4 + 32, threads + 4 + 36];
    expect(view.getBigUint64(stack, true)).toBe(machine.thread.sp);
    const inFile = bytes
      .subarray(view.getUint32(stackRva, true))
      .subarray(0, view.getUint32(stackSize, true));
    expect(Buffer.from(inFile)).toEqual(Buffer.from(addressSpace.read(machine.thread.sp, inFile.length)));
  });

  it('is read by LLVM', ({ skip }) => {
    if (spawnSync('obj2yaml', ['--version']).status !== 0) skip();
    using machine = start(architecture);
    const file = join(work, `${architecture}.dmp`);
    writeFileSync(file, captureProcess(machine.lab, machine.process, MOMENT).bytes);
    const { stdout, status } = spawnSync('obj2yaml', [file], { encoding: 'utf8', maxBuffer: 1 << 26 });
    expect(status).toBe(0);
    expect(stdout).toContain(
      `Processor Arch:  ${{ x64: 'AMD64', arm64: 'ARM64', x86: 'X86' }[architecture]}`,
    );
    for (const { dllBase, baseDllName } of machine.process.images) {
      expect(stdout).toContain(`Base of Image:   0x${dllBase.toString(16).toUpperCase()}`);
      expect(stdout).toContain(`Module Name:     'C:\\Windows\\System32\\${baseDllName}'`);
    }
    expect(stdout).toContain(`Thread Id:       0x${machine.thread.id.toString(16).toUpperCase()}`);
  });

  it('is read by the package minidump of PyPI', ({ skip }) => {
    // It knows no ARM64 (version 0.0.24).
    if (architecture === 'arm64' || spawnSync('python3', ['-c', 'import minidump']).status !== 0) skip();
    using machine = start(architecture);
    const file = join(work, `${architecture}-python.dmp`);
    writeFileSync(file, captureProcess(machine.lab, machine.process, MOMENT).bytes);
    const script = `
import json, sys
from minidump.minidumpfile import MinidumpFile
dump = MinidumpFile.parse(sys.argv[1])
reader = dump.get_reader()
print(json.dumps({
  'modules': [[m.name, m.baseaddress, m.size] for m in dump.modules.modules],
  'threads': [t.ThreadId for t in dump.threads.threads],
  'code': reader.read(int(sys.argv[2]), 32).hex()}))
`;
    const entry = machine.demo.symbol('hp_entry');
    const { stdout, stderr } = spawnSync('python3', ['-c', script, file, `${entry}`], { encoding: 'utf8' });
    expect(stdout, stderr).not.toBe('');
    expect(JSON.parse(stdout)).toEqual({
      modules: machine.process.images.map(({ baseDllName, dllBase, sizeOfImage }) => [
        `C:\\Windows\\System32\\${baseDllName}`,
        Number(dllBase),
        sizeOfImage,
      ]),
      threads: [machine.thread.id],
      code: Buffer.from(machine.process.addressSpace.read(entry, 32)).toString('hex'),
    });
  });

  it('shows exactly the functions that are patched, and none when it is taken back or was never', () => {
    using machine = start(architecture);
    const { lab, process, demo, patch } = machine;
    const scan = (name = 'demo.dll') =>
      findingsOf(readMinidump(captureProcess(lab, process, MOMENT).bytes), name);
    const expected = redirected(lab, demo);
    expect(expected.length).toBeGreaterThanOrEqual(PATCHED.length);
    expect(scan().map(({ rva, verdict, shape }) => [rva, verdict, shape])).toEqual(
      expected.map((rva) => [rva, 'hotpatch', 'slot']),
    );
    expect(scan('hpimport.dll')).toEqual([]);
    // Backward functions of the patch image lead into its base.
    const backward = scan('demo_hp.dll');
    expect(backward.length).toBeGreaterThan(0);
    for (const { verdict, into } of backward)
      expect([verdict, into]).toEqual(['hotpatch', expect.stringContaining('demo.dll')]);
    if (patch !== undefined) lab.engine.unload(patch);
    expect(scan().filter(({ verdict }) => verdict !== 'reverted')).toEqual([]);
    using fresh = start(architecture, false);
    const { bytes } = captureProcess(fresh.lab, fresh.process, MOMENT);
    for (const { findings, problem } of scanMemory(readMinidump(bytes)))
      expect([findings, problem]).toEqual([[], undefined]);
  });

  it('says in its description what is there', () => {
    using machine = start(architecture);
    const { description } = captureProcess(machine.lab, machine.process, MOMENT);
    const { modules, patches } = description as {
      modules: {
        name: string;
        hpat: { slots: { function: string; leadsTo: string; inForce: boolean }[] };
        undoTable: { rva: number; entryBytes: string }[];
      }[];
      patches: { name: string; state: string; sequenceNumber: number }[];
    };
    const demo = modules.find(({ name }) => name === 'demo.dll');
    expect(demo?.undoTable.map(({ rva }) => rva).sort((a, b) => a - b)).toEqual(
      redirected(machine.lab, machine.demo),
    );
    expect(demo?.hpat.slots).toContainEqual(
      expect.objectContaining({ function: 'demo!hp_entry', leadsTo: 'demo_hp!hp_entry', inForce: true }),
    );
    const [{ entryBytes } = { entryBytes: '' }] = demo?.undoTable ?? [];
    expect(entryBytes).toHaveLength(architecture === 'arm64' ? 8 : 4);
    expect(patches).toMatchObject([{ name: 'demo_hp.dll', state: 'applied', sequenceNumber: 1 }]);
  });
});

const u32 = (value: bigint | number) => {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32LE(Number(BigInt.asIntN(32, BigInt(value))));
  return [...bytes];
};
const u64 = (value: bigint) => [...u32(value & 0xffff_ffffn), ...u32(value >> 32n)];
const words = (...values: number[]) => values.flatMap((value) => u32(value));

type Hook = (entry: bigint, target: bigint) => { at?: bigint; bytes: number[] };
const near: Hook = (entry, target) => ({ bytes: [0xe9, ...u32(target - entry - 5n)] });
const padded: Hook = (entry, target) => ({
  at: entry - 5n,
  bytes: [0xe9, ...u32(target - entry), 0xeb, 0xf9],
});

const HOOKS: readonly (readonly [ArchitectureName, string, Hook])[] = [
  ['x64', 'jmp rel32', near],
  ['x64', 'jmp short; jmp in the padding', padded],
  ['x64', 'jmp [slot]', (_, target) => ({ bytes: [0xff, 0x25, 0, 0, 0, 0, ...u64(target)] })],
  [
    'x64',
    'mov register, imm64; jmp register',
    (_, target) => ({ bytes: [0x48, 0xb8, ...u64(target), 0xff, 0xe0] }),
  ],
  [
    'x64',
    'mov register, imm64; jmp register',
    (_, target) => ({ bytes: [0x49, 0xbb, ...u64(target), 0x41, 0xff, 0xe3] }),
  ],
  ['x64', 'int3', () => ({ bytes: [0xcc] })],
  ['x86', 'jmp rel32', near],
  ['x86', 'jmp short; jmp in the padding', padded],
  ['x86', 'push imm32; ret', (_, target) => ({ bytes: [0x68, ...u32(target), 0xc3] })],
  [
    'x86',
    'mov register, imm32; jmp register',
    (_, target) => ({ bytes: [0xb8, ...u32(target), 0xff, 0xe0] }),
  ],
  [
    'arm64',
    'b',
    (entry, target) => ({ bytes: words(0x1400_0000 + Number(BigInt.asUintN(26, (target - entry) >> 2n))) }),
  ],
  [
    'arm64',
    'ldr register, literal; br register',
    (_, target) => ({ bytes: [...words(0x5800_0051, 0xd61f_0220), ...u64(target)] }),
  ],
];

describe('what other hooks leave', () => {
  const verdicts = (lab: Lab, process: Process, at: bigint): [ScanVerdict, string, string | undefined][] => {
    const { bytes } = captureProcess(lab, process, MOMENT);
    return findingsOf(readMinidump(bytes), 'demo.dll')
      .filter(({ address }) => address === at)
      .map(({ verdict, shape, target }) => [
        verdict,
        shape,
        target === undefined ? undefined : `0x${target.toString(16)}`,
      ]);
  };

  it.each(HOOKS)('%s: %s is a hook, not a hotpatch', (architecture, shape, hook) => {
    using machine = start(architecture, false);
    const { lab, process, demo } = machine;
    const entry = demo.symbol('hp_entry');
    // In memory of its own beside the image, as hook libraries allocate it.
    const target = lab.allocateCode(new Uint8Array(16), { domain: process });
    const nearTarget = demo.dllBase - 0x2000n;
    const reach =
      shape.startsWith('jmp rel32') || shape.startsWith('jmp short') || shape === 'b' ? nearTarget : target;
    const { at = entry, bytes } = hook(entry, reach);
    demo.domain.machine.writeCode(process.addressSpace, at, Uint8Array.from(bytes));
    const hasTarget = shape !== 'int3';
    expect(verdicts(lab, process, entry)).toEqual([
      ['hook', shape, hasTarget ? `0x${reach.toString(16)}` : undefined],
    ]);
  });

  it.each(ARCHITECTURES)(
    '%s: a slot that looks like the system’s but leads nowhere near a patch is unverified',
    (architecture) => {
      using machine = start(architecture);
      const { lab, process, demo } = machine;
      const [, undo] = [...(lab.engine as ModernEngine).record(demo).undo][0] ?? [];
      const { hpat } = demo;
      if (undo === undefined || hpat === undefined) throw new Error('nothing is patched');
      const bytes = Uint8Array.from(u64(demo.dllBase - 0x2000n));
      demo.domain.machine.writeCode(process.addressSpace, hpat.dataSlot(0), bytes);
      expect(verdicts(lab, process, demo.address(undo.rva))[0]?.[0]).toBe('unverified');
    },
  );

  it.each(ARCHITECTURES)('%s: an import that leads out of its module', (architecture) => {
    using machine = start(architecture);
    const { lab, process, demo } = machine;
    const [slot] = demo.imports.filter(({ module }) => module.toLowerCase() === 'hpimport.dll');
    if (slot === undefined) throw new Error('demo.dll imports nothing');
    demo.writePointer(slot.iatRva, demo.dllBase - 0x2000n);
    const found = findingsOf(readMinidump(captureProcess(lab, process, MOMENT).bytes), 'demo.dll');
    expect(found.filter(({ verdict }) => verdict === 'import')).toMatchObject([
      { rva: slot.iatRva, name: `hpimport.dll!${slot.name}` },
    ]);
  });
});

describe('raw memory of the kernel', () => {
  const BOOTS = [
    ['x64', {}, 'slot'],
    ['x64', { retpoline: true }, 'retpoline'],
    ['x64', { windowsBuild: 26100, retpoline: true }, 'retpoline'],
    ['x64', { hpatLayout: 'pointers' }, 'pointers'],
    ['arm64', {}, 'slot'],
  ] as const;

  it.each(BOOTS)('%s %j: a driver’s hotpatch is found by its %s', (architecture, options, shape) => {
    using lab = Lab.boot({ architecture, ...options });
    const driver = lab.loadDriver(fixture(`${architecture}/base/packets.sys`));
    lab.loadHotPatch(fixture(`${architecture}/patch/packets_hp.sys`));
    const { bytes, description } = captureKernel(lab, MOMENT);
    const dump = readRawMemory(bytes, JSON.parse(JSON.stringify(description)));
    expect(Buffer.from(dump.read(driver.dllBase, 0x1000))).toEqual(
      Buffer.from(lab.kernel.system.addressSpace.read(driver.dllBase, 0x1000)),
    );
    expect(findingsOf(dump, 'packets.sys').map(({ rva, verdict, shape: as }) => [rva, verdict, as])).toEqual(
      redirected(lab, driver).map((rva) => [rva, 'hotpatch', shape]),
    );
  });
});

describe('a dump that is broken', () => {
  const whole = () => {
    using machine = start('x64');
    return captureProcess(machine.lab, machine.process, MOMENT).bytes;
  };

  it('ends with an error that names the place, wherever it is cut', () => {
    const bytes = whole();
    const lengths = [4, 16, 31, 60, 120, 500, 2000, 0x5000, bytes.length - 1];
    for (const length of lengths)
      expect(() => readMinidump(bytes.slice(0, length), { file: 'cut.dmp' }), `${length}`).toThrow(
        /cut\.dmp: minidump/,
      );
  });

  it('never throws anything but an error of its format', () => {
    const bytes = whole();
    let state = 7;
    const random = (below: number) => {
      state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
      return state % below;
    };
    for (let round = 0; round < 60; round++) {
      const damaged = bytes.slice();
      for (let change = 0; change < 4; change++) damaged[random(0x600)] = random(256);
      try {
        scanMemory(readMinidump(damaged));
      } catch (error) {
        expect(error).toMatchObject({ name: 'ImageError' });
      }
    }
  });

  it.each([
    [{}, /not of the format/],
    [null, /not of the format/],
    [
      {
        format: 'hotpatch-lab memory 1',
        architecture: 'x64',
        modules: [],
        regions: [{ address: '0x1', size: 9, offset: 0 }],
      },
      /region 0/,
    ],
    [
      {
        format: 'hotpatch-lab memory 1',
        architecture: 'x64',
        modules: [{ name: 'a', size: 1, checkSum: 0, timeDateStamp: 0 }],
        regions: [],
      },
      /no address/,
    ],
    [{ format: 'hotpatch-lab memory 1', architecture: 'vax', modules: [], regions: [] }, /not of the format/],
  ])('a description that is none: %j', (description, message) => {
    expect(() => readRawMemory(new Uint8Array(8), description)).toThrow(message);
  });
});
