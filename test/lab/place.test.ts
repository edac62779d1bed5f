import { KernelError, Lab } from 'hotpatch-lab';
import { describe, expect, it } from 'vitest';

const fixtures = 'test/fixtures/x64';

function boot(options: { hpatLayout?: 'pairs' | 'pointers'; retpoline?: boolean } = {}) {
  const lab = Lab.boot({ architecture: 'x64', ...options });
  const driver = lab.loadDriver(`${fixtures}/base/packets.sys`);
  return { lab, driver, [Symbol.dispose]: () => lab[Symbol.dispose]() };
}

describe('lab.address', () => {
  it('is the inverse of lab.describe', () => {
    using machine = boot({ retpoline: true });
    const { lab, driver } = machine;
    const places = [
      driver.symbol('Checksum'),
      driver.symbol('Checksum', 2),
      driver.hpat?.codeSlot(3),
      driver.hpat?.dataSlot(3),
      driver.retpolinePage,
    ];
    for (const address of places) {
      if (address === undefined) throw new Error('the driver has an HPAT and a retpoline page');
      expect(lab.address(lab.describe(address).replace(/\+0x0$/, ''))).toBe(address);
    }
    expect(lab.address('packets+0x1000')).toBe(driver.address(0x1000));
    expect(lab.address('PACKETS.SYS!PacketsSeen')).toBe(driver.symbol('PacketsSeen'));
    expect(lab.address('packets!__guard_retpoline_jump_hpat')).toBe(driver.jumpHpat);
  });

  it.each([
    ['nothing!Checksum', 'moduleNotFound'],
    ['packets!Nothing', 'symbolNotFound'],
    ['packets!HPAT[0].code', 'location'],
    ['packets!retpoline', 'location'],
  ])('%s is refused: %s', (location, rule) => {
    using machine = boot({ hpatLayout: 'pointers' });
    expect(() => machine.lab.address(location)).toThrow(expect.objectContaining({ rule }));
  });

  it('wants to know where, when a DLL lies at two addresses', () => {
    using lab = Lab.boot({ architecture: 'x64' });
    lab.addFile(`${fixtures}/hpimport.dll`);
    const [one, two] = [lab.createProcess('a.exe'), lab.createProcess('b.exe')];
    const first = lab.loadDll(one, `${fixtures}/base/demo.dll`);
    expect(lab.address('demo!fib')).toBe(first.symbol('fib'));
    lab.allocate(new Uint8Array(4), { domain: two });
    expect(lab.address('demo!fib', { domain: one })).toBe(first.symbol('fib'));
    expect(() => lab.address('demo!fib', { domain: two })).toThrow('moduleNotFound');
  });
});

describe('memory of a place', () => {
  it.each([
    ['kernel space', 'system'],
    ['a process by its name', 'a.exe'],
    ['a session', 'session 1'],
    ['VTL1', 'vtl1'],
  ])('is given to %s', (_what, name) => {
    using lab = Lab.boot({ architecture: 'x64' });
    lab.createSession();
    lab.createProcess('a.exe');
    const domain = lab.kernel.domains.find((candidate) => candidate.name.startsWith(name));
    if (domain === undefined) throw new Error(`no ${name}`);
    const data = lab.allocate(Uint8Array.of(1, 2, 3), { domain: name });
    expect([...domain.addressSpace.read(data, 3)]).toEqual([1, 2, 3]);
    const code = lab.allocateCode(Uint8Array.of(0xb8, 0x2a, 0, 0, 0, 0xc3), { domain }); // mov eax, 42; ret
    expect(lab.kernel.call(code, [], { domain })).toBe(42);
  });

  it('gives code pages that end where the code ends', () => {
    using lab = Lab.boot({ architecture: 'x64' });
    const process = lab.createProcess('a.exe');
    const code = lab.allocateCode(new Uint8Array(0x1801).fill(0xc3), { domain: process });
    const protection = (address: bigint) => process.addressSpace.query(address).protection;
    expect([protection(code), protection(code + 0x1800n)]).toEqual([
      'PAGE_EXECUTE_READ',
      'PAGE_EXECUTE_READ',
    ]);
    expect(process.call(code + 0x1800n)).toBe(process.call(code));
  });

  it('says which places there are', () => {
    using lab = Lab.boot({ architecture: 'x64' });
    lab.createProcess('a.exe');
    lab.createProcess('a.exe');
    const refused = (domain: string) => {
      try {
        return lab.allocate('text', { domain });
      } catch (error) {
        return error instanceof KernelError ? [error.rule, error.hint] : error;
      }
    };
    expect(refused('b.exe')).toEqual(['placeNotFound', expect.stringContaining('a.exe (')]);
    expect(refused('a.exe')).toEqual(['placeAmbiguous', expect.stringContaining('give the process itself')]);
  });
});

describe('images where they cannot run', () => {
  it('a DLL of user mode names loadDll', () => {
    using lab = Lab.boot({ architecture: 'x64' });
    const load = () => lab.loadImage('test/loader/fixtures/x64/seh.dll');
    expect(load).toThrow(/which only processes have/);
    expect(load).toThrow(
      expect.objectContaining({ rule: 'userModeImage', hint: expect.stringContaining('loadDll') }),
    );
  });

  it('VTL1 without virtualization-based security says so', () => {
    using lab = Lab.boot({ architecture: 'x64', vbs: false });
    expect(() => lab.loadSecureImage(`${fixtures}/base/demo.dll`)).toThrow('secureKernelNotRunning');
  });
});
