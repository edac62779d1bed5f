import { readFileSync } from 'node:fs';
import { dirname, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

/**
 * The page's program as one classic script. Its modules, as the compiler left them, become functions that are called in
 * the order of their dependencies. They import each other by name alone, and nothing from outside this room; that is
 * all that this needs to know of modules.
 */
export async function clientScript(): Promise<string> {
  const read = await moduleReader();
  const modules = new Map<string, string>();
  add(resolve(ROOM, 'client/main.js'), read, modules, new Set());
  return `'use strict';\nconst modules = {};\n${[...modules.values()].join('')}`;
}

type ModuleReader = (path: string) => string;

/** Built: the files beside this one. From the sources, which are not installed: what TypeScript makes of them. */
async function moduleReader(): Promise<ModuleReader> {
  if (import.meta.url.endsWith('.js')) return (path) => readFileSync(path, 'utf8');
  const { default: typescript } = await import('typescript');
  const { ESNext: module } = typescript.ModuleKind;
  const { ES2022: target } = typescript.ScriptTarget;
  const compilerOptions = { module, target, removeComments: true, verbatimModuleSyntax: true };
  return (path) => {
    const source = path.replace(/\.js$/, '.ts');
    return typescript.transpileModule(readFileSync(source, 'utf8'), { compilerOptions }).outputText;
  };
}

const ROOM = fileURLToPath(new URL('.', import.meta.url));
const IMPORT = /^import \{([^}]*)\} from '(\.[^']+)';\n/gm;
const EXPORT = /^export (?=(?:async )?(?:function|class|const) (\w+))/gm;

function add(path: string, read: ModuleReader, modules: Map<string, string>, begun: Set<string>): void {
  if (begun.has(path)) return;
  begun.add(path);
  const exported: string[] = [];
  const dependencies: string[] = [];
  const body = read(path)
    .replace(IMPORT, (_, names: string, specifier: string) => {
      const dependency = resolve(dirname(path), specifier);
      dependencies.push(dependency);
      return `const {${names.replaceAll(' as ', ': ')}} = modules['${nameOf(dependency)}'];\n`;
    })
    .replace(EXPORT, (_, name: string) => {
      exported.push(name);
      return '';
    })
    .replace(/^export \{\};\n/gm, '');
  const left = /^(?:import|export)\b.*$/m.exec(body);
  if (left !== null) throw new Error(`${nameOf(path)}: the page's script cannot have '${left[0]}'`);
  for (const dependency of dependencies) add(dependency, read, modules, begun);
  modules.set(
    path,
    `modules['${nameOf(path)}'] = (() => {\n${body}return { ${exported.join(', ')} };\n})();\n`,
  );
}

function nameOf(path: string): string {
  return relative(ROOM, path).replaceAll('\\', '/').replace(/\.js$/, '');
}
