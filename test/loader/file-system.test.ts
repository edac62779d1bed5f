import { FileSystem, type OpenFile } from 'hotpatch-lab';
import { describe, expect, it } from 'vitest';

const bytes = (value: number) => Uint8Array.of(value);

function disk(): FileSystem {
  const made = new FileSystem();
  made.write('C:\\a.dll', bytes(1));
  made.write('C:\\b.dll', bytes(2));
  return made;
}

const openBoth = (on: FileSystem): [OpenFile, OpenFile] => [
  on.open('c:\\A.DLL', { access: 'delete' }),
  on.open('C:\\b.dll', { access: 'delete' }),
];

describe('a disk with files in use', () => {
  it.each([
    ['written', (on: FileSystem) => on.write('C:\\a.dll', bytes(3)), 'STATUS_USER_MAPPED_FILE'],
    ['deleted', (on: FileSystem) => on.delete('C:\\a.dll'), 'STATUS_CANNOT_DELETE'],
    [
      'opened for writing',
      (on: FileSystem) => on.open('C:\\a.dll', { access: 'write' }),
      'STATUS_SHARING_VIOLATION',
    ],
  ])('a mapped image cannot be %s', (_, act, status) => {
    const on = disk();
    const section = on.mapImage('C:\\a.dll');
    expect(() => act(on)).toThrow(status);
    section[Symbol.dispose]();
    expect(() => act(on)).not.toThrow();
  });

  it('what the first opener does not share, nobody else gets', () => {
    const on = disk();
    const file = on.open('C:\\a.dll', { access: 'read' });
    expect(() => on.write('C:\\a.dll', bytes(3))).toThrow('STATUS_SHARING_VIOLATION');
    expect(() => on.open('C:\\a.dll', { access: 'read' })).not.toThrow();
    expect(() => on.delete('C:\\a.dll')).toThrow('STATUS_SHARING_VIOLATION');
    file.close();
    expect(() => on.open('C:\\none', { access: 'read' })).toThrow('STATUS_OBJECT_NAME_NOT_FOUND');
  });

  it('a mapped file can be renamed, and its handle knows the new name', () => {
    const on = disk();
    using _ = on.mapImage('C:\\a.dll');
    const [file] = openBoth(on);
    expect(() => on.rename(file, 'C:\\b.dll')).toThrow('STATUS_OBJECT_NAME_COLLISION');
    on.rename(file, 'C:\\c.dll');
    expect(file.path).toBe('C:\\c.dll');
    expect(on.paths).toEqual(['C:\\b.dll', 'C:\\c.dll']);
  });

  it('the power may fail before any operation: a swap is done or not done, two renames can be half done', () => {
    const names = (on: FileSystem) => ['C:\\a.dll', 'C:\\b.dll'].map((path) => on.read(path)?.[0]);
    const failBefore = (on: FileSystem, count: number) => {
      let left = count;
      return on.onOperation(() => {
        if (left-- === 0) throw new Error('power failure');
      });
    };
    const swapped = disk();
    const files = openBoth(swapped);
    const failure = failBefore(swapped, 0);
    expect(() => swapped.swap(...files)).toThrow('power failure');
    expect(names(swapped)).toEqual([1, 2]);
    failure[Symbol.dispose]();
    swapped.swap(...files);
    expect(names(swapped)).toEqual([2, 1]);

    const renamed = disk();
    const [a, b] = openBoth(renamed);
    failBefore(renamed, 1);
    renamed.rename(a, 'C:\\a.old');
    expect(() => renamed.rename(b, 'C:\\a.dll')).toThrow('power failure');
    expect(names(renamed)[0]).toBeUndefined();
  });

  it('a boot frees every file and makes the pending replacements', () => {
    const on = disk();
    on.mapImage('C:\\a.dll');
    on.open('C:\\b.dll', { access: 'read' });
    on.replaceAtBoot('C:\\b.dll', 'C:\\a.dll');
    on.startBoot();
    expect(on.read('C:\\a.dll')).toEqual(bytes(2));
    expect(on.exists('C:\\b.dll')).toBe(false);
    expect(on.pendingRenames).toEqual([]);
    expect(on.isMapped('C:\\a.dll')).toBe(false);
  });
});
