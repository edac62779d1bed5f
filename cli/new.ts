import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join, sep } from 'node:path';
import { Argument, Command } from 'commander';
import { isProjectName, newProject, type ProjectKind } from '../builder/index.js';
import { packageRoot } from '../cpu/index.js';
import { fileReason, UsageError } from './errors.js';
import { print, printJson } from './output.js';
import { packageVersion } from './version.js';

type Files = Readonly<Record<string, string | Uint8Array>>;

export function newCommand(): Command {
  return new Command('new')
    .description(
      'Writes a small project: source, fix as a patch file, scenario and test; or tests of images that are built already.',
    )
    .addArgument(new Argument('<kind>', 'what it is').choices(['driver', 'dll', 'tests']))
    .argument('<name>', 'its name, and that of the folder that is made')
    .option('--json', 'one JSON document on stdout')
    .addHelpText('after', '\nExample:\n  hotpatch new dll counter\n  hotpatch new tests packets')
    .action((kind: ProjectKind | 'tests', name: string, flags: { json?: boolean }) => {
      if (!isProjectName(name))
        throw new UsageError(`${name}: a name begins with a letter and has letters, digits and _ only`);
      if (existsSync(name)) throw new UsageError(`${name}: is there already`);
      const files = kind === 'tests' ? testProject(name) : newProject(kind, name);
      writeProject(name, files);
      if (flags.json === true) printJson({ folder: name, files: Object.keys(files) });
      else {
        for (const path of Object.keys(files)) print(join(name, path));
        print(`next: see ${name}/README.md`);
      }
    });
}

const STARTER = join('examples', 'regression-tests');
const LEFT_OUT = ['node_modules', 'package-lock.json'];

/** The starter of this package: images, a scenario and tests, for vitest. No compiler is needed. */
function testProject(name: string): Files {
  const folder = join(packageRoot(), STARTER);
  const files: Record<string, string | Uint8Array> = {};
  for (const path of readdirSync(folder, { recursive: true, encoding: 'utf8' })) {
    const isLeftOut = path.split(sep).some((part) => LEFT_OUT.includes(part));
    if (!isLeftOut && statSync(join(folder, path)).isFile()) files[path] = readFileSync(join(folder, path));
  }
  const manifest = JSON.parse(String(files['package.json'])) as { devDependencies: Record<string, string> };
  manifest.devDependencies['hotpatch-lab'] = `^${packageVersion()}`;
  files['package.json'] = `${JSON.stringify({ ...manifest, name }, undefined, 2)}\n`;
  return files;
}

/** Whole or not at all. */
function writeProject(name: string, files: Files): void {
  const temporary = `.${name}.${process.pid}.tmp`;
  try {
    for (const [path, text] of Object.entries(files)) {
      mkdirSync(join(temporary, dirname(path)), { recursive: true });
      writeFileSync(join(temporary, path), text);
    }
    renameSync(temporary, name);
  } catch (error) {
    rmSync(temporary, { recursive: true, force: true });
    throw new UsageError(`${name}: cannot be written: ${fileReason(error, 'there is no folder to be in')}`);
  }
}
