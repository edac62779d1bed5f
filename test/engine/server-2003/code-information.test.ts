import {
  CodeInformation,
  encodeCodeInfo,
  encodeHandles,
  encodeNames,
  FLG_HOTPATCH,
  type HookDescriptor,
  LDR_HOT_PATCH_ROUTINE,
} from 'hotpatch-lab/engine';
import { describe, expect, it } from 'vitest';
import { processOf } from '../../../loader/index.js';
import { buildPatch, buildTarget, type Processor, run, setSystemInformation } from './support.js';

const { ACTIVE, NAME_INFO, INJECT_THREAD, MAP_ATOMIC_SWAP, RENAME_INFO, VERIFICATION_ERROR } = FLG_HOTPATCH;
const [SUCCESS, INVALID_PARAMETER, ACCESS_VIOLATION, DATA_ERROR] = [0, 0xc000000d, 0xc0000005, 0xc000003e];
const [LENGTH_MISMATCH, NAME_NOT_FOUND, REVISION_MISMATCH] = [0xc0000004, 0xc0000034, 0xc0000059];
const NOT_FOUND = 0xc0000225;

/** A process with the module, and its hotpatch in a file. */
async function start(processor: Processor = 'x64') {
  const running = await run({ processor });
  const process = processOf(running.loaded[0]?.domain);
  const f = running.loaded[0]?.symbol('f');
  if (process === undefined || f === undefined) throw new Error('no process');
  process.enablePrivileges('SeDebugPrivilege', 'SeRestorePrivilege');
  const { pointerSize } = process.domain.architecture;
  return { running, process, f, pointerSize, [Symbol.dispose]: () => running[Symbol.dispose]() };
}

/** `mov eax, 1` of f becomes `mov eax, 7`. */
const swapOf = (f: bigint): HookDescriptor => ({
  targetAddress: f + 3n,
  code: Uint8Array.of(7, 0),
  origCode: Uint8Array.of(1, 0),
  validation: Uint8Array.of(1, 0, 0),
});

/** Fields of the structure, and of its one descriptor behind it. */
const INFO_SIZE = 4;
const COUNT = 8;
const FIRST = 0x10;
const BUFFER = 0x38 + 2 + 2 + 3;

describe('descriptors of a CodeInfo lead nowhere but into the buffer', () => {
  const set = (offset: number, value: number) => (view: DataView) => view.setUint32(offset, value, true);
  it.each([
    { what: 'as it should be', status: SUCCESS },
    { what: 'no descriptor', change: set(COUNT, 0) },
    { what: 'two, where there is one', change: set(COUNT, 2) },
    { what: 'as many as there can be', change: set(COUNT, 0xffff_ffff) },
    { what: 'an InfoSize that ends in the descriptor', change: set(INFO_SIZE, FIRST + 0x27) },
    { what: 'an InfoSize that ends before the last byte', change: set(INFO_SIZE, BUFFER - 1) },
    {
      what: 'an InfoSize behind the buffer',
      change: set(INFO_SIZE, BUFFER + 1),
      status: LENGTH_MISMATCH,
    },
    { what: 'code that ends with the buffer', change: set(FIRST + 0x10, BUFFER - 2), status: SUCCESS },
    { what: 'code that ends behind it', change: set(FIRST + 0x10, BUFFER - 1) },
    { what: 'original code that ends with it', change: set(FIRST + 0x18, BUFFER - 2), status: SUCCESS },
    { what: 'original code that ends behind it', change: set(FIRST + 0x18, BUFFER - 1) },
    { what: 'an expectation that ends behind it', change: set(FIRST + 0x1c, BUFFER - 2) },
    { what: 'an expectation that is too long', change: set(FIRST + 0x20, 4) },
    { what: 'code that is too long', change: set(FIRST + 0x14, 8) },
    { what: 'code that begins at the last address', change: set(FIRST + 0x10, 0xffff_ffff) },
  ])('$what', async ({ change, status = INVALID_PARAMETER }) => {
    using one = await start();
    const { running, process, f } = one;
    const buffer = encodeCodeInfo(ACTIVE, [swapOf(f)]);
    expect(buffer).toHaveLength(BUFFER);
    change?.(new DataView(buffer.buffer));
    const code = running.loaded[0]?.codeBytes();
    expect(setSystemInformation(process, buffer).status).toBe(status);
    if (status !== SUCCESS) expect(running.loaded[0]?.codeBytes()).toEqual(code);
  });

  it('a table that ends exactly with InfoSize, whose bytes are in it, is read', async () => {
    using one = await start();
    const { running, process, f } = one;
    const empty = { targetAddress: f, code: new Uint8Array(0), origCode: new Uint8Array(0) };
    const buffer = encodeCodeInfo(ACTIVE, [{ ...empty, validation: new Uint8Array(0) }]);
    expect(buffer).toHaveLength(FIRST + 0x28);
    expect(setSystemInformation(process, buffer).status).toBe(SUCCESS);
    expect(running.call()).toEqual([1, 1]);
  });

  it('two of them are swapped in, in their order, and out again', async () => {
    using one = await start();
    const { running, process, f } = one;
    const h = running.loaded[0]?.symbol('h') ?? 0n;
    const pair = (validation: boolean) => [
      { ...swapOf(f), validation: Uint8Array.of(validation ? 1 : 7) },
      { ...swapOf(h), origCode: Uint8Array.of(2, 0), validation: Uint8Array.of(validation ? 2 : 7, 0) },
    ];
    const events = running.lab.events.length;
    expect(setSystemInformation(process, encodeCodeInfo(ACTIVE, pair(true))).status).toBe(SUCCESS);
    expect([running.call('f'), running.call('h')]).toEqual([
      [7, 1],
      [7, 2],
    ]);
    expect(setSystemInformation(process, encodeCodeInfo(0, pair(false))).status).toBe(SUCCESS);
    expect([running.call('f'), running.call('h')]).toEqual([
      [1, 1],
      [2, 2],
    ]);
    const stores = running.lab.events.slice(events).filter(({ kind }) => kind === 'store');
    expect(stores.map(({ text }) => /of target!(\w)/.exec(text)?.[1])).toEqual(['f', 'h', 'h', 'f']);
  });

  it('all of them are compared before the first is stored', async () => {
    using one = await start();
    const { running, process, f } = one;
    const wrong = { ...swapOf(running.loaded[0]?.symbol('h') ?? 0n), validation: Uint8Array.of(2, 0, 1) };
    const before = running.loaded[0]?.codeBytes();
    const { status, flags } = setSystemInformation(process, encodeCodeInfo(ACTIVE, [swapOf(f), wrong]));
    expect({ status, flags }).toEqual({ status: DATA_ERROR, flags: (ACTIVE | VERIFICATION_ERROR) >>> 0 });
    expect(running.loaded[0]?.codeBytes()).toEqual(before);
  });
});

describe('the address of a descriptor', () => {
  const bytes = (length: number) => new Uint8Array(length);
  const descriptor = (targetAddress: bigint, code: number, validation: number): HookDescriptor => ({
    targetAddress,
    code: bytes(code),
    origCode: bytes(code),
    validation: bytes(validation),
  });
  /** Two pages of zeros with nothing behind them, and the ends of what a process can have. */
  const ADDRESSES = [
    { what: 'the first byte of a page', at: 0, code: 1, validation: 1, status: SUCCESS },
    { what: 'the last byte', at: 0x1fff, code: 1, validation: 1, status: SUCCESS },
    { what: 'the byte behind it', at: 0x2000, code: 1, validation: 1 },
    { what: 'nothing at all behind it', at: 0x2000, code: 0, validation: 0, status: SUCCESS },
    { what: 'the byte before it', at: -1, code: 1, validation: 1 },
    { what: 'bytes that begin before it', at: -1, code: 2, validation: 0 },
    { what: 'code up to its end', at: 0x1ff8, code: 8, validation: 0, status: SUCCESS },
    { what: 'code that ends behind it', at: 0x1ff8, code: 9, validation: 0 },
    { what: 'an expectation up to its end', at: 0x1ff8, code: 1, validation: 8, status: SUCCESS },
    { what: 'an expectation that ends behind it', at: 0x1ff8, code: 1, validation: 9 },
    { what: 'bytes across both pages', at: 0xffc, code: 8, validation: 8, status: SUCCESS },
  ];
  it.each(ADDRESSES)('$what', async ({ at, code, validation, status = ACCESS_VIOLATION }) => {
    using one = await start();
    const { running, process } = one;
    const { domain } = process;
    const memory = domain.allocateMemory('stacks', 0x4000);
    for (const page of [memory, memory + 0x3000n]) domain.freeMemory(page, 0x1000);
    const buffer = encodeCodeInfo(ACTIVE, [descriptor(memory + 0x1000n + BigInt(at), code, validation)]);
    expect(setSystemInformation(process, buffer).status).toBe(status);
    expect(running.call()).toEqual([1, 1]);
  });

  it('the last ones that a process can have', async () => {
    using one = await start();
    const { table } = one.process.domain;
    const { end } = table.range;
    table.commit(end - 0x1000n, 1, 'PAGE_READWRITE');
    const status = (length: number) =>
      setSystemInformation(one.process, encodeCodeInfo(ACTIVE, [descriptor(end - 8n, length, 0)])).status;
    expect([status(8), status(9)]).toEqual([SUCCESS, ACCESS_VIOLATION]);
  });

  it('the first one that a process can have', async () => {
    using one = await start();
    const { table } = one.process.domain;
    table.commit(table.range.start, 1, 'PAGE_READWRITE');
    const buffer = encodeCodeInfo(ACTIVE, [descriptor(table.range.start, 1, 1)]);
    expect(setSystemInformation(one.process, buffer).status).toBe(SUCCESS);
  });

  it.each(['kernel memory', 'an address that no process can have'] as const)('%s', async (what) => {
    using one = await start();
    const { running, process } = one;
    const { kernel } = running.lab;
    const driver = kernel.loadImage(buildTarget('x64', 'driver').image);
    const address = what === 'kernel memory' ? driver.dllBase + 0x1000n : process.domain.table.range.end;
    const buffer = encodeCodeInfo(ACTIVE, [descriptor(address, 1, 0)]);
    expect(setSystemInformation(process, buffer).status).toBe(ACCESS_VIOLATION);
    expect(driver.codeBytes()).toEqual(driver.codeBytesBeforePatch);
    expect(driver.codeBytes()[0]).not.toBe(0);
  });
});

describe.each(['x86', 'x64'] as const)('names, for an %s process', (processor) => {
  const PATH = 'C:\\WINDOWS\\hotpatch\\patch.dll';
  const NAMED = [
    { what: 'no target', names: { name: PATH } },
    { what: 'the target', names: { name: PATH, targetName: 'target.dll' } },
    { what: 'the target in other case', names: { name: PATH, targetName: 'TARGET.DLL' } },
    {
      what: 'another one’s target',
      names: { name: PATH, targetName: 'other.dll' },
      status: REVISION_MISMATCH,
    },
    { what: 'no such file', names: { name: 'C:\\absent.dll' }, status: NAME_NOT_FOUND },
  ];
  it.each(NAMED)('UserModeInfo with $what', async ({ names, status = SUCCESS }) => {
    using one = await start(processor);
    const { running, process, pointerSize } = one;
    running.lab.kernel.files.add('patch.dll', buildPatch(running.target, { processor }));
    const buffer = encodeNames(NAME_INFO + ACTIVE, names, { pointerSize });
    expect(setSystemInformation(process, buffer).status).toBe(status);
    expect(running.call()).toEqual([status === SUCCESS ? 9 : 1, 1]);
  });

  it('UserModeInfo for a module that the process does not have', async () => {
    using one = await start(processor);
    const { running, pointerSize } = one;
    running.lab.kernel.files.add('patch.dll', buildPatch(running.target, { processor }));
    const other = running.lab.createProcess({ name: 'other.exe', wow64: processor === 'x86' });
    const buffer = encodeNames(NAME_INFO + ACTIVE, { name: PATH }, { pointerSize });
    expect(setSystemInformation(other, buffer).status).toBe(NOT_FOUND);
    expect(running.call()).toEqual([1, 1]);
  });

  it('a name that leads out of the buffer is none', async () => {
    using one = await start(processor);
    const { running, process, pointerSize } = one;
    running.lab.kernel.files.add('patch.dll', buildPatch(running.target, { processor }));
    for (const [flags, path] of [NAME_INFO, INJECT_THREAD].map((flag) => [flag + ACTIVE, PATH] as const)) {
      const buffer = encodeNames(flags, { name: path }, { pointerSize });
      new DataView(buffer.buffer).setUint16(10, 2 * PATH.length + 1, true);
      expect(setSystemInformation(process, buffer).status).toBe(NAME_NOT_FOUND);
    }
    expect(running.call()).toEqual([1, 1]);
  });

  it('the pseudo handle of the current process means that process alone', async () => {
    using one = await start(processor);
    const { running, process, pointerSize } = one;
    running.lab.kernel.files.add('patch.dll', buildPatch(running.target, { processor }));
    const names = { name: PATH };
    const buffer = encodeNames(INJECT_THREAD + ACTIVE, names, { pointerSize, targetProcess: -1n });
    const behind = pointerSize === 8 ? 0x20 : 0x18;
    expect(new DataView(buffer.buffer).getUint32(behind, true)).toBe(0);
    expect(setSystemInformation(process, buffer).status).toBe(SUCCESS);
    expect(running.call()).toEqual([9, 1]);
  });

  it('each of the three is found where it was put', async () => {
    using one = await start(processor);
    const { process, pointerSize } = one;
    const names = { name: 'C:\\a.dll', targetName: 'bcd.dll', coldpatchImagePath: 'C:\\e\\f.dll' };
    const buffer = encodeNames(NAME_INFO, names, { pointerSize, targetProcess: 0x1234n });
    const view = new DataView(buffer.buffer);
    const fields = [8, 0x0c, 0x10].map((at) => [view.getUint16(at, true), view.getUint16(at + 2, true)]);
    expect(fields).toEqual([
      [0x38, 16],
      [0x38 + 16, 14],
      [0x38 + 30, 20],
    ]);
    const address = process.domain.allocateMemory('pool', buffer.length);
    process.addressSpace.write(address, buffer);
    const information = new CodeInformation(process.addressSpace, address, buffer.length, pointerSize);
    expect({
      name: information.name('name'),
      targetName: information.name('targetName'),
      coldpatchImagePath: information.name('coldpatchImagePath'),
    }).toEqual(names);
    expect(information.targetProcess).toBe(0x1234n);
  });

  it.each([NAME_INFO, INJECT_THREAD, MAP_ATOMIC_SWAP, RENAME_INFO])(
    'a structure of flag %i that ends before its last member is refused, and nothing is stored behind it',
    async (flag) => {
      using one = await start(processor);
      const { running, process, pointerSize } = one;
      running.lab.kernel.files.add('patch.dll', buildPatch(running.target, { processor }));
      const name = 'patch.dll';
      const whole =
        flag < NAME_INFO ? encodeHandles(flag, [], { pointerSize }) : encodeNames(flag + ACTIVE, { name });
      const length = 0x14;
      const buffer = whole.slice();
      new DataView(buffer.buffer).setUint32(INFO_SIZE, length, true);
      expect(setSystemInformation(process, buffer, { length }).status).toBe(LENGTH_MISMATCH);
      expect(running.call()).toEqual([1, 1]);
    },
  );
});

describe('handles of AtomicSwap and RenameInfo', () => {
  it.each([
    { pointerSize: 8, handles: [1n, 0x2_0000_0003n, 0x4_0000_0005n], words: [1, 0, 3, 2, 5, 4] },
    { pointerSize: 4, handles: [1n, 3n, 5n], words: [1, 3, 5, 0, 0, 0] },
  ] as const)('have $pointerSize bytes each', async ({ pointerSize, handles, words }) => {
    using one = await start();
    const { addressSpace, domain } = one.process;
    const buffer = encodeHandles(MAP_ATOMIC_SWAP, handles, { pointerSize });
    const view = new DataView(buffer.buffer);
    expect(words.map((_, index) => view.getUint32(8 + 4 * index, true))).toEqual(words);
    const address = domain.allocateMemory('pool', buffer.length);
    addressSpace.write(address, buffer);
    const information = new CodeInformation(addressSpace, address, buffer.length, pointerSize);
    expect(([0, 1, 2] as const).map((index) => information.handle(index))).toEqual(handles);
  });
});

describe('LdrHotPatchRoutine, called by anybody', () => {
  async function routine(make: (start: { readonly patch: string; readonly broken: string }) => Uint8Array) {
    const one = await start();
    const { running, process } = one;
    running.lab.kernel.files.add('patch.dll', buildPatch(running.target, { processor: 'x64' }));
    running.lab.kernel.files.add('broken.dll', buildTarget('x64').image);
    const buffer = make({ patch: 'patch.dll', broken: 'broken.dll' });
    const address = process.domain.allocateMemory('pool', 0x1000);
    process.addressSpace.write(address, buffer);
    const service = process.domain.services.address('ntdll.dll', LDR_HOT_PATCH_ROUTINE);
    const call = (at: bigint) => Number(running.lab.kernel.call64(service, [at], { domain: process.domain }));
    return { ...one, address, call };
  }

  it('answers with the status of a file that is no hotpatch', async () => {
    using one = await routine(({ broken }) => encodeNames(NAME_INFO + ACTIVE, { name: broken }));
    expect(one.call(one.address) >>> 0).toBe(0xc000007b);
  });

  it('refuses a structure that ends before its last member', async () => {
    using one = await routine(({ patch }) => {
      const buffer = encodeNames(NAME_INFO + ACTIVE, { name: patch });
      new DataView(buffer.buffer).setUint32(INFO_SIZE, 0x37, true);
      return buffer;
    });
    expect(one.call(one.address) >>> 0).toBe(LENGTH_MISMATCH);
    expect(one.running.engine.patches).toEqual([]);
  });

  it('raises an access violation where there is no structure', async () => {
    using one = await routine(({ patch }) => encodeNames(NAME_INFO + ACTIVE, { name: patch }));
    expect(() => one.call(0x10n)).toThrow('access violation: read of');
    expect(one.running.engine.patches).toEqual([]);
  });

  it('says that it has finished only when it has', async () => {
    using one = await routine(({ patch }) =>
      encodeNames(NAME_INFO + ACTIVE, { name: patch, targetName: 'x' }),
    );
    expect(one.call(one.address) >>> 0).toBe(REVISION_MISMATCH);
    const { addressSpace } = one.process;
    expect(new CodeInformation(addressSpace, one.address, 0x100, 8).patchingFinished).toBe(false);
  });
});
