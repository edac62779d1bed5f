import { Command } from 'commander';
import { simulatedModules } from '../loader/index.js';
import { UsageError } from './errors.js';
import { print, printJson } from './output.js';

interface Listed {
  readonly module: string;
  readonly worlds: readonly string[];
  readonly exports: readonly string[];
}

const WORLDS = [
  { name: 'x64 and ARM64 programs', kind: 'user', architecture: 'x64' },
  { name: 'x86 programs', kind: 'user', architecture: 'x86' },
  { name: 'drivers', kind: 'kernel', architecture: 'x64' },
] as const;

/** Every simulated module once, with who can import from it. */
function listed(): Listed[] {
  const found = new Map<string, { worlds: string[]; exports: Set<string> }>();
  for (const { name: world, ...of } of WORLDS)
    for (const { name, exports } of simulatedModules(of)) {
      const entry = found.get(name) ?? { worlds: [], exports: new Set<string>() };
      found.set(name, entry);
      entry.worlds.push(world);
      for (const { name: own } of exports) entry.exports.add(own);
    }
  return [...found].map(([module, { worlds, exports }]) => ({
    module,
    worlds,
    exports: [...exports].sort(),
  }));
}

export function exportsCommand(): Command {
  return new Command('exports')
    .description(
      'What images can import without the DLL that exports it: the simulated modules and functions.',
    )
    .argument('[dll]', 'list the functions of this module')
    .option('--json', 'one JSON document on stdout')
    .addHelpText('after', '\nExample:\n  hotpatch exports ucrtbase.dll')
    .action((dll: string | undefined, flags: { readonly json?: boolean }) => {
      const all = listed();
      const wanted = dll === undefined ? all : all.filter(({ module }) => isNamed(module, dll));
      if (wanted.length === 0)
        throw new UsageError(
          `nothing of ${dll} is simulated; there are ${all.map(({ module }) => module).join(', ')}`,
        );
      if (flags.json) printJson({ modules: wanted });
      else if (dll === undefined)
        for (const { module, exports, worlds } of wanted)
          print(
            `${module.padEnd(18)} ${String(exports.length).padStart(4)} functions, for ${worlds.join(', ')}`,
          );
      else for (const { exports } of wanted) for (const name of exports) print(name);
    });
}

const isNamed = (module: string, text: string): boolean =>
  module.toLowerCase() === text.toLowerCase() ||
  module.replace(/\.\w+$/, '').toLowerCase() === text.toLowerCase();
