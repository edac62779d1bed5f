import { type ReplacedFile, replaceFiles } from '../../../engine/server-2003/replacement.js';
import { ntStatus } from '../../../image/index.js';
import { FileSystem, KernelError } from '../../../loader/index.js';

/** The two files, and what is done with each while the system runs. */
const PATHS = ['C:\\WINDOWS\\system32\\one.dll', 'C:\\WINDOWS\\system32\\two.dll'] as const;
const USES = ['free', 'mapped', 'open'] as const;
type Use = (typeof USES)[number];

export interface Situation {
  /** `/hotpatch:enable` for each of the two hotfixes. */
  readonly switches: readonly [boolean, boolean];
  readonly uses: readonly [Use, Use];
  /** Is the machine started again between the two? */
  readonly rebooted: boolean;
  /** Files of the second hotfix; the first one has both. */
  readonly second: readonly number[];
}

const BOTH = [true, false] as const;
export const SITUATIONS: readonly Situation[] = BOTH.flatMap((first) =>
  BOTH.flatMap((second) =>
    BOTH.flatMap((rebooted) =>
      USES.flatMap((one) =>
        USES.flatMap((two) =>
          [[0, 1], [0], [1]].map(
            (files): Situation => ({ switches: [first, second], uses: [one, two], rebooted, second: files }),
          ),
        ),
      ),
    ),
  ),
);

class PowerFailure extends Error {}

/** Version of each file, 0: as it was; the content is one byte. */
const versions = (disk: FileSystem): number[] => PATHS.map((path) => disk.read(path)?.[0] ?? -1);

function files(version: number, which: readonly number[]): ReplacedFile[] {
  return which.map((index) => ({ path: PATHS[index] ?? '', bytes: Uint8Array.of(version) }));
}

/** Boots, and whoever runs uses the files as the situation says. */
function start(disk: FileSystem, { uses }: Situation): void {
  disk.startBoot();
  for (const [index, use] of uses.entries()) {
    const path = PATHS[index] ?? '';
    if (use === 'mapped') disk.mapImage(path);
    if (use === 'open') disk.open(path, { access: 'read', share: ['read'] });
  }
}

function install(disk: FileSystem, version: number, which: readonly number[], isEnabled: boolean): void {
  const exchange = (path: string, besides: string) => {
    const opened = [];
    try {
      for (const name of [path, besides])
        opened.push(disk.open(name, { access: 'read', share: ['read', 'write', 'delete'] }));
      const [first, second] = opened;
      if (first !== undefined && second !== undefined) disk.swap(first, second);
      return ntStatus('STATUS_SUCCESS');
    } catch (error) {
      if (error instanceof KernelError) return error.status;
      throw error;
    } finally {
      for (const file of opened) file.close();
    }
  };
  replaceFiles(disk, files(version, which), isEnabled ? exchange : undefined);
}

/** Everything up to the last boot; `done` is told of each part that was finished. */
function perform(disk: FileSystem, situation: Situation, done: (installed: number) => void): void {
  start(disk, situation);
  install(disk, 1, [0, 1], situation.switches[0]);
  done(1);
  if (situation.rebooted) start(disk, situation);
  install(disk, 2, situation.second, situation.switches[1]);
  done(2);
  disk.startBoot();
}

function newDisk(): FileSystem {
  const disk = new FileSystem();
  for (const path of PATHS) disk.write(path, Uint8Array.of(0));
  return disk;
}

/** What a power failure leaves of a disk. */
function copyOf(disk: FileSystem): FileSystem {
  const copy = new FileSystem();
  for (const path of disk.paths) copy.write(path, disk.read(path) ?? new Uint8Array());
  copy.setRegistry(disk.registry);
  return copy;
}

/** The power fails before an operation of the disk, counted from now. */
function failBefore(disk: FileSystem, index: number): Disposable {
  let left = index;
  return disk.onOperation(() => {
    if (left-- === 0) throw new PowerFailure();
  });
}

function isCut(action: () => void): boolean {
  try {
    action();
    return false;
  } catch (error) {
    if (!(error instanceof PowerFailure)) throw error;
    return true;
  }
}

export interface Outcome {
  /** Points at which the power failed, with those at which it failed again in the boot that followed. */
  readonly crashes: number;
  readonly broken: readonly string[];
  readonly mostOperations: number;
}

/** What the files may be once the machine has booted: those of the last hotfix that was finished, or of the one under way. */
function allowed(installed: number, second: readonly number[]): number[][] {
  const states = [[0, 0], [1, 1], [0, 1].map((index) => (second.includes(index) ? 2 : 1))];
  return states.slice(installed, installed + 2);
}

function judge(disk: FileSystem, right: readonly (readonly number[])[]): string | undefined {
  const found = versions(disk).join('/');
  const left = disk.paths.filter((path) => !PATHS.some((known) => known === path));
  if (left.length > 0 || disk.pendingRenames.length > 0) return `${found}, and ${left.join()} left`;
  return right.some((state) => state.join('/') === found) ? undefined : found;
}

/** The power fails before every operation, and then before every one of the next boot; then the machine boots. */
export function crashEverywhere(situation: Situation): Outcome {
  const broken: string[] = [];
  let crashes = 0;
  for (let first = 0; ; first++) {
    const cut = newDisk();
    let installed = 0;
    failBefore(cut, first);
    const wasCut = isCut(() =>
      perform(cut, situation, (count) => {
        installed = count;
      }),
    );
    for (let second = -1; ; second++) {
      const disk = copyOf(cut);
      const failure = failBefore(disk, second);
      const wasCutAgain = isCut(() => disk.startBoot());
      failure[Symbol.dispose]();
      disk.startBoot();
      crashes += 1;
      const right = allowed(wasCut ? installed : 2, situation.second);
      const found = [judge(disk, right)];
      // The second hotfix is installed again, whatever became of it, and nothing fails.
      start(disk, situation);
      const known = versions(disk);
      install(disk, 2, situation.second, situation.switches[1]);
      disk.startBoot();
      found.push(
        judge(disk, [known.map((version, index) => (situation.second.includes(index) ? 2 : version))]),
      );
      for (const text of found)
        if (text !== undefined)
          broken.push(`${JSON.stringify(situation)}, cut before ${first} and ${second}: ${text}`);
      if (second >= 0 && !wasCutAgain) break;
    }
    if (!wasCut) return { crashes, broken, mostOperations: first };
  }
}

/** The table of docs/two-generations.md. */
export function crashTable(): { text: string; broken: string[] } {
  const rows: string[] = [];
  const broken: string[] = [];
  for (const first of BOTH)
    for (const second of BOTH) {
      const outcomes = SITUATIONS.filter(
        ({ switches }) => switches[0] === first && switches[1] === second,
      ).map(crashEverywhere);
      const sum = outcomes.reduce((all, { crashes }) => all + crashes, 0);
      const most = Math.max(...outcomes.map(({ mostOperations }) => mostOperations));
      const found = outcomes.flatMap((outcome) => outcome.broken);
      broken.push(...found);
      const name = (on: boolean) => (on ? 'with' : 'without');
      rows.push(
        `| ${name(first)} | ${name(second)} | ${outcomes.length} | ${most} | ${sum} | ${found.length} |`,
      );
    }
  const head = [
    '| first hotfix | second | situations | most operations of the disk | power failures | boots with a mixture, or with files left over |',
    '|---|---|---|---|---|---|',
  ];
  return { text: [...head, ...rows].join('\n'), broken };
}
