import { KernelError } from 'hotpatch-lab';
import { layoutOf, MANAGE_HOT_PATCH, manageHotPatch } from 'hotpatch-lab/engine';
import { describe, expect, it } from 'vitest';
import { fixture } from '../support.js';
import { boot, FIELD, PATH } from './manage.js';

describe('NtManageHotPatch', () => {
  it.each([
    ['an unknown class', 11, 1, 8, 'STATUS_INVALID_INFO_CLASS'],
    ['a wrong length', 'CheckEnabled', 1, 12, 'STATUS_INFO_LENGTH_MISMATCH'],
    ['a wrong version', 'CheckEnabled', 2, 8, 'STATUS_INVALID_PARAMETER'],
    ['a version of another length', 'QueryActivePatches', 3, 0x28, 'STATUS_INVALID_PARAMETER'],
    ['an enabled system', 'CheckEnabled', 1, 8, 'STATUS_SUCCESS'],
  ] as const)('answers %s', async (_name, infoClass, version, size, expected) => {
    using machine = await boot();
    expect(machine.call(infoClass, version, size).status).toBe(expected);
  });

  it('says that hotpatching is disabled before it looks at anything else', async () => {
    using machine = await boot({ hotPatchTableSize: 0 });
    expect(machine.call('CheckEnabled', 9, 1).status).toBe('STATUS_NOT_SUPPORTED');
  });

  it('refuses reserved flags', async () => {
    using machine = await boot();
    const { addressSpace } = machine;
    const { status } = machine.call('CheckEnabled', 1, 8, (at) => addressSpace.writeU32(at(4), 1));
    expect(status).toBe('STATUS_INVALID_PARAMETER');
  });

  it.each([
    ['LoadPatch', 2, 0x68],
    ['UnloadPatch', 1, 0x50],
    ['QueryPatches', 2, 0x60],
    ['QueryActivePatches', 2, 0x28],
    ['CreatePatchSection', 1, 0x28],
  ] as const)('%s needs SeLoadDriverPrivilege and the host silo', async (name, version, size) => {
    using machine = await boot();
    const { admin } = machine;
    const user = { ...admin, canLoadDrivers: false };
    const container = { ...admin, inHostSilo: false };
    expect(machine.call(name, version, size, undefined, user).status).toBe('STATUS_PRIVILEGE_NOT_HELD');
    expect(machine.call(name, version, size, undefined, container).status).toBe('STATUS_ACCESS_DENIED');
    for (const caller of [user, container])
      expect(machine.call('CheckEnabled', 1, 8, undefined, caller).status).toBe('STATUS_SUCCESS');
  });

  it('ApplyImagePatch is for the caller’s own process', async () => {
    using machine = await boot();
    const { addressSpace } = machine;
    const { offset } = layoutOf('applyImagePatch', 8);
    const status = (handle: bigint) =>
      machine.call('ApplyImagePatch', 2, 0x20, (at) => {
        addressSpace.writeU32(at(offset.flags), 1);
        addressSpace.writeU64(at(offset.processHandle), handle);
      }).status;
    expect(status(-1n)).toBe('STATUS_NOT_MAPPED_VIEW');
    expect(status(4n)).toBe('STATUS_INVALID_PARAMETER');
  });

  it.each([
    [
      'a file that cannot be opened',
      new KernelError({ rule: 'file.sharing', status: 'STATUS_SHARING_VIOLATION', message: '' }),
    ],
    ['a mistake of the laboratory', new TypeError('a mistake')],
  ] as const)('%s', async (_, error) => {
    using machine = await boot({
      openImage() {
        throw error;
      },
    });
    if (error instanceof KernelError) expect(machine.load()).toBe(error.status.name);
    else expect(() => machine.load()).toThrow(error);
  });

  it('answers a buffer that is not there with an access violation', async () => {
    using machine = await boot();
    const { lab, admin } = machine;
    const host = { kernel: lab.kernel, engine: lab.engine, openImage: () => undefined };
    expect(manageHotPatch(host, admin, MANAGE_HOT_PATCH.CheckEnabled, 0x1000n, 8).name).toBe(
      'STATUS_ACCESS_VIOLATION',
    );
  });

  it('loads, lists and unloads a patch', async () => {
    using machine = await boot();
    const { lab, addressSpace, identity } = machine;
    const driver = await lab.loadDriver(fixture('x64/base/packets.sys'));
    expect(machine.load()).toBe('STATUS_SUCCESS');
    expect(driver.hotPatchState).toBe('AppliedForward');

    const { queryActivePatches } = FIELD;
    const paths = lab.allocate(new Uint8Array(16));
    machine.unicode(paths, '');
    const infos = lab.allocate(new Uint8Array(8));
    const numbers = lab.allocate(new Uint8Array(4));
    const query = (capacity: number) =>
      machine.call('QueryActivePatches', 3, 0x30, (at) => {
        addressSpace.writeU32(at(queryActivePatches.patchCount), capacity);
        addressSpace.writeU64(at(queryActivePatches.patchPaths), paths);
        addressSpace.writeU64(at(queryActivePatches.baseInfos), infos);
        addressSpace.writeU64(at(queryActivePatches.sequenceNumbers), numbers);
      });
    const tooSmall = query(0);
    expect(tooSmall.status).toBe('STATUS_BUFFER_TOO_SMALL');
    expect(addressSpace.readU32(tooSmall.at(queryActivePatches.patchCount))).toBe(1);
    expect(query(1).status).toBe('STATUS_SUCCESS');
    expect([addressSpace.readU32(infos), addressSpace.readU32(infos + 4n)]).toEqual([
      identity?.originalCheckSum,
      identity?.originalTimeDateStamp,
    ]);
    expect(addressSpace.readU32(numbers)).toBe(1);
    const path = addressSpace.read(addressSpace.readU64(paths + 8n), addressSpace.readU16(paths));
    expect(Buffer.from(path).toString('utf16le')).toBe(PATH);

    const unload = () =>
      machine.call('UnloadPatch', 1, 0x50, (at) => {
        addressSpace.writeU32(at(FIELD.unloadPatch.checkSum), identity?.originalCheckSum ?? 0);
        addressSpace.writeU32(at(FIELD.unloadPatch.timeDateStamp), identity?.originalTimeDateStamp ?? 0);
      }).status;
    expect(unload()).toBe('STATUS_SUCCESS');
    expect(driver.codeBytes()).toEqual(driver.codeBytesBeforePatch);
    expect(unload()).toBe('STATUS_NOT_FOUND');
  });

  it('defers a patch whose base is not loaded', async () => {
    using machine = await boot();
    expect(machine.load()).toBe('STATUS_PATCH_DEFERRED');
  });

  it('refuses a file that is not there, and a base identity that the patch is not for', async () => {
    using machine = await boot();
    expect(machine.load('\\??\\C:\\absent.sys')).toBe('STATUS_OBJECT_NAME_NOT_FOUND');
    const wrong = (at: (offset: number) => bigint) =>
      machine.addressSpace.writeU32(at(FIELD.loadPatch.checkSum), 1);
    expect(machine.load(PATH, wrong)).toBe('STATUS_REVISION_MISMATCH');
  });

  it('keeps a list for each user; a SID must be one', async () => {
    using machine = await boot();
    const { addressSpace } = machine;
    const sid = (...parts: number[]) => {
      const bytes = Buffer.alloc(68);
      bytes.writeUInt8(1, 0);
      bytes.writeUInt8(parts.length, 1);
      bytes.writeUInt8(5, 7);
      parts.forEach((part, index) => void bytes.writeUInt32LE(part, 8 + 4 * index));
      return bytes;
    };
    const loadFor = (bytes: Uint8Array) =>
      machine.call('LoadPatchForUser', 2, 0x68, (at) => {
        machine.unicode(at(FIELD.loadPatch.patchPath), PATH);
        addressSpace.write(at(FIELD.loadPatch.sid), bytes);
      }).status;
    expect(loadFor(new Uint8Array(68))).toBe('STATUS_INVALID_SID');
    expect(loadFor(Buffer.alloc(68, 0xff))).toBe('STATUS_INVALID_SID');
    expect(loadFor(sid(21, 1, 2, 3, 1001))).toBe('STATUS_PATCH_DEFERRED');
    const count = (name: 'QueryPatches' | 'QueryPatchesForUser', bytes: Uint8Array) => {
      const { at } = machine.call(name, 2, 0x60, (offset) =>
        addressSpace.write(offset(FIELD.queryPatches.sid), bytes),
      );
      return addressSpace.readU32(at(FIELD.queryPatches.patchCount));
    };
    expect(count('QueryPatchesForUser', sid(21, 1, 2, 3, 1001))).toBe(1);
    expect(count('QueryPatchesForUser', sid(21, 1, 2, 3, 1002))).toBe(0);
    expect(count('QueryPatches', new Uint8Array(68))).toBe(0);
  });
});
