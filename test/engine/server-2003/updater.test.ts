import {
  FileSystem,
  type Hotfix,
  type HotfixFile,
  installHotfix,
  Lab,
  optsIn,
  type Process,
  Server2003,
  SYSTEM32,
} from 'hotpatch-lab';
import { describe, expect, it } from 'vitest';
import { fixtureBytes } from '../../support.js';

const ENABLE = '/quiet /hotpatch:enable';
const DLL = `${SYSTEM32}shell.dll`;
const DRIVER = `${SYSTEM32}drivers\\packets.sys`;
const FOLDER = 'C:\\WINDOWS\\hotpatch\\';
const bytes = (file: string) => fixtureBytes(`2003/x64/${file}`);

const SHELL: HotfixFile = {
  path: DLL,
  replacement: bytes('fixed1/shell.dll'),
  hotpatch: { path: `${FOLDER}shell_hp.dll`, bytes: bytes('patch1/shell_hp.dll') },
};
const PACKETS: HotfixFile = {
  path: DRIVER,
  replacement: bytes('fixed1/packets.sys'),
  hotpatch: { path: `${FOLDER}packets_hp.sys`, bytes: bytes('patch1/packets_hp.sys') },
};
const COLD: HotfixFile = { path: DLL, replacement: bytes('fixed1/shell.dll') };

class Machine implements Disposable {
  readonly process: Process;

  private constructor(
    private readonly lab: Lab<'server-2003'>,
    readonly server: Server2003,
  ) {
    this.process = server.startProcess('explorer.exe');
  }

  static async boot(disk?: FileSystem): Promise<Machine> {
    const files = disk ?? new FileSystem();
    if (disk === undefined) {
      files.write(DLL, bytes('base/shell.dll'));
      files.write(DRIVER, bytes('base/packets.sys'));
    }
    const lab = await Lab.boot({ architecture: 'x64', memorySize: 16 << 20, engine: 'server-2003' });
    return new Machine(lab, new Server2003(lab, { disk: files }));
  }

  get disk(): FileSystem {
    return this.server.disk;
  }

  /** Whether each module runs: shell.dll in a process, packets.sys in the kernel. */
  use(...paths: readonly string[]): this {
    if (paths.includes(DLL)) this.server.loadDll(this.process, DLL);
    if (paths.includes(DRIVER)) this.server.loadDriver(DRIVER);
    return this;
  }

  install(commandLine: string, ...files: readonly HotfixFile[]) {
    const hotfix: Hotfix = { name: 'KB911897', files };
    return installHotfix(this.server, hotfix, commandLine);
  }

  get states(): string[] {
    return this.server.engine.patches.map(({ name, state }) => `${name} ${state}`);
  }

  get names(): string[] {
    return this.lab.kernel.processes.map(({ name }) => name);
  }

  get told(): string[] {
    return this.lab.events.flatMap(({ kind, text }) =>
      ['hotfix', 'hotfixDone', 'systemCall'].includes(kind) && text.startsWith('KB') ? [text] : [],
    );
  }

  [Symbol.dispose](): void {
    this.server[Symbol.dispose]();
    this.lab[Symbol.dispose]();
  }
}

describe('the switch of a hotfix', () => {
  it.each([
    ['/hotpatch:enable', true],
    ['/quiet  /HotPatch:Enable /norestart', true],
    ['', false],
    ['/hotpatch:disable', false],
    ['/hotpatch', false],
    ['x/hotpatch:enable', false],
  ])('%s: %s', (commandLine, expected) => expect(optsIn(commandLine)).toBe(expected));
});

interface Case {
  readonly what: string;
  readonly commandLine?: string;
  readonly uses: readonly string[];
  readonly files: readonly HotfixFile[];
  readonly report: Partial<ReturnType<typeof installHotfix>>;
  readonly states?: readonly string[];
  readonly prepare?: (machine: Machine) => void;
}

const NONE = {
  installed: true,
  rebootRequired: false,
  hotpatched: [],
  coldpatched: [],
  pending: [],
  superseded: [],
  reasons: [],
};

const CASES: readonly Case[] = [
  {
    what: 'without the switch, a file that nobody uses is replaced',
    uses: [],
    files: [SHELL],
    report: { ...NONE, coldpatched: [DLL] },
  },
  {
    what: 'without the switch, files in use wait for the next boot',
    uses: [DLL],
    files: [SHELL, PACKETS],
    report: {
      ...NONE,
      rebootRequired: true,
      coldpatched: [DRIVER],
      pending: [DLL],
      reasons: [`${DLL} is in use`],
    },
  },
  {
    what: 'with it, a DLL and a driver are swapped and hotpatched',
    commandLine: ENABLE,
    uses: [DLL, DRIVER],
    files: [SHELL, PACKETS],
    report: { ...NONE, hotpatched: [DLL, DRIVER], coldpatched: [DLL, DRIVER] },
    states: ['shell_hp.dll applied', 'packets_hp.sys applied'],
  },
  {
    what: 'with it, what nobody runs needs no hotpatch',
    commandLine: ENABLE,
    uses: [],
    files: [SHELL, PACKETS],
    report: { ...NONE, hotpatched: [DLL, DRIVER], coldpatched: [DLL, DRIVER] },
  },
  {
    what: 'with it, a file without a hotpatch is swapped, and needs a reboot',
    commandLine: ENABLE,
    uses: [DLL],
    files: [COLD],
    report: {
      ...NONE,
      rebootRequired: true,
      coldpatched: [DLL],
      reasons: [`${DLL} could not be hotpatched (STATUS_NOT_SUPPORTED)`],
    },
  },
  {
    what: 'with it, a hotpatch that another build is meant for',
    commandLine: ENABLE,
    uses: [],
    files: [SHELL],
    report: {
      ...NONE,
      rebootRequired: true,
      coldpatched: [DLL],
      reasons: [`${DLL} could not be hotpatched (STATUS_REVISION_MISMATCH)`],
    },
    prepare: ({ server, process, disk }) => {
      disk.write(`${FOLDER}shell.dll`, bytes('fixed1/shell.dll'));
      server.loadDll(process, `${FOLDER}shell.dll`);
    },
  },
  ...[{}, { share: [] }].map((options) => ({
    what: `with it, a file that somebody has open${'share' in options ? ', and shares with nobody' : ''}`,
    commandLine: ENABLE,
    uses: [DLL],
    files: [SHELL],
    report: {
      rebootRequired: true,
      hotpatched: [],
      coldpatched: [],
      pending: [DLL],
      reasons: [`${DLL} could not be swapped (STATUS_SHARING_VIOLATION)`],
    },
    states: ['shell_hp.dll applied'],
    prepare: ({ disk }: Machine) => void disk.open(DLL, { access: 'read', ...options }),
  })),
];

describe('a hotfix', () => {
  it.each(CASES)('$what', async ({ commandLine = '', uses, files, report, states = [], prepare }) => {
    using machine = (await Machine.boot()).use(...uses);
    prepare?.(machine);
    const names = machine.names;
    expect(machine.install(commandLine, ...files)).toMatchObject(report);
    expect(machine.states).toEqual(states);
    expect(machine.names).toEqual(names);
  });

  it('makes its changes to the disk and leaves nothing open', async () => {
    using machine = (await Machine.boot()).use(DLL);
    const beside = DLL.replace('.dll', '.new.dll');
    const old = machine.disk.read(DLL);
    machine.install(ENABLE, SHELL);
    expect(machine.disk.paths).toEqual([SHELL.hotpatch?.path, DRIVER, DLL, beside].sort());
    expect([machine.disk.read(DLL), machine.disk.read(beside)]).toEqual([SHELL.replacement, old]);
    expect(machine.disk.pendingRenames).toEqual([{ from: beside }]);
    for (const path of machine.disk.paths) machine.disk.open(path, { access: 'delete', share: [] }).close();
    // The old build runs, with the hotpatch beside it; the new one is nobody's yet.
    expect(machine.disk.paths.filter((path) => machine.disk.isMapped(path))).toEqual([
      SHELL.hotpatch?.path,
      beside,
    ]);
  });

  it.each([
    { what: 'with the switch', commandLine: ENABLE },
    { what: 'without it', commandLine: '' },
  ])(
    '$what, a second one replaces the file although the oldest build still runs',
    async ({ commandLine }) => {
      using machine = (await Machine.boot()).use(DLL);
      machine.install(ENABLE, COLD);
      const second = { path: DLL, replacement: bytes('fixed2/shell.dll') };
      machine.use(DLL);
      const report = machine.install(commandLine, second);
      expect([...report.coldpatched, ...report.pending]).toEqual([DLL]);
      using rebooted = await Machine.boot(machine.disk);
      expect(rebooted.disk.read(DLL)).toEqual(second.replacement);
    },
  );

  it.each([
    { what: 'files in use without the switch', commandLine: '', share: ['read', 'write', 'delete'] as const },
    { what: 'files whose swap was refused', commandLine: ENABLE, share: ['read'] as const },
  ])('$what are replaced by the next boot', async ({ commandLine, share }) => {
    using machine = (await Machine.boot()).use(DLL);
    const old = machine.disk.read(DLL);
    machine.disk.open(DLL, { access: 'read', share });
    machine.install(commandLine, SHELL);
    expect(machine.disk.read(DLL)).toEqual(old);
    const count = machine.disk.paths.length;
    using rebooted = await Machine.boot(machine.disk);
    expect(rebooted.disk.read(DLL)).toEqual(SHELL.replacement);
    expect(rebooted.disk.paths).toHaveLength(count - 1);
  });

  it('whose disk fails ends its process', async () => {
    using machine = (await Machine.boot()).use(DLL);
    const { names, disk } = machine;
    using _failure = disk.onOperation(({ kind }) => {
      if (kind === 'swap') throw new Error('power failure');
    });
    expect(() => machine.install(ENABLE, SHELL)).toThrow('power failure');
    expect(machine.names).toEqual(names);
  });

  it('tells what it calls, and whether a reboot is required', async () => {
    using machine = (await Machine.boot()).use(DLL, DRIVER);
    machine.install(ENABLE, SHELL, PACKETS);
    const call = (flags: string) =>
      `KB911897.exe: NtSetSystemInformation(SystemHotpatchInformation, Flags ${flags}): STATUS_SUCCESS`;
    expect(machine.told).toEqual([
      'KB911897.exe /quiet /hotpatch:enable',
      ...['08000000', '08000000', '21000001', 'a0000001'].map(call),
      'KB911897: no reboot is required',
    ]);
  });
});
