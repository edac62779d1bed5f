import { HotPatchError, Lab, type WindowsBuild } from 'hotpatch-lab';
import { arm64Encoder, assemble } from 'hotpatch-lab/cpu';
import type { MANAGE_HOT_PATCH } from 'hotpatch-lab/engine';
import {
  appendHotPatchTable,
  encodeHotPatchTable,
  type HotPatchVersion,
  type PeImage,
  readImage,
  recogniseEntry,
} from 'hotpatch-lab/image';
import { describe, expect, it } from 'vitest';
import { arm64Trampoline } from '../../engine/index.js';
import {
  type HotPatchAddressTable,
  KSCP_ROUTINES,
  RETPOLINE_ROUTINES,
  SCP_ROUTINES,
} from '../../loader/index.js';
import { ARCHITECTURES, type ArchitectureName, placeCode } from '../loader/support.js';
import { fixture, fixtureBytes } from '../support.js';
import { boot, PATH, readPatch } from './manage.js';

type Build = WindowsBuild | undefined;

/** Which versions a class accepts: a version that is known but not accepted ends as an invalid parameter or length. */
async function accepted(windowsBuild: Build, name: keyof typeof MANAGE_HOT_PATCH, size: number) {
  using machine = await boot({ windowsBuild });
  const refused = new Set(['STATUS_INVALID_PARAMETER', 'STATUS_INFO_LENGTH_MISMATCH']);
  // What ends later fails for another reason: an empty request names no file and no image.
  const later = (version: number) =>
    machine.call(name, version, size, (at) => {
      machine.addressSpace.writeU32(at(4), 3);
      machine.addressSpace.writeU64(at(8), 0xffff_ffff_ffff_ffffn);
    }).status;
  return [1, 2, 3].filter((version) => !refused.has(later(version)));
}

describe('NtManageHotPatch of each build', () => {
  it.each([
    [undefined, [1, 2]],
    [17763, [1]],
    [22631, [1]],
    [26100, [2]],
  ] as const)('%s: ApplyImagePatch', async (build, versions) => {
    expect(await accepted(build, 'ApplyImagePatch', 0x20)).toEqual(versions);
  });

  it.each([
    [undefined, 'QueryPatches', 0x60, [1, 2]],
    [22631, 'QueryPatches', 0x60, [2]],
    [26100, 'QueryPatches', 0x60, [1, 2]],
    [undefined, 'UnloadPatch', 0x50, [1]],
  ] as const)('%s: %s', async (build, name, size, versions) => {
    using machine = await boot({ windowsBuild: build });
    const answers = [1, 2, 3].filter(
      (version) => machine.call(name, version, size).status !== 'STATUS_INVALID_PARAMETER',
    );
    expect(answers).toEqual(versions);
  });

  it.each([
    [undefined, [1, 2], [3]],
    [22631, [2], [3]],
  ] as const)('%s: QueryActivePatches, without and with sequence numbers', async (build, short, long) => {
    using machine = await boot({ windowsBuild: build });
    const answers = (size: number) =>
      [1, 2, 3].filter(
        (version) => machine.call('QueryActivePatches', version, size).status === 'STATUS_SUCCESS',
      );
    expect([answers(0x28), answers(0x30)]).toEqual([short, long]);
  });

  it.each([
    [undefined, 'identity'],
    [22631, 'identity'],
    [26100, 'baseAddress'],
  ] as const)('%s: QuerySinglePatch by %s', async (build, by) => {
    using machine = await boot({ windowsBuild: build });
    const { lab, addressSpace, identity, unicode } = machine;
    const driver = lab.loadDriver(fixture('x64/base/packets.sys'));
    lab.engine.load(patchOfVersion(3), { name: 'packets_hp.sys', path: PATH });
    const query = (base: bigint) => {
      const { status, at } = machine.call('QuerySinglePatch', 1, 0x30, (field) => {
        addressSpace.writeU64(field(8), 0xffff_ffff_ffff_ffffn);
        addressSpace.writeU64(field(0x10), base);
        unicode(field(0x20), '');
      });
      const text = addressSpace.read(addressSpace.readU64(at(0x28)), addressSpace.readU16(at(0x20)));
      return `${status} ${Buffer.from(text).toString('utf16le')}`;
    };
    const ofIdentity =
      BigInt(identity?.originalCheckSum ?? 0) | (BigInt(identity?.originalTimeDateStamp ?? 0) << 32n);
    const found = `STATUS_SUCCESS ${PATH}`;
    const missing = by === 'identity' ? 'STATUS_NOT_FOUND ' : 'STATUS_CONFLICTING_ADDRESSES ';
    expect(query(driver.dllBase)).toBe(by === 'baseAddress' ? found : missing);
    expect(query(ofIdentity)).toBe(by === 'identity' ? found : missing);
    expect(query(driver.dllBase + 0x1000n)).toBe(missing);
    const [patch] = lab.engine.patches;
    if (by === 'baseAddress') expect(query(patch?.loaded?.dllBase ?? 0n)).toBe('STATUS_NOT_FOUND ');
  });
});

/** The patch of packets.sys with a table of that version. */
function patchOfVersion(version: HotPatchVersion): PeImage {
  const table = readPatch('packets_hp.sys').hotPatch;
  if (table === undefined) throw new Error('the fixture has no table');
  const fixed = readImage(fixtureBytes('x64/fixed/packets.sys'));
  return readImage(appendHotPatchTable(fixed, encodeHotPatchTable({ ...table, version })));
}

const statusOf = (action: () => { status: { name: string } } | undefined) => {
  try {
    return action()?.status.name ?? 'STATUS_SUCCESS';
  } catch (error) {
    if (error instanceof HotPatchError) return error.status.name;
    throw error;
  }
};

describe('patches of each build', () => {
  it.each([
    [undefined, 4, 'STATUS_SUCCESS', 'STATUS_SUCCESS'],
    [17763, 3, 'STATUS_SUCCESS', 'STATUS_SUCCESS'],
    [20348, 3, 'STATUS_SUCCESS', 'STATUS_SUCCESS'],
    [22631, 3, 'STATUS_SUCCESS', 'STATUS_SUCCESS'],
    [22631, 4, 'STATUS_INVALID_IMAGE_FORMAT', undefined],
    [26100, 4, 'STATUS_SUCCESS', 'STATUS_REQUEST_OUT_OF_SEQUENCE'],
    [26100, 3, 'STATUS_SUCCESS', 'STATUS_REQUEST_OUT_OF_SEQUENCE'],
  ] as const)('%s, table version %i: loading %s, taking back %s', (windowsBuild, version, loads, unloads) => {
    using lab = Lab.boot({ architecture: 'x64', windowsBuild });
    const driver = lab.loadDriver(fixture('x64/base/packets.sys'));
    const image = patchOfVersion(version);
    expect(statusOf(() => lab.engine.load(image, { name: 'p.sys' }))).toBe(loads);
    const [patch] = lab.engine.patches;
    expect(driver.hpat?.layout).toBe(windowsBuild === 17763 ? 'pointers' : 'pairs');
    if (patch === undefined || unloads === undefined) return;
    expect(statusOf(() => void lab.unloadHotPatch(patch))).toBe(unloads);
  });

  it.each([
    [17763, true],
    [20348, true],
    [22631, false],
    [26100, false],
  ] as const)('%s: an older patch over a newer one', (windowsBuild, allowed) => {
    using lab = Lab.boot({ architecture: 'x64', windowsBuild });
    lab.loadDriver(fixture('x64/base/packets.sys'));
    const [table] = [readPatch('packets_hp.sys').hotPatch];
    if (table === undefined) throw new Error('the fixture has no table');
    const load = (sequenceNumber: number) => {
      const fixed = readImage(fixtureBytes('x64/fixed/packets.sys'));
      const bytes = encodeHotPatchTable({ ...table, version: 3, sequenceNumber });
      const image = readImage(appendHotPatchTable(fixed, bytes));
      return statusOf(() => lab.engine.load(image, { name: `p${sequenceNumber}.sys` }));
    };
    expect(load(2)).toBe('STATUS_SUCCESS');
    expect(load(1)).toBe(allowed ? 'STATUS_SUCCESS' : 'STATUS_REQUEST_OUT_OF_SEQUENCE');
  });

  it('an option that is given beside the build takes precedence; the build of Server 2003 is none of them', () => {
    using lab = Lab.boot({ architecture: 'x64', windowsBuild: 17763, hpatLayout: 'pairs' });
    expect(lab.loadDriver(fixture('x64/base/packets.sys')).hpat?.layout).toBe('pairs');
    expect(() => Lab.boot({ architecture: 'x64', windowsBuild: 9999 as 17763 })).toThrow(/9999 is none of/);
    expect(() => Lab.boot({ architecture: 'x64', engine: 'server-2003', windowsBuild: 17763 })).toThrow(
      /windowsBuild 17763/,
    );
  });
});

describe('pages of speculation control', () => {
  it.each([
    [22631, false, undefined],
    [22631, true, RETPOLINE_ROUTINES.jumpHpat],
    [26100, false, undefined],
    [26100, true, 0x580],
  ] as const)('%s, retpoline %s: the page behind a driver', (windowsBuild, retpoline, jumpHpat) => {
    using lab = Lab.boot({ architecture: 'x64', windowsBuild, retpoline });
    const driver = lab.loadDriver(fixture('x64/base/packets.sys'));
    const page = driver.retpolinePage;
    expect(page !== undefined).toBe(retpoline || windowsBuild === 26100);
    expect(driver.jumpHpat).toBe(jumpHpat === undefined ? undefined : (page ?? 0n) + BigInt(jumpHpat));
    if (page === undefined) return;
    expect(page).toBe((driver.hpat?.base ?? 0n) + BigInt(driver.hpat?.reserveSize ?? 0));
    if (windowsBuild !== 26100) return;
    const bytes = driver.domain.addressSpace.read(page, 0x1000);
    // At most 0x20 bytes: the next routine lies at +0x5a0.
    expect(bytes.subarray(0x580, 0x5a0).some((byte) => byte !== 0xcc)).toBe(true);
    expect(bytes.subarray(0x5a0, 0x780).every((byte) => byte === 0xcc)).toBe(true);
    expect([...bytes.subarray(0x780, 0x782)]).toEqual([0xff, 0xe0]);
    expect(KSCP_ROUTINES.jumpHpat).toBe(0x580);
  });

  it('a patched driver runs through __guard_retpoline_jump_hpat of KSCP', () => {
    using lab = Lab.boot({ architecture: 'x64', windowsBuild: 26100, retpoline: true });
    const driver = lab.loadDriver(fixture('x64/base/packets.sys'));
    const packet = lab.allocate(Uint8Array.of(3, 1));
    const before = lab.call(driver.symbol('HandleRequest'), [packet, 2]);
    lab.engine.load(patchOfVersion(4), { name: 'p.sys' });
    let passed = 0;
    const thread = lab.startThread(driver.symbol('HandleRequest'), [packet, 2]);
    while (thread.state !== 'terminated' && passed < 10_000) {
      if (thread.pc === driver.jumpHpat) passed = 10_000;
      lab.run({ instructions: 1 });
      passed += 1;
    }
    expect(passed).toBeGreaterThan(9_999);
    expect(lab.call(driver.symbol('HandleRequest'), [packet, 2])).not.toBe(before);
  });
});

const NT_STUBS: Record<ArchitectureName, (number: number) => string> = {
  x64: (number) => `mov r10, rcx\nmov eax, ${number}\nsyscall\nret`,
  arm64: (number) => `svc #${number}\nret`,
  x86: (number) => `mov eax, ${number}\nlea edx, [esp + 4]\nint 0x2e\nret`,
};

describe.each(ARCHITECTURES)('what a process may do with pages behind its images, on %s', (architecture) => {
  async function start(windowsBuild: Build) {
    const lab = Lab.boot({ architecture, windowsBuild });
    const process = lab.createProcess('a.exe');
    lab.addFile(fixture(`${architecture}/hpimport.dll`));
    const demo = lab.loadDll(process, fixture(`${architecture}/base/demo.dll`));
    lab.loadHotPatch(fixture(`${architecture}/patch/demo_hp.dll`));
    const variables = process.domain.allocateMemory('pool', 0x1000);
    const { pointerSize } = process.domain.architecture;
    const { systemServices } = lab.kernel;
    const services = new Map<string, bigint>();
    for (const name of [
      'NtProtectVirtualMemory',
      'NtAllocateVirtualMemory',
      'NtFreeVirtualMemory',
      'NtQueryVirtualMemory',
    ]) {
      const source = NT_STUBS[architecture](systemServices.number(name));
      services.set(name, placeCode(process.domain, await assemble(architecture, source, { address: 0n })));
    }
    const at = (index: number) => variables + BigInt(8 * index);
    const call = (service: string, ...parameters: (bigint | number)[]) =>
      Number(BigInt.asUintN(32, process.call64(services.get(service) ?? 0n, parameters)));
    const set = (base: bigint, size: number) => {
      process.addressSpace.writeU64(at(0), base);
      process.addressSpace.writeU64(at(1), BigInt(size));
    };
    return { lab, process, demo, call, at, set, pointerSize, [Symbol.dispose]: () => lab[Symbol.dispose]() };
  }

  it('the HPAT: a query says committed, a change of its protection STATUS_NOT_COMMITTED', async () => {
    using machine = await start(undefined);
    const { demo, call, at, set, process, pointerSize } = machine;
    const [base, size] = [demo.hpat?.base ?? 0n, demo.hpat?.reserveSize ?? 0];
    for (let page = base; page < base + BigInt(size); page += 0x1000n) {
      expect(call('NtQueryVirtualMemory', -1, page, 0, at(4), 0x30, 0)).toBe(0);
      expect(process.addressSpace.readU32(at(4) + BigInt(pointerSize === 8 ? 32 : 16))).toBe(0x1000);
      for (const protection of [0x02, 0x04, 0x20]) {
        set(page, 0x1000);
        expect(call('NtProtectVirtualMemory', -1, at(0), at(1), protection, at(2))).toBe(0xc000_002d);
      }
      set(page, 0x1000);
      expect(call('NtAllocateVirtualMemory', -1, at(0), 0, at(1), 0x1000, 0x04)).toBe(0xc000_0018);
      set(page, 0x1000);
      expect(call('NtFreeVirtualMemory', -1, at(0), at(1), 0x4000)).toBe(0xc000_001b);
    }
    // The image's last pages with the first of the HPAT behind them: nothing of it is done.
    const last = process.domain.table.query(base - 0x1000n).protection;
    set(base - 0x1000n, 0x2000);
    expect(call('NtProtectVirtualMemory', -1, at(0), at(1), 0x02, at(2))).toBe(0xc000_002d);
    expect(process.domain.table.query(base - 0x1000n).protection).toBe(last);
    set(base - 0x1000n, 0x1000);
    expect(call('NtProtectVirtualMemory', -1, at(0), at(1), 0x02, at(2))).toBe(0);
  });

  it('nothing may be taken from an image by a range that begins before it', async () => {
    using machine = await start(undefined);
    const { demo, call, at, set, process } = machine;
    const before = demo.dllBase - 0x1000n;
    set(before, 0x1000);
    expect(call('NtAllocateVirtualMemory', -1, at(0), 0, at(1), 0x3000, 0x04)).toBe(0);
    set(before, 0x2000);
    expect(call('NtFreeVirtualMemory', -1, at(0), at(1), 0x8000)).toBe(0xc000_001b);
    expect(process.domain.table.query(demo.dllBase).state).toBe('committed');
  });

  it('the SCP page of build 26100, which MemoryInformationClass 0x0E tells of', async () => {
    using older = await start(undefined);
    expect(older.call('NtQueryVirtualMemory', -1, older.demo.dllBase, 0x0e, older.at(4), 0x30, 0)).toBe(
      0xc000_0003,
    );
    using machine = await start(26100);
    const { demo, call, at, set, process, pointerSize } = machine;
    const status = call('NtQueryVirtualMemory', -1, demo.dllBase, 0x0e, at(4), 0x30, 0);
    if (architecture !== 'x64') {
      // Nothing is public of other processors: no page.
      expect(status).toBe(0xc000_0141);
      return;
    }
    expect(status).toBe(0);
    const { addressSpace, domain } = process;
    const offset = addressSpace.readU32(at(4) + BigInt(pointerSize));
    const page = demo.dllBase + BigInt(offset);
    expect(addressSpace.readU32(at(4) + BigInt(pointerSize) + 4n)).toBe(0x1000);
    expect(addressSpace.readU64(at(4))).toBe(page + BigInt(SCP_ROUTINES.guardDispatch));
    expect(offset).toBe(Math.ceil(demo.sizeOfImage / 0x1000) * 0x1000 + (demo.hpat?.reserveSize ?? 0));
    expect(domain.table.query(page)).toMatchObject({ state: 'committed', protection: 'PAGE_EXECUTE_READ' });
    set(page, 0x1000);
    expect(call('NtProtectVirtualMemory', -1, at(0), at(1), 0x02, at(2))).toBe(0xc000_002d);
    expect(demo.describe(page)).toBe('demo!SCP+0x0');
    expect(call('NtQueryVirtualMemory', -1, at(0), 0x0e, at(4), 0x30, 0)).toBe(0xc000_0141);
    expect(call('NtQueryVirtualMemory', -1, demo.dllBase, 0x0e, at(4), 0x0f, 0)).toBe(0xc000_0004);
  });
});

describe('ARM64: an entry behind the HPAT', () => {
  const hpatAt = (base: bigint) => ({
    codeSlot: (index: number) => base + BigInt(8 * index),
    dataSlot: (index: number) => base + 0x1000n + BigInt(8 * index),
    indexOf: (address: bigint) => (address === base ? 0 : undefined),
  });

  it.each([
    [0x1_0000n, 0x2_0000n, true],
    [0x3_0000n, 0x2_0000n, false],
    [0x2_0000n, 0x2_0000n, false],
  ])('entry 0x%x, HPAT 0x%x', (entry, base, isPossible) => {
    const hpat = hpatAt(base) as unknown as HotPatchAddressTable;
    const build = () => arm64Trampoline.build({ entry, target: 0x9000n, hpat, index: 0 });
    if (isPossible) {
      const { bytes } = build().entry;
      const read = (address: bigint, length: number) =>
        address === entry ? bytes.subarray(0, length) : new Uint8Array();
      expect(arm64Trampoline.classify(read, entry, hpat)).toEqual({ kind: 'patched', index: 0 });
    } else expect(build).toThrow(/behind the HPAT/);
  });

  it('a branch backwards into it is none of a hotpatch', () => {
    const hpat = hpatAt(0x1_0000n) as unknown as HotPatchAddressTable;
    const backwards = arm64Encoder.branch(0x2_0000n, 0x1_0000n);
    expect(arm64Trampoline.classify(() => backwards, 0x2_0000n, hpat).kind).toBe('mismatch');
    expect(recogniseEntry('arm64', () => backwards, 0x2_0000n).kind).toBe('hook');
  });
});
