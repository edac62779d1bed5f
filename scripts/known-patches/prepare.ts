import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import {
  applyPatches,
  type BuildHow,
  type CompileStep,
  type PatchInput,
  parsePatch,
} from '../../builder/index.js';
import { type KnownPackage, PACKAGES } from './packages.js';
import { copyPackage, type FetchedPackage, fetchedPackage, sourcesFolder } from './sources.js';

const own = (path: string) => fileURLToPath(new URL(path, import.meta.url));

/** A package's tree, with Debian's patches up to some point of the series. */
export interface PreparedTree {
  readonly root: string;
  readonly how: BuildHow;
  readonly harness: readonly string[];
  /** The part of a patch that concerns files of the tree; undefined when none does. */
  patch(name: string): PatchInput | undefined;
  /** Applies the next patches of the series, up to this one but without it. */
  advanceTo(name: string): void;
}

export function prepareTree(name: string, fetched: FetchedPackage, folder = sourcesFolder()): PreparedTree {
  const definition = PACKAGES[name];
  if (definition === undefined) throw new Error(`${name}: how is it compiled?`);
  const root = join(folder, 'trees', name);
  copyPackage(fetched.upstream, root, definition.leaveOut);
  addConfiguration(name, root, definition, folder);
  let done = 0;
  const patch = (file: string): PatchInput | undefined => {
    const text = readFileSync(join(fetched.patches, file), 'latin1');
    const kept = partOf(text, (path) => existsSync(join(root, path)), definition);
    return kept === '' ? undefined : { name: file, text: kept };
  };
  return {
    root,
    how: howOf(definition, root),
    harness: [own(`harness/${name}.c`)].filter((file) => existsSync(file)),
    patch,
    advanceTo(file) {
      const end = fetched.series.indexOf(file);
      if (end < 0) throw new Error(`${name}: ${file} is not in the series`);
      for (; done < end; done++) {
        const next = patch(fetched.series[done] ?? '');
        if (next !== undefined) applyPatches(root, [next], { stableLines: false });
      }
    },
  };
}

/** Of a diff the parts that change files of the tree, or make files in folders of it. */
function partOf(text: string, exists: (path: string) => boolean, { leaveOut }: KnownPackage): string {
  const lines = text.replace(/\r\n/g, '\n').split('\n');
  let patches: ReturnType<typeof parsePatch>;
  try {
    patches = parsePatch(text);
  } catch {
    return '';
  }
  const parts = patches.flatMap((patch, i) => {
    const path = (patch.oldPath ?? patch.newPath ?? '').replace(/^[^/]*\//, '');
    const isNew = patch.oldPath === undefined && leaveOut?.test(path) !== true && path.includes('/');
    if (!exists(path) && !isNew) return [];
    const end = patches[i + 1]?.at ?? lines.length + 1;
    const header = patch.isRename ? lines.slice(Math.max(0, patch.at - 5), patch.at - 1) : [];
    const body = lines.slice(patch.at - 1, end - 1).filter((line) => !/^(?:diff|index|Index|===)/.test(line));
    return [...header, ...body];
  });
  return parts.length === 0 ? '' : `${parts.join('\n')}\n`;
}

function addConfiguration(name: string, root: string, { with: other }: KnownPackage, folder: string): void {
  const config = own(`config/${name}`);
  if (existsSync(config)) cpSync(config, join(root, 'hotpatch-config'), { recursive: true });
  if (name === 'libpng1.6') cpSync(join(root, 'scripts/pnglibconf.h.prebuilt'), join(root, 'pnglibconf.h'));
  if (name === 'libxml2') {
    const template = readFileSync(join(root, 'include/libxml/xmlversion.h.in'), 'utf8');
    const off = /^(?:TRIO|THREAD_ALLOC|FTP|HTTP|DOCB|ICONV|ICU|MEM_DEBUG|RUN_DEBUG|MODULES|ZLIB|LZMA)$/;
    const text = template
      .replace(/@WITH_(\w+)@/g, (_, feature: string) => (off.test(feature) ? '0' : '1'))
      .replace(/@VERSION@/g, '2.9.14')
      .replace(/@LIBXML_VERSION_NUMBER@/g, '20914')
      .replace(/@\w+@/g, '');
    mkdirSync(join(root, 'hotpatch-config/libxml'), { recursive: true });
    writeFileSync(join(root, 'hotpatch-config/libxml/xmlversion.h'), text);
  }
  if (other === undefined) return;
  const fetched = fetchedPackage(other.package, folder);
  if (fetched === undefined) throw new Error(`${other.package} has not been fetched`);
  mkdirSync(join(root, other.package), { recursive: true });
  for (const file of readdirSync(fetched.upstream))
    if (other.sources.includes(file) || file.endsWith('.h'))
      cpSync(join(fetched.upstream, file), join(root, other.package, file));
}

function howOf(definition: KnownPackage, root: string): BuildHow {
  if (definition.command !== undefined) return { kind: 'command', command: definition.command };
  const { sources, without = [], flags = [], include = [], with: other } = definition;
  const files = sources
    .flatMap((pattern) => matching(root, pattern))
    .filter((file) => !without.includes(file.replace(/^.*\//, '')))
    .sort();
  const search = include.map((folder) => `-I${folder === 'CFG' ? 'hotpatch-config' : folder}`);
  const step = (file: string): CompileStep => ({
    folder: '.',
    file,
    flags: ['-O2', '-w', ...flags, ...search],
  });
  const others = other?.sources.map((file) => step(`${other.package}/${file}`)) ?? [];
  return { kind: 'steps', steps: [...files.map(step), ...others] };
}

/** Files of one folder that a pattern such as `src/dec/*.c` names. */
function matching(root: string, pattern: string): string[] {
  const [, folder = '', name = ''] = /^(?:(.*)\/)?([^/]*)$/.exec(pattern) ?? [];
  const expression = new RegExp(`^${name.replace(/[.+]/g, '\\$&').replace(/\*/g, '.*')}$`);
  return readdirSync(join(root, folder))
    .filter((file) => expression.test(file))
    .map((file) => relative('.', join(folder, file)));
}
