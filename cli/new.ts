import { existsSync, mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { Argument, Command } from 'commander';
import { isProjectName, newProject, type ProjectKind } from '../builder/index.js';
import { UsageError } from './errors.js';
import { print, printJson } from './output.js';

export function newCommand(): Command {
  return new Command('new')
    .description('Writes a small project: source, fix as a patch file, scenario and test.')
    .addArgument(new Argument('<kind>', 'what it is').choices(['driver', 'dll']))
    .argument('<name>', 'its name, and that of the folder that is made')
    .option('--json', 'one JSON document on stdout')
    .addHelpText('after', '\nExample:\n  hotpatch new dll counter')
    .action((kind: ProjectKind, name: string, flags: { json?: boolean }) => {
      if (!isProjectName(name))
        throw new UsageError(`${name}: a name begins with a letter and has letters, digits and _ only`);
      if (existsSync(name)) throw new UsageError(`${name}: is there already`);
      const files = newProject(kind, name);
      writeProject(name, files);
      if (flags.json === true) printJson({ folder: name, files: Object.keys(files) });
      else {
        for (const path of Object.keys(files)) print(join(name, path));
        print(`next: see ${name}/README.md`);
      }
    });
}

/** Whole or not at all. */
function writeProject(name: string, files: Readonly<Record<string, string>>): void {
  const temporary = `.${name}.${process.pid}.tmp`;
  try {
    for (const [path, text] of Object.entries(files)) {
      mkdirSync(join(temporary, dirname(path)), { recursive: true });
      writeFileSync(join(temporary, path), text);
    }
    renameSync(temporary, name);
  } catch (error) {
    rmSync(temporary, { recursive: true, force: true });
    throw new UsageError(
      `${name}: cannot be written: ${error instanceof Error ? error.message : String(error)}`,
    );
  }
}
