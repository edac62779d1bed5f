import { type HotPatchCaller, MANAGE_HOT_PATCH, manageHotPatch } from 'hotpatch-lab/engine';
import { describe, expect, it } from 'vitest';
import { fixture } from '../support.js';
import { boot, FIELD, OTHER_PATH, PATH, readPatch } from './manage.js';

type Machine = Awaited<ReturnType<typeof boot>>;

const IDENTITIES = ['packets_hp.sys', 'demo_hp.dll'].map((file) => {
  const base = readPatch(file).hotPatch?.bases[0];
  return [base?.originalCheckSum ?? 0, base?.originalTimeDateStamp ?? 0] as const;
});
const CURRENT_PROCESS = 0xffff_ffff_ffff_ffffn;

/** Both bases are loaded, and both patches are in force. */
async function bootPatched() {
  const machine = await boot();
  const { lab } = machine;
  await lab.loadDriver(fixture('x64/base/packets.sys'));
  for (const name of ['hpimport.dll', 'base/demo.dll']) await lab.loadImage(fixture(`x64/${name}`));
  expect([PATH, OTHER_PATH].map((path) => machine.load(path))).toEqual(['STATUS_SUCCESS', 'STATUS_SUCCESS']);
  return machine;
}

/** Asks for a list with room for `capacity` patches, or without one of the arrays. */
function query(
  { lab, addressSpace, call, unicode }: Machine,
  name: 'QueryPatches' | 'QueryActivePatches',
  {
    capacity = 2,
    version = 3,
    room = 0x100,
    handle = 0n,
    without = '',
    caller = undefined as HotPatchCaller | undefined,
  } = {},
) {
  const isActive = name === 'QueryActivePatches';
  const offset = isActive ? FIELD.queryActivePatches : FIELD.queryPatches;
  const arrays = {
    patchPaths: lab.allocate(new Uint8Array(32)),
    baseInfos: lab.allocate(new Uint8Array(16)),
    sequenceNumbers: lab.allocate(new Uint8Array(8)),
  };
  for (const index of [0n, 1n]) unicode(arrays.patchPaths + 16n * index, '', room);
  const size = !isActive ? 0x60 : version === 3 ? 0x30 : 0x28;
  const { status, at } = call(
    name,
    isActive ? version : 2,
    size,
    (field) => {
      addressSpace.writeU32(field(offset.patchCount), capacity);
      if (isActive) addressSpace.writeU64(field(FIELD.queryActivePatches.processHandle), handle);
      for (const [array, address] of Object.entries(arrays)) {
        const place = (offset as Readonly<Record<string, number>>)[array];
        if (place !== undefined && array !== without) addressSpace.writeU64(field(place), address);
      }
    },
    caller,
  );
  const numbers = (address: bigint, count: number) =>
    Array.from({ length: count }, (_, index) => addressSpace.readU32(address + BigInt(4 * index)));
  const text = (index: number) => {
    const string = arrays.patchPaths + BigInt(16 * index);
    const bytes = addressSpace.read(addressSpace.readU64(string + 8n), addressSpace.readU16(string));
    return Buffer.from(bytes).toString('utf16le');
  };
  return {
    status,
    count: addressSpace.readU32(at(offset.patchCount)),
    paths: [0, 1].map(text),
    infos: numbers(arrays.baseInfos, 4),
    sequences: numbers(arrays.sequenceNumbers, 2),
  };
}

describe('lists of two patches', () => {
  it.each(['QueryPatches', 'QueryActivePatches'] as const)('%s fills every array in order', async (name) => {
    using machine = await bootPatched();
    expect(query(machine, name)).toEqual({
      status: 'STATUS_SUCCESS',
      count: 2,
      paths: [PATH, OTHER_PATH],
      infos: IDENTITIES.flat(),
      sequences: name === 'QueryPatches' ? [0, 0] : [1, 1],
    });
    expect(query(machine, name, { capacity: 1 })).toMatchObject({
      status: 'STATUS_BUFFER_TOO_SMALL',
      count: 2,
    });
    expect(query(machine, name, { room: 2 * PATH.length - 1 }).status).toBe('STATUS_BUFFER_TOO_SMALL');
    expect(query(machine, name, { room: 2 * PATH.length }).status).toBe('STATUS_SUCCESS');
  });

  it.each([
    ['patchPaths', { paths: ['', ''], infos: IDENTITIES.flat(), sequences: [1, 1] }],
    ['baseInfos', { paths: [PATH, OTHER_PATH], infos: [0, 0, 0, 0], sequences: [1, 1] }],
    ['sequenceNumbers', { paths: [PATH, OTHER_PATH], infos: IDENTITIES.flat(), sequences: [0, 0] }],
  ])('an array that is not wanted is left out: %s', async (without, expected) => {
    using machine = await bootPatched();
    expect(query(machine, 'QueryActivePatches', { without })).toMatchObject({
      status: 'STATUS_SUCCESS',
      ...expected,
    });
  });

  it('version 2 of the request has no sequence numbers', async () => {
    using machine = await bootPatched();
    expect(query(machine, 'QueryActivePatches', { version: 2 })).toMatchObject({
      status: 'STATUS_SUCCESS',
      count: 2,
      sequences: [0, 0],
    });
  });

  it('a patch that was taken back is in no list, one that waits is only registered', async () => {
    using machine = await bootPatched();
    const { engine } = machine.lab;
    for (const patch of engine.patches.slice(0, 1)) engine.unload(patch);
    expect(query(machine, 'QueryPatches')).toMatchObject({ count: 1, paths: [OTHER_PATH, ''] });
    expect(query(machine, 'QueryActivePatches')).toMatchObject({ count: 1, paths: [OTHER_PATH, ''] });
    using waiting = await boot();
    waiting.load();
    expect(query(waiting, 'QueryPatches').count).toBe(1);
    expect(query(waiting, 'QueryActivePatches').count).toBe(0);
  });

  it('a process asks for the patches of its own images; other handles are none', async () => {
    using machine = await bootPatched();
    const { lab, admin } = machine;
    const { domain } = lab.createProcess('empty.exe');
    const caller = {
      ...admin,
      domain: { ...domain, images: domain.images, kind: 'system' } as unknown as typeof domain,
    };
    expect(query(machine, 'QueryActivePatches', { handle: CURRENT_PROCESS }).count).toBe(2);
    expect(query(machine, 'QueryActivePatches', { handle: CURRENT_PROCESS, caller }).count).toBe(0);
    expect(query(machine, 'QueryActivePatches', { handle: 0n, caller }).count).toBe(2);
    expect(query(machine, 'QueryActivePatches', { handle: 4n }).status).toBe('STATUS_INVALID_HANDLE');
  });
});

describe('one patch by its base', () => {
  const unload = ({ call, addressSpace }: Machine, checkSum: number, timeDateStamp: number) =>
    call('UnloadPatch', 1, 0x50, (at) => {
      addressSpace.writeU32(at(FIELD.unloadPatch.checkSum), checkSum);
      addressSpace.writeU32(at(FIELD.unloadPatch.timeDateStamp), timeDateStamp);
    }).status;

  it('is the one with both its checksum and its timestamp', async () => {
    using machine = await bootPatched();
    const [[checkSum, timeDateStamp] = [0, 0], [otherCheckSum, otherStamp] = [0, 0]] = IDENTITIES;
    expect(unload(machine, checkSum, otherStamp)).toBe('STATUS_NOT_FOUND');
    expect(unload(machine, otherCheckSum, timeDateStamp)).toBe('STATUS_NOT_FOUND');
    expect(unload(machine, checkSum, timeDateStamp)).toBe('STATUS_SUCCESS');
    expect(query(machine, 'QueryActivePatches').paths).toEqual([OTHER_PATH, '']);
  });

  const single = (
    { call, addressSpace, unicode }: Machine,
    [checkSum, timeDateStamp]: readonly [number, number],
    { handle = CURRENT_PROCESS, flags = 0, caller = undefined as HotPatchCaller | undefined } = {},
  ) => {
    const offset = FIELD.querySinglePatch;
    const { status, at } = call(
      'QuerySinglePatch',
      1,
      0x30,
      (field) => {
        addressSpace.writeU64(field(offset.processHandle), handle);
        addressSpace.writeU32(field(offset.base), checkSum);
        addressSpace.writeU32(field(offset.base + 4), timeDateStamp);
        addressSpace.writeU32(field(offset.flags), flags);
        unicode(field(offset.patchPath), '');
      },
      caller,
    );
    const bytes = addressSpace.read(
      addressSpace.readU64(at(offset.patchPath + 8)),
      addressSpace.readU16(at(offset.patchPath)),
    );
    return `${status} ${Buffer.from(bytes).toString('utf16le')}`;
  };

  it('QuerySinglePatch tells its path', async () => {
    using machine = await bootPatched();
    const [first = [0, 0], second = [0, 0]] = IDENTITIES;
    expect(single(machine, first)).toBe(`STATUS_SUCCESS ${PATH}`);
    expect(single(machine, second)).toBe(`STATUS_SUCCESS ${OTHER_PATH}`);
    expect(single(machine, [first[0], second[1]])).toBe('STATUS_NOT_FOUND ');
    expect(single(machine, [second[0], first[1]])).toBe('STATUS_NOT_FOUND ');
    expect(single(machine, first, { handle: 0n })).toBe('STATUS_INVALID_PARAMETER ');
    expect(single(machine, first, { flags: 1 })).toBe('STATUS_INVALID_PARAMETER ');
    for (const patch of machine.lab.engine.patches) machine.lab.engine.unload(patch);
    expect(single(machine, first)).toBe('STATUS_NOT_FOUND ');
  });

  it('QuerySinglePatch tells of a user’s list only to that user', async () => {
    using machine = await boot();
    const { lab, admin } = machine;
    const [identity = [0, 0]] = IDENTITIES;
    lab.engine.load(readPatch('packets_hp.sys'), {
      name: 'mine.sys',
      path: 'mine.sys',
      userSid: 'S-1-5-21-1',
    });
    const process = (userSid: string) => ({
      ...admin,
      process: { userSid } as unknown as HotPatchCaller['process'],
    });
    expect(single(machine, identity)).toBe('STATUS_NOT_FOUND ');
    expect(single(machine, identity, { caller: process('S-1-5-21-1') })).toBe('STATUS_SUCCESS mine.sys');
    expect(single(machine, identity, { caller: process('S-1-5-21-2') })).toBe('STATUS_NOT_FOUND ');
    using everybody = await bootPatched();
    const caller = { ...everybody.admin, process: process('S-1-5-21-2').process };
    expect(single(everybody, identity, { caller })).toBe(`STATUS_SUCCESS ${PATH}`);
  });

  it.each([
    ['flags', 1],
    ['desiredAccess', 0xf],
    ['pageProtection', 2],
    ['allocationAttributes', 0x800000],
    ['baseImageAddress', 0x1000],
    ['none', 0],
  ] as const)('CreatePatchSection with another %s is refused', async (field, value) => {
    using machine = await bootPatched();
    const { lab, addressSpace, call } = machine;
    const [driver] = lab.kernel.domain.images;
    const offset = FIELD.createPatchSection;
    const { status, at } = call('CreatePatchSection', 1, 0x28, (place) => {
      addressSpace.writeU32(place(offset.desiredAccess), 0xd);
      addressSpace.writeU32(place(offset.pageProtection), 1);
      addressSpace.writeU32(place(offset.allocationAttributes), 0x1000000);
      addressSpace.writeU64(place(offset.baseImageAddress), driver?.dllBase ?? 0n);
      if (field !== 'none') addressSpace.writeU32(place(offset[field]), value);
    });
    const expected = { baseImageAddress: 'STATUS_NOT_MAPPED_VIEW', none: 'STATUS_SUCCESS' };
    expect(status).toBe(expected[field as keyof typeof expected] ?? 'STATUS_INVALID_PARAMETER');
    expect(addressSpace.readU64(at(offset.sectionHandle)) !== 0n).toBe(field === 'none');
  });
});

describe('what a caller may name', () => {
  /** A SID structure with so many sub-authorities. */
  const sid = (revision: number, count: number) => {
    const bytes = Buffer.alloc(68);
    bytes.writeUInt8(revision, 0);
    bytes.writeUInt8(count, 1);
    bytes.writeUInt16BE(1, 2);
    bytes.writeUInt32BE(2, 4);
    for (let index = 0; index < Math.min(count, 15); index++) bytes.writeUInt32LE(index + 3, 8 + 4 * index);
    return bytes;
  };

  it.each([
    ['15 sub-authorities', sid(1, 15), 'STATUS_PATCH_DEFERRED'],
    ['16 sub-authorities', sid(1, 16), 'STATUS_INVALID_SID'],
    ['another revision', sid(2, 1), 'STATUS_INVALID_SID'],
  ])('a SID with %s', async (_, bytes, expected) => {
    using machine = await boot();
    const { addressSpace, unicode, call, lab } = machine;
    const { status } = call('LoadPatchForUser', 2, 0x68, (at) => {
      unicode(at(FIELD.loadPatch.patchPath), PATH);
      addressSpace.write(at(FIELD.loadPatch.sid), bytes);
    });
    expect(status).toBe(expected);
    const authority = 2 ** 32 + 2;
    const parts = Array.from({ length: 15 }, (_one, index) => index + 3).join('-');
    expect(lab.engine.patches.map(({ userSid }) => userSid)).toEqual(
      expected === 'STATUS_INVALID_SID' ? [] : [`S-1-${authority}-${parts}`],
    );
  });

  it('LoadPatch: no SID, or one that is one', async () => {
    using machine = await boot();
    const { addressSpace } = machine;
    const load = (bytes: Uint8Array) =>
      machine.load(PATH, (at) => addressSpace.write(at(FIELD.loadPatch.sid), bytes));
    expect(load(sid(2, 1))).toBe('STATUS_INVALID_SID');
    expect(load(sid(1, 1))).toBe('STATUS_PATCH_DEFERRED');
  });

  it('each user has a list, and unloads from it alone', async () => {
    using machine = await boot();
    const { addressSpace, unicode, call } = machine;
    const [[checkSum, timeDateStamp] = [0, 0]] = IDENTITIES;
    const loadFor = (bytes: Uint8Array) =>
      call('LoadPatchForUser', 2, 0x68, (at) => {
        unicode(at(FIELD.loadPatch.patchPath), PATH);
        addressSpace.write(at(FIELD.loadPatch.sid), bytes);
      }).status;
    const unloadFor = (bytes: Uint8Array) =>
      call('UnloadPatchForUser', 1, 0x50, (at) => {
        addressSpace.writeU32(at(FIELD.unloadPatch.checkSum), checkSum);
        addressSpace.writeU32(at(FIELD.unloadPatch.timeDateStamp), timeDateStamp);
        addressSpace.write(at(FIELD.unloadPatch.sid), bytes);
      }).status;
    expect([1, 2].map((count) => loadFor(sid(1, count)))).toEqual([
      'STATUS_PATCH_DEFERRED',
      'STATUS_PATCH_DEFERRED',
    ]);
    expect(unloadFor(sid(1, 3))).toBe('STATUS_NOT_FOUND');
    expect(unloadFor(new Uint8Array(68))).toBe('STATUS_INVALID_SID');
    expect(unloadFor(sid(1, 1))).toBe('STATUS_SUCCESS');
    expect(unloadFor(sid(1, 1))).toBe('STATUS_NOT_FOUND');
    expect(unloadFor(sid(1, 2))).toBe('STATUS_SUCCESS');
  });

  it('user mode: memory of its own half alone, the length of the request where it asks for it', async () => {
    using machine = await boot();
    const { lab, host, admin } = machine;
    const process = lab.createProcess('tool.exe');
    const { domain, addressSpace, handles } = process;
    const user: HotPatchCaller = { ...admin, domain, addressSpace, handles, process };
    const enabled = (buffer: bigint, returnLength = 0n, caller = user) =>
      manageHotPatch(host, caller, MANAGE_HOT_PATCH.CheckEnabled, buffer, 8, returnLength).name;
    const buffer = lab.allocate(new Uint8Array(8), process);
    addressSpace.writeU32(buffer, 1);
    const length = lab.allocate(new Uint8Array(4), process);
    expect(enabled(buffer)).toBe('STATUS_SUCCESS');
    expect(enabled(buffer, length)).toBe('STATUS_SUCCESS');
    expect(addressSpace.readU32(length)).toBe(8);

    const kernels = lab.allocate(Uint8Array.of(1, 0, 0, 0, 0, 0, 0, 0));
    expect(enabled(kernels)).toBe('STATUS_ACCESS_VIOLATION');
    expect(enabled(kernels, 0n, admin)).toBe('STATUS_SUCCESS');
    expect(enabled(buffer, kernels)).toBe('STATUS_ACCESS_VIOLATION');
    expect(lab.kernel.domain.addressSpace.readU32(kernels)).toBe(1);
    const { end } = domain.table.range;
    domain.table.commit(end - 0x1000n, 1, 'PAGE_READWRITE');
    addressSpace.writeU32(end - 8n, 1);
    expect(enabled(end - 8n)).toBe('STATUS_SUCCESS');
    addressSpace.writeU32(end - 4n, 1);
    expect(enabled(end - 4n)).toBe('STATUS_ACCESS_VIOLATION');
    expect(enabled(domain.table.range.start)).toBe('STATUS_ACCESS_VIOLATION');
  });
});
