import { execFileSync, spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** Where the packages are put: nothing of them is committed. */
export function sourcesFolder(): string {
  return (
    process.env.HOTPATCH_KNOWN_PATCHES ?? join(import.meta.dirname ?? '.', '..', '..', 'out', 'known-patches')
  );
}

/** A fetched package: its sources without any of Debian's patches, and these. */
export interface FetchedPackage {
  readonly upstream: string;
  /** debian/patches. */
  readonly patches: string;
  readonly series: readonly string[];
}

/** The package, if it has been fetched. */
export function fetchedPackage(name: string, folder = sourcesFolder()): FetchedPackage | undefined {
  const upstream = join(folder, 'sources', name);
  const patches = join(folder, 'sources', `${name}.deb`, 'debian', 'patches');
  if (!existsSync(join(patches, 'series'))) return undefined;
  const series = readFileSync(join(patches, 'series'), 'utf8')
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '' && !line.startsWith('#'));
  return { upstream, patches, series };
}

/** Fetches Debian source packages with apt-get, by a source list of its own: the machine's stays as it is. */
export function fetchPackages(
  packages: readonly { name: string; version: string }[],
  folder = sourcesFolder(),
): void {
  const apt = join(folder, 'apt');
  mkdirSync(join(apt, 'lists', 'partial'), { recursive: true });
  const list = '/etc/apt/sources.list.d/debian.sources';
  if (!existsSync(list)) throw new Error(`${list} is missing: the sources are those of Debian 12`);
  writeFileSync(
    join(apt, 'src.sources'),
    readFileSync(list, 'utf8').replace(/^Types: deb$/gm, 'Types: deb-src'),
  );
  const options = [
    '-o',
    `Dir::Etc::sourcelist=${join(apt, 'src.sources')}`,
    '-o',
    'Dir::Etc::sourceparts=-',
    '-o',
    `Dir::State::lists=${join(apt, 'lists')}`,
  ];
  execFileSync('apt-get', [...options, 'update', '-qq'], { stdio: 'ignore' });
  for (const { name, version } of packages) {
    if (fetchedPackage(name, folder) !== undefined) continue;
    const downloads = join(folder, 'downloads', name);
    mkdirSync(downloads, { recursive: true });
    const got = [version === '' ? name : `${name}=${version}`, name].some(
      (wanted) =>
        spawnSync('apt-get', [...options, 'source', '--download-only', '-qq', wanted], { cwd: downloads })
          .status === 0,
    );
    if (got) unpack(name, downloads, folder);
    else console.error(`${name} ${version} cannot be fetched`);
  }
}

function unpack(name: string, downloads: string, folder: string): void {
  const files = readdirSync(downloads);
  const upstream = files.find((file) => /\.orig\.tar\.\w+$/.test(file));
  const debian = files.find((file) => /\.debian\.tar\.\w+$/.test(file));
  if (upstream === undefined || debian === undefined) throw new Error(`${name}: no .orig.tar or .debian.tar`);
  const extract = (file: string, to: string, flags: readonly string[]) => {
    rmSync(to, { recursive: true, force: true });
    mkdirSync(to, { recursive: true });
    execFileSync('tar', ['xf', join(downloads, file), '-C', to, ...flags]);
  };
  extract(upstream, join(folder, 'sources', name), ['--strip-components=1']);
  extract(debian, join(folder, 'sources', `${name}.deb`), []);
}

/** Copies a package without what no source needs. */
export function copyPackage(from: string, to: string, leaveOut?: RegExp): void {
  rmSync(to, { recursive: true, force: true });
  cpSync(from, to, {
    recursive: true,
    verbatimSymlinks: true,
    preserveTimestamps: true,
    filter: (path) => {
      const relative = path.slice(from.length + 1);
      return relative === '' || leaveOut?.test(`${relative}/`) !== true;
    },
  });
}
