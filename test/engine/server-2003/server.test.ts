import { FileSystem, Lab, type LoadedImage, Server2003, SYSTEM32, SYSWOW64 } from 'hotpatch-lab';
import { FLG_HOTPATCH } from 'hotpatch-lab/engine';
import { findSymbols } from 'hotpatch-lab/image';
import { describe, expect, it } from 'vitest';
import { fixture, fixtureBytes } from '../../support.js';
import { CALLERS, Machine } from './machine.js';

const DRIVER = `${SYSTEM32}packets.sys`;

describe.each(CALLERS)('files that images lock, for $caller', (caller) => {
  const locked = ({ disk }: Machine) => disk.paths.filter((path) => disk.isMapped(path));

  it('are free when the last process that maps them has ended', async () => {
    using machine = await Machine.boot(caller);
    const { shell, ntdll, server, process } = machine;
    const other = machine.start('other.exe');
    server.loadDll(other, shell);
    expect(locked(machine)).toEqual([ntdll, shell]);
    process.terminate();
    expect(locked(machine)).toEqual([ntdll, shell]);
    other.terminate();
    // The kernel keeps its section of ntdll for processes to come.
    expect(locked(machine)).toEqual([ntdll]);
    expect(() => machine.disk.delete(ntdll)).toThrow('STATUS_CANNOT_DELETE');
    machine.disk.delete(shell);
  });

  it('a DLL that is loaded twice is one image, and locks its file once', async () => {
    using machine = await Machine.boot(caller);
    const { shell, server, process } = machine;
    const again = server.loadDll(process, shell);
    expect(process.domain.images.filter((image) => image === again)).toHaveLength(1);
    process.terminate();
    expect(machine.disk.isMapped(shell)).toBe(false);
  });

  it('whose image cannot be loaded are not locked', async () => {
    using machine = await Machine.boot(caller);
    const { shellNew, server } = machine;
    const process = machine.start('ended.exe');
    process.terminate();
    expect(() => server.loadDll(process, shellNew)).toThrow();
    expect(machine.disk.isMapped(shellNew)).toBe(false);
    expect(() => server.loadDll(process, `${shellNew}.absent`)).toThrow('on the disk');
  });

  it('are all free when the system is switched off', async () => {
    const machine = await Machine.boot(caller);
    const { disk } = machine;
    machine.start('other.exe');
    expect(disk.paths.filter((path) => disk.isMapped(path))).toHaveLength(2);
    machine[Symbol.dispose]();
    expect(disk.paths.filter((path) => disk.isMapped(path))).toEqual([]);
    for (const path of disk.paths) disk.delete(path);
  });

  it('RELOAD_NTDLL frees the old ntdll.dll when nobody maps it any more', async () => {
    using machine = await Machine.boot(caller);
    const { ntdll, ntdllNew, process, disk } = machine;
    machine.exchange(FLG_HOTPATCH.MAP_ATOMIC_SWAP, ntdll, ntdllNew);
    machine.call(FLG_HOTPATCH.RELOAD_NTDLL);
    expect([disk.isMapped(ntdll), disk.isMapped(ntdllNew)]).toEqual([true, true]);
    process.terminate();
    expect([disk.isMapped(ntdll), disk.isMapped(ntdllNew)]).toEqual([true, false]);
  });

  it('RELOAD_NTDLL without any ntdll.dll on the disk: later processes have none', async () => {
    using machine = await Machine.boot(caller);
    const { ntdll, ntdllNew, disk } = machine;
    const file = disk.open(ntdll, { access: 'delete' });
    disk.rename(file, `${ntdll}.moved`);
    machine.call(FLG_HOTPATCH.RELOAD_NTDLL);
    expect(machine.start('later.exe').findImage('ntdll.dll')).toBeUndefined();
    expect(disk.isMapped(ntdllNew)).toBe(false);
  });
});

async function boot(architecture: 'x86' | 'x64', files: Readonly<Record<string, string>>) {
  const disk = new FileSystem();
  for (const [path, file] of Object.entries(files)) disk.write(path, fixtureBytes(`2003/${file}`));
  const lab = await Lab.boot({ architecture, memorySize: 16 << 20, engine: 'server-2003' });
  const server = new Server2003(lab, { disk });
  return {
    lab,
    disk,
    server,
    [Symbol.dispose]: () => {
      server[Symbol.dispose]();
      lab[Symbol.dispose]();
    },
  };
}

describe('a driver', () => {
  it('locks its file until it is unloaded', async () => {
    using one = await boot('x64', { [DRIVER]: 'x64/base/packets.sys' });
    const { table } = findSymbols(fixture('2003/x64/base/packets.sys'));
    const driver: LoadedImage = one.server.loadDriver(DRIVER, table);
    expect(driver.baseDllName).toBe('packets.sys');
    expect(driver.describe(driver.symbol('HandleRequest'))).toBe('packets!HandleRequest');
    expect(one.disk.isMapped(DRIVER)).toBe(true);
    one.lab.kernel.unloadImage(driver);
    expect(one.disk.isMapped(DRIVER)).toBe(false);
  });

  it('that is loaded again after it was unloaded locks its file again', async () => {
    using one = await boot('x64', { [DRIVER]: 'x64/base/packets.sys' });
    for (let count = 0; count < 2; count++) {
      const driver = one.server.loadDriver(DRIVER);
      expect(one.disk.isMapped(DRIVER)).toBe(true);
      one.lab.kernel.unloadImage(driver);
      expect(one.disk.isMapped(DRIVER)).toBe(false);
    }
  });
});

describe('ntdll.dll of a process', () => {
  const NATIVE = `${SYSTEM32}ntdll.dll`;
  const WOW64 = `${SYSWOW64}ntdll.dll`;
  it.each([
    { system: 'x64', wow64: false, machine: 'x64' },
    { system: 'x64', wow64: true, machine: 'x86' },
    { system: 'x86', wow64: true, machine: 'x86' },
    { system: 'x86', wow64: false, machine: 'x86' },
  ] as const)('$system, WOW64 $wow64: that of $machine', async ({ system, wow64, machine }) => {
    using one = await boot(system, {
      [NATIVE]: `${system}/base/ntdll.dll`,
      ...(system === 'x64' ? { [WOW64]: 'x86/base/ntdll.dll' } : {}),
    });
    const process = one.server.startProcess('program.exe', { wow64 });
    expect(process.findImage('ntdll.dll')?.image.architecture).toBe(machine);
  });

  it('is not one of another processor', async () => {
    using one = await boot('x64', { [NATIVE]: 'x86/base/ntdll.dll', [WOW64]: 'x64/base/ntdll.dll' });
    for (const wow64 of [false, true]) {
      const process = one.server.startProcess('program.exe', { wow64 });
      expect(process.findImage('ntdll.dll')).toBeUndefined();
    }
  });

  it('a reboot frees what the system before held, and makes the replacements that wait', async () => {
    using one = await boot('x64', { [DRIVER]: 'x64/base/packets.sys' });
    one.server.loadDriver(DRIVER);
    one.disk.write(`${DRIVER}.new`, fixtureBytes('2003/x64/fixed1/packets.sys'));
    one.disk.replaceAtBoot(`${DRIVER}.new`, DRIVER);
    using lab = await Lab.boot({ architecture: 'x64', memorySize: 16 << 20, engine: 'server-2003' });
    using _ = new Server2003(lab, { disk: one.disk });
    expect(one.disk.isMapped(DRIVER)).toBe(false);
    expect(one.disk.read(DRIVER)).toEqual(fixtureBytes('2003/x64/fixed1/packets.sys'));
  });
});
