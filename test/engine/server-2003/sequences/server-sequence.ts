import { createHash } from 'node:crypto';
import { installHotfix, Server2003, SYSTEM32 } from '../../../../engine/index.js';
import {
  type BuiltImage,
  encodeHotp1,
  HOOK_TYPE,
  ImageBuilder,
  MODULE_ID_METHOD,
  moduleIdValue,
} from '../../../../image/index.js';
import { Lab } from '../../../../lab/index.js';
import { SeededRandom } from '../../../../loader/common/index.js';
import { FileSystem, type LoadedImage, type OpenFile, type Process } from '../../../../loader/index.js';
import type { Processor } from './module.js';
import { follow } from './ways.js';

const PATH = `${SYSTEM32}module.dll`;
const FUNCTIONS = 3;
const VERSIONS = 7;
const MOST_PROCESSES = 4;

/** What a function of a version returns: the number of the function, and a thousand for the last hotfix that changed it. */
const resultOf = (index: number, version: number): number =>
  1 + index + 1000 * (index < FUNCTIONS ? Math.max(0, version - index) : 0);

function code(value: number): number[] {
  return [0x8b, 0xff, 0xb8, value & 0xff, value >> 8, 0, 0, 0xc3];
}

function build(processor: Processor, version: number): BuiltImage {
  const builder = new ImageBuilder(processor, {
    subsystem: 'WINDOWS_CUI',
    dll: true,
    name: 'module.dll',
    functionPadding: 6,
    timeDateStamp: 0x5000_0000 + version,
  });
  for (let index = 0; index < FUNCTIONS; index++) builder.code(`f${index}`, code(resultOf(index, version)));
  return builder.build();
}

/** Builds, and the hotpatch of each hotfix, which is for the first build: every hotfix has the ones before it in it. */
export class Builds {
  readonly files: readonly BuiltImage[];
  readonly hotpatches: readonly Uint8Array[];
  readonly digests: readonly string[];

  constructor(readonly processor: Processor) {
    this.files = Array.from({ length: VERSIONS }, (_, version) => build(processor, version));
    const [base] = this.files;
    if (base === undefined) throw new RangeError('no builds');
    this.digests = this.files.map(({ bytes }) => createHash('sha256').update(bytes).digest('hex'));
    this.hotpatches = this.files.map((_, version) => hotpatch(base, processor, version));
  }

  bytes(version: number): Uint8Array {
    return this.files[version]?.bytes ?? new Uint8Array();
  }

  versionOf(bytes: Uint8Array | undefined): number {
    return this.files.findIndex((file) => bytes !== undefined && Buffer.compare(file.bytes, bytes) === 0);
  }
}

function hotpatch(base: BuiltImage, processor: Processor, version: number): Uint8Array {
  const changed = Array.from({ length: FUNCTIONS }, (_, index) => index).filter(
    (index) => resultOf(index, version) !== resultOf(index, 0),
  );
  const builder = new ImageBuilder(processor, {
    subsystem: 'WINDOWS_CUI',
    dll: true,
    name: 'module_hp.dll',
    timeDateStamp: 0x6000_0000 + version,
  });
  for (const index of changed) builder.code(`g${index}`, code(resultOf(index, version)));
  if (changed.length === 0) builder.code('nothing', [0xc3]);
  return builder
    .section('.hotp1', 0x4000_0040)
    .data(
      'hotp1',
      (layout) =>
        encodeHotp1(
          {
            hooks: changed.flatMap((index) => {
              const f = base.rva(`f${index}`);
              return [
                { type: HOOK_TYPE.X86_JMP, options: 5, hookRva: f - 5, hotpRva: layout.rva(`g${index}`) },
                { type: HOOK_TYPE.X86_JMP2B, options: 2, hookRva: f, hotpRva: 0xf9 },
              ];
            }),
            origHotpBaseAddress: 0n,
            origTargetBaseAddress: base.image.optionalHeader.imageBase,
            targetName: 'module.dll',
            moduleIdMethod: MODULE_ID_METHOD.PeChecksum,
            moduleIdValue: moduleIdValue(base.image, 'PeChecksum'),
          },
          layout.rva('hotp1'),
        ),
      { section: '.hotp1' },
    )
    .build().bytes;
}

class PowerFailure extends Error {}

interface Member {
  readonly process: Process;
  readonly module: LoadedImage;
}

/** A random sequence of hotfixes, processes, reboots and power failures on one disk. */
export class ServerSequence {
  readonly log: string[] = [];
  readonly broken: string[] = [];
  readonly done: Record<string, number> = {};
  readonly #random: SeededRandom;
  readonly #disk = new FileSystem();
  #lab: Lab<'server-2003'> | undefined;
  #server: Server2003 | undefined;
  #members: Member[] = [];
  #opened: OpenFile | undefined;
  /** The newest hotfix that was installed, whether or not it is on the disk yet. */
  #installed = 0;

  constructor(
    private readonly builds: Builds,
    seed: number,
  ) {
    this.#random = new SeededRandom(seed);
    this.#disk.write(PATH, builds.bytes(0));
  }

  async run(steps = 8): Promise<void> {
    try {
      await this.#boot();
      for (let step = 0; step < steps && this.broken.length === 0; step++) {
        await this.#step();
        this.#check();
      }
      if (this.broken.length === 0) await this.#reboot();
    } finally {
      this.#off();
    }
  }

  #pick(most: number): number {
    return this.#random.between(0, most - 1);
  }

  #count(kind: string): void {
    this.done[kind] = (this.done[kind] ?? 0) + 1;
  }

  async #step(): Promise<void> {
    const kind = this.#pick(12);
    if (kind < 3) this.#start();
    else if (kind < 4) this.#end();
    else if (kind < 9) await this.#install(this.#pick(5) === 0);
    else if (kind < 10) this.#open();
    else await this.#reboot();
  }

  async #boot(): Promise<void> {
    const { processor } = this.builds;
    this.#lab = await Lab.boot({ architecture: processor, memorySize: 8 << 20, engine: 'server-2003' });
    this.#server = new Server2003(this.#lab, { disk: this.#disk });
  }

  #off(): void {
    this.#members = [];
    this.#opened = undefined;
    this.#server?.[Symbol.dispose]();
    this.#lab?.[Symbol.dispose]();
    this.#server = undefined;
    this.#lab = undefined;
  }

  async #reboot(): Promise<void> {
    this.log.push('reboot');
    this.#count('reboot');
    this.#off();
    await this.#boot();
    const version = this.builds.versionOf(this.#disk.read(PATH));
    if (version !== this.#installed)
      this.broken.push(`version ${version} is on the disk after a reboot, installed was ${this.#installed}`);
    this.#noLeftOvers();
  }

  #noLeftOvers(): void {
    const left = this.#disk.paths.filter((path) => path !== PATH && !/module_hp/.test(path));
    if (left.length > 0 || this.#disk.pendingRenames.length > 0)
      this.broken.push(`left over: ${left.join()}`);
  }

  #start(): void {
    if (this.#server === undefined || this.#members.length >= MOST_PROCESSES) return;
    const process = this.#server.startProcess('p.exe');
    const module = this.#server.loadDll(process, PATH);
    this.#members.push({ process, module });
    this.log.push(`start a process with version ${this.#fileOf(module)}`);
    this.#count('process');
  }

  #end(): void {
    const member = this.#members.splice(this.#pick(Math.max(1, this.#members.length)), 1)[0];
    member?.process.terminate();
    this.log.push('end');
  }

  /** Somebody opens the file without sharing `delete`, or closes it. */
  #open(): void {
    if (this.#opened?.isOpen === true) {
      this.#opened.close();
      this.#opened = undefined;
      this.log.push('close');
    } else {
      this.#opened = this.#disk.open(PATH, { access: 'read', share: ['read'] });
      this.log.push('open');
    }
  }

  async #install(isCut: boolean): Promise<void> {
    const server = this.#server;
    if (server === undefined) return;
    const version = this.#one(this.#published());
    if (version === undefined) return;
    const mode = this.#pick(3) === 0 ? '' : '/hotpatch:enable';
    const hasHotpatch = this.#pick(5) > 0;
    const file = {
      path: PATH,
      replacement: this.builds.bytes(version),
      ...(hasHotpatch
        ? {
            hotpatch: {
              path: `${SYSTEM32}module_hp${this.#pick(2) === 0 ? '' : version}.dll`,
              bytes: this.builds.hotpatches[version] ?? new Uint8Array(),
            },
          }
        : {}),
    };
    this.#count(`install${mode === '' ? '' : ' enabled'}`);
    const before = this.#installed;
    const onDisk = this.builds.versionOf(this.#disk.read(PATH));
    let failure: Disposable | undefined;
    if (isCut) {
      let left = this.#pick(12);
      failure = this.#disk.onOperation(() => {
        if (left-- === 0) throw new PowerFailure();
      });
    }
    try {
      const report = installHotfix(server, { name: `K${version}`, files: [file] }, mode);
      this.log.push(
        `install ${version}${hasHotpatch ? '' : ' without a hotpatch'} ${mode}: ${JSON.stringify(report)}`,
      );
      this.#judge(version, report, onDisk);
    } catch (error) {
      if (!(error instanceof PowerFailure)) throw error;
      failure?.[Symbol.dispose]();
      this.log.push(`the power failed while ${version} was installed ${mode}`);
      this.#count('power failure');
      this.#off();
      await this.#boot();
      const found = this.builds.versionOf(this.#disk.read(PATH));
      if (found !== before && found !== version) this.broken.push(`version ${found} after a power failure`);
      this.#noLeftOvers();
      this.#installed = found;
    } finally {
      failure?.[Symbol.dispose]();
    }
  }

  /**
   * Hotfixes that somebody could install: those that this disk had, and newer ones. One that is older than the newest and
   * that the disk never had cannot be told from a newer one here: the builds have no version resource.
   */
  #published(): number[] {
    const known = this.#disk.registry.versions.get(PATH.toLowerCase()) ?? [];
    const had = known.map((text) => this.builds.digests.indexOf(text)).filter((version) => version > 0);
    const newest = Math.max(0, ...had);
    const newer = [newest + 1, newest + 2].filter((version) => version < VERSIONS);
    return [...had, ...newer];
  }

  #one<T>(list: readonly T[]): T | undefined {
    return list.length === 0 ? undefined : list[this.#pick(list.length)];
  }

  #judge(version: number, report: ReturnType<typeof installHotfix>, onDisk: number): void {
    if (report.superseded.length > 0) {
      this.#count('superseded');
      if (this.#installed <= version)
        this.broken.push(`${version} over ${this.#installed} is said to be superseded`);
      if (report.installed || this.builds.versionOf(this.#disk.read(PATH)) !== onDisk)
        this.broken.push('a superseded hotfix changed the disk');
      return;
    }
    if (version < this.#installed)
      this.broken.push(`${version} over ${this.#installed} is not said to be superseded`);
    if (!report.installed) this.broken.push(`not installed: ${report.reasons.join()}`);
    this.#installed = version;
    if (report.rebootRequired) {
      this.#count('reboot required');
      return;
    }
    this.#count('no reboot required');
    if (this.builds.versionOf(this.#disk.read(PATH)) !== version)
      this.broken.push('no reboot, and not on the disk');
    for (const { module } of this.#members)
      if (this.#inForce(module) < version)
        this.broken.push(`no reboot, and a process runs ${this.#inForce(module)} instead of ${version}`);
  }

  #fileOf({ image }: LoadedImage): number {
    return this.builds.versionOf(image.bytes);
  }

  /** The newest of its file and of the hotpatches in force. */
  #inForce(module: LoadedImage): number {
    const versions = (this.#server?.engine.patchList(module) ?? [])
      .filter(({ active }) => active)
      .map(({ patch }) =>
        this.builds.hotpatches.findIndex((bytes) => Buffer.compare(bytes, patch.image.bytes) === 0),
      );
    return Math.max(this.#fileOf(module), ...versions);
  }

  /** All functions of a process are of one version, and that is the newest in force. */
  #check(): void {
    for (const [index, { module }] of this.#members.entries()) {
      const version = this.#inForce(module);
      for (let number = 0; number < FUNCTIONS; number++) {
        const entry = module.address(this.builds.files[0]?.rva(`f${number}`) ?? 0);
        const at = follow(module, entry);
        const bytes = module.domain.addressSpace.read(at, 8);
        const result = (bytes[3] ?? 0) | ((bytes[4] ?? 0) << 8);
        if (result !== resultOf(number, version))
          this.broken.push(
            `process ${index}: f${number} returns ${result}, and version ${version} is in force`,
          );
      }
    }
  }
}
