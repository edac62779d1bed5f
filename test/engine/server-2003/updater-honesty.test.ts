import {
  FileSystem,
  type HotfixFile,
  installHotfix,
  Lab,
  type LoadedImage,
  type Process,
  Server2003,
  SYSTEM32,
  SYSWOW64,
} from 'hotpatch-lab';
import { describe, expect, it } from 'vitest';
import { KernelError } from '../../../loader/index.js';
import { fixtureBytes } from '../../support.js';

const ON = '/hotpatch:enable';
const OFF = '';

/** Where the DLLs are 32-bit: on a system of that kind, and under WOW64. */
const SYSTEMS = [
  { system: 'x64', images: 'x64', folder: SYSTEM32, wow64: false },
  { system: 'x64', images: 'x86', folder: SYSWOW64, wow64: true },
  { system: 'x86', images: 'x86', folder: SYSTEM32, wow64: true },
] as const;
type System = (typeof SYSTEMS)[number];

class Machine implements Disposable {
  readonly dll: string;

  private constructor(
    private readonly system: System,
    private readonly lab: Lab<'server-2003'>,
    readonly server: Server2003,
  ) {
    this.dll = `${system.folder}shell.dll`;
  }

  static async boot(system: System, disk = new FileSystem()): Promise<Machine> {
    const { folder, images } = system;
    for (const file of ['shell.dll', 'ntdll.dll'])
      if (!disk.exists(`${folder}${file}`))
        disk.write(`${folder}${file}`, fixtureBytes(`2003/${images}/base/${file}`));
    const lab = await Lab.boot({ architecture: system.system, memorySize: 16 << 20, engine: 'server-2003' });
    return new Machine(system, lab, new Server2003(lab, { disk }));
  }

  get disk(): FileSystem {
    return this.server.disk;
  }

  bytes(file: string): Uint8Array {
    return fixtureBytes(`2003/${this.system.images}/${file}`);
  }

  start(name = 'explorer.exe'): { process: Process; shell: LoadedImage } {
    const process = this.server.startProcess(name, { wow64: this.system.wow64 });
    return { process, shell: this.server.loadDll(process, this.dll) };
  }

  /** Hotfix 1 or 2 of shell.dll; its hotpatch is for the base. */
  hotfix(number: 1 | 2, hotpatch = `shell_hp${number}.dll`): HotfixFile {
    const replacement = this.bytes(`fixed${number}/shell.dll`);
    const bytes = this.bytes(`patch${number}/shell_hp.dll`);
    return { path: this.dll, replacement, hotpatch: { path: `${this.system.folder}${hotpatch}`, bytes } };
  }

  install(commandLine: string, ...files: readonly HotfixFile[]) {
    return installHotfix(this.server, { name: 'KB900000', files }, commandLine);
  }

  /** Which version is on the disk. */
  get version(): number {
    const known = ['base', 'fixed1', 'fixed2'].map((folder) => this.bytes(`${folder}/shell.dll`));
    return known.findIndex(
      (bytes) => Buffer.compare(bytes, this.disk.read(this.dll) ?? bytes.slice(1)) === 0,
    );
  }

  /** The hotpatch of a process's shell.dll that is in force. */
  hotpatchOf(shell: LoadedImage): Uint8Array | undefined {
    return this.server.engine.patchOf(shell)?.image.bytes;
  }

  async reboot(): Promise<Machine> {
    this[Symbol.dispose]();
    return Machine.boot(this.system, this.disk);
  }

  [Symbol.dispose](): void {
    this.server[Symbol.dispose]();
    this.lab[Symbol.dispose]();
  }
}

describe.each(SYSTEMS)('the report of a hotfix on $system, for $images images', (system) => {
  it('a second hotpatch of the same path is another hotpatch: the first one’s file is locked', async () => {
    using machine = await Machine.boot(system);
    const { shell } = machine.start();
    machine.install(ON, machine.hotfix(1, 'shell_hp.dll'));
    expect(machine.disk.isMapped(`${system.folder}shell_hp.dll`)).toBe(true);
    const second = machine.hotfix(2, 'shell_hp.dll');
    expect(machine.install(ON, second)).toMatchObject({ rebootRequired: false, hotpatched: [machine.dll] });
    expect(machine.hotpatchOf(shell)).toEqual(second.hotpatch?.bytes);
    expect(machine.disk.read(`${system.folder}shell_hp.dll`)).toEqual(machine.bytes('patch1/shell_hp.dll'));
  });

  it.each([true, false])(
    'a process that started between two hotfixes runs what the second is not for; the oldest has ended: %s',
    async (hasEnded) => {
      using machine = await Machine.boot(system);
      const { process } = machine.start();
      machine.install(ON, machine.hotfix(1));
      const between = machine.start('between.exe');
      if (hasEnded) process.terminate(0);
      const report = machine.install(ON, machine.hotfix(2));
      expect(report).toMatchObject({ rebootRequired: true, hotpatched: [], coldpatched: [machine.dll] });
      expect(report.reasons.join()).toMatch(hasEnded ? 'STATUS_REVISION_MISMATCH' : 'between.exe');
      between.process.terminate(0);
      expect(machine.install(ON, machine.hotfix(2)).rebootRequired).toBe(false);
    },
  );

  it.each([
    { mode: ON, runs: false, reboot: false },
    { mode: OFF, runs: false, reboot: false },
    { mode: ON, runs: true, reboot: true },
    { mode: OFF, runs: true, reboot: true },
  ])(
    'without a hotpatch, "$mode", the old file runs: $runs, a reboot: $reboot',
    async ({ mode, runs, reboot }) => {
      using machine = await Machine.boot(system);
      if (runs) machine.start();
      const { hotpatch: _, ...plain } = machine.hotfix(1);
      expect(machine.install(mode, plain).rebootRequired).toBe(reboot);
    },
  );

  it('without the switch, an older build that still runs under another name asks for a reboot', async () => {
    using machine = await Machine.boot(system);
    machine.start();
    machine.install(ON, machine.hotfix(1));
    expect(machine.install(OFF, machine.hotfix(2))).toMatchObject({
      rebootRequired: true,
      coldpatched: [machine.dll],
    });
  });

  it('an older hotfix after a newer one changes nothing, and says so', async () => {
    using machine = await Machine.boot(system);
    const { shell } = machine.start();
    machine.install(ON, machine.hotfix(1));
    machine.install(ON, machine.hotfix(2));
    const files = machine.disk.paths;
    expect(machine.install(ON, machine.hotfix(1))).toEqual({
      installed: false,
      rebootRequired: false,
      hotpatched: [],
      coldpatched: [],
      pending: [],
      superseded: [machine.dll],
      reasons: [`${machine.dll}: a newer one is installed already`],
    });
    expect([machine.version, machine.disk.paths]).toEqual([2, files]);
    expect(machine.hotpatchOf(shell)).toEqual(machine.bytes('patch2/shell_hp.dll'));
    using rebooted = await machine.reboot();
    expect(rebooted.install(OFF, rebooted.hotfix(1)).superseded).toEqual([machine.dll]);
    expect(rebooted.version).toBe(2);
  });

  it('the same hotfix again has nothing to do', async () => {
    using machine = await Machine.boot(system);
    machine.start();
    const first = machine.install(ON, machine.hotfix(1));
    const count = machine.disk.operations.length;
    expect(machine.install(ON, machine.hotfix(1))).toEqual(first);
    expect(machine.disk.operations).toHaveLength(count);
  });

  it.each([
    { first: OFF, second: ON },
    { first: OFF, second: OFF },
    { first: ON, second: OFF },
    { first: ON, second: ON },
  ])(
    'two hotfixes, "$first" then "$second": the next boot has the second, and no other file',
    async (modes) => {
      const machine = await Machine.boot(system);
      const paths = machine.disk.paths;
      machine.start();
      machine.install(modes.first, machine.hotfix(1));
      machine.install(modes.second, machine.hotfix(2));
      using rebooted = await machine.reboot();
      expect(rebooted.version).toBe(2);
      expect(rebooted.disk.paths.filter((path) => !/shell_hp/.test(path))).toEqual(paths);
      expect(rebooted.disk.pendingRenames).toEqual([]);
    },
  );

  it('new processes get the new file, or it is not said to be in force everywhere', async () => {
    using machine = await Machine.boot(system);
    machine.start();
    machine.disk.open(machine.dll, { access: 'read', share: ['read'] });
    const report = machine.install(ON, machine.hotfix(1));
    expect(report).toMatchObject({ rebootRequired: true, hotpatched: [], pending: [machine.dll] });
  });

  it('ntdll.dll: the kernel’s section is made anew, so that new processes get it', async () => {
    using machine = await Machine.boot(system);
    const path = `${system.folder}ntdll.dll`;
    const old = machine.start().process;
    const report = machine.install(ON, {
      path,
      replacement: machine.bytes('fixed1/ntdll.dll'),
      hotpatch: { path: `${system.folder}ntdll_hp.dll`, bytes: machine.bytes('patch1/ntdll_hp.dll') },
    });
    expect(report).toMatchObject({ rebootRequired: false, hotpatched: [path] });
    const imageOf = (process: Process) => process.findImage('ntdll.dll')?.image.bytes;
    expect(imageOf(old)).toEqual(machine.bytes('base/ntdll.dll'));
    expect(imageOf(machine.start('later.exe').process)).toEqual(machine.bytes('fixed1/ntdll.dll'));
  });
});

interface Trouble {
  readonly what: string;
  readonly mode: string;
  readonly prepare: (machine: Machine) => void;
  readonly change?: (file: HotfixFile) => HotfixFile;
  readonly report: object;
  readonly version: number;
}

const refusals = new WeakMap<Machine, Disposable>();

const refuse = (machine: Machine, pattern: RegExp) => {
  const { disk } = machine;
  const refusal = disk.onOperation(({ text }) => {
    if (pattern.test(text))
      throw new KernelError({ rule: 'disk.full', status: 'STATUS_DISK_FULL', message: 'no room' });
  });
  refusals.set(machine, refusal);
};

const TROUBLES: readonly Trouble[] = [
  {
    what: 'somebody has the hotpatch file open',
    mode: ON,
    prepare: ({ disk }) => {
      disk.write(`${SYSTEM32}shell_hp1.dll`, new Uint8Array(4));
      disk.open(`${SYSTEM32}shell_hp1.dll`, { access: 'read', share: ['read'] });
    },
    report: { installed: true, rebootRequired: true, hotpatched: [] },
    version: 1,
  },
  {
    what: 'the disk is full at the hotpatch file',
    mode: ON,
    prepare: (machine) => refuse(machine, /shell_hp1/),
    report: { installed: true, rebootRequired: true, hotpatched: [] },
    version: 1,
  },
  {
    what: 'the hotpatch is no image',
    mode: ON,
    prepare: () => undefined,
    change: ({ hotpatch, ...file }) =>
      hotpatch === undefined ? file : { ...file, hotpatch: { ...hotpatch, bytes: new Uint8Array(100) } },
    report: { installed: true, rebootRequired: true, hotpatched: [] },
    version: 1,
  },
  {
    what: 'the file is open elsewhere, without the switch',
    mode: OFF,
    prepare: ({ disk, dll }) => void disk.open(dll, { access: 'read', share: ['read'] }),
    report: { installed: true, rebootRequired: true, pending: [`${SYSTEM32}shell.dll`] },
    version: 0,
  },
  ...[ON, OFF].flatMap((mode) =>
    [/\.boot/, /pendingRenames/].map((pattern) => ({
      what: `the disk refuses ${pattern.source}, "${mode}"`,
      mode,
      prepare: (machine: Machine) => refuse(machine, pattern),
      report: { installed: false, rebootRequired: false, pending: [], coldpatched: [] },
      version: 0,
    })),
  ),
];

describe('what the disk refuses ends in the report', () => {
  it.each(TROUBLES)('$what', async ({ mode, prepare, change = (file) => file, report, version }) => {
    using machine = await Machine.boot(SYSTEMS[0]);
    machine.start();
    prepare(machine);
    const paths = machine.disk.paths;
    const found = machine.install(mode, change(machine.hotfix(1)));
    expect(found).toMatchObject(report);
    expect(found.reasons).not.toEqual([]);
    expect(machine.version).toBe(version);
    if (!found.installed) {
      expect(machine.disk.paths).toEqual(paths);
      expect(machine.disk.pendingRenames).toEqual([]);
    }
    refusals.get(machine)?.[Symbol.dispose]();
    using rebooted = await machine.reboot();
    expect(rebooted.version).toBe(found.installed ? 1 : 0);
  });
});
