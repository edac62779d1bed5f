import { spawn, spawnSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { isBuiltin } from 'node:module';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Block, difference, readBlocks, readConsole, type ShownCommand } from './blocks.js';

export const root = fileURLToPath(new URL('../../', import.meta.url));
/** Where pages run: below the package, so that `hotpatch-lab` means the package as it was built. */
const sandboxes = join(root, 'out', 'docs');
const TIMEOUT = 120_000;

/** Something that a page says and that is not so. */
export interface Mistake {
  readonly line: number;
  readonly text: string;
}

/** A page of the documentation, and the folder that its blocks run in, one after the other. */
export class Page {
  readonly blocks: readonly Block[];
  readonly sandbox: string;
  readonly #markdown: string;

  /** @param path from the root of the repository */
  constructor(readonly path: string) {
    this.#markdown = readFileSync(join(root, path), 'utf8');
    this.blocks = readBlocks(this.#markdown);
    this.sandbox = join(sandboxes, path.replaceAll('/', '-').replace(/\.md$/, ''));
  }

  /** A folder that looks like the repository, in which commands may write. */
  prepare(): void {
    rmSync(this.sandbox, { recursive: true, force: true });
    mkdirSync(this.sandbox, { recursive: true });
    for (const name of ['test', 'scenarios', 'scripts', 'docs', 'examples', 'README.md'])
      symlinkSync(join(root, name), join(this.sandbox, name));
    for (const { language, text, directives } of this.blocks) {
      if (directives.file === undefined || directives.skip !== undefined) continue;
      const file = join(this.sandbox, directives.file);
      mkdirSync(dirname(file), { recursive: true });
      if (language !== 'console') writeFileSync(file, `${text}\n`);
    }
  }

  /** Runs every block; with `update`, writes what was printed into the page where it shows something else and no `…`. */
  async run({ update = false } = {}): Promise<Mistake[]> {
    const mistakes: Mistake[] = [];
    const printed = new Map<Block, readonly ShownCommand[]>();
    for (const block of this.blocks) {
      const { language, text, line, directives } = block;
      if (directives.skip !== undefined || !isInstalled(directives.needs)) continue;
      if (language === 'console') {
        const ran = await this.#runConsole(block);
        mistakes.push(...ran.mistakes);
        if (ran.mistakes.length > 0) printed.set(block, ran.printed);
      } else if (language === 'sh') {
        const { output, statuses } = await shell(this.sandbox, [`set -e\n${text}`]);
        if (statuses[0] !== 0) mistakes.push({ line, text: `exit code ${statuses[0]}:\n${output[0]}` });
      } else if (language === 'ts') {
        mistakes.push(...(await this.#runFile(block)));
      } else if (/^\$ /m.test(text)) {
        mistakes.push({ line, text: `a command in a block of '${language}': make it a console block` });
      }
    }
    if (update && printed.size > 0) this.#rewrite(printed);
    return mistakes;
  }

  /** Links and pictures of the repository that are not there. */
  brokenLinks(): string[] {
    const targets = [...this.#markdown.matchAll(/\]\(([^)\s#]+)(?:#[^)]*)?\)/g)].map(
      ([, target = '']) => target,
    );
    return targets.filter(
      (target) => !/^[a-z]+:/.test(target) && !existsSync(join(root, dirname(this.path), target)),
    );
  }

  async #runConsole({ text, line, directives }: Block) {
    const shown = readConsole(text);
    const { output, statuses } = await shell(
      this.sandbox,
      shown.map(({ command }) => command),
    );
    const mistakes: Mistake[] = [];
    for (const [i, { command, output: expected }] of shown.entries()) {
      const status = statuses[i];
      const wanted = i === shown.length - 1 ? directives.exit : 0;
      const wrong =
        status === wanted
          ? difference(expected, output[i] ?? '')
          : `exit code ${status} instead of ${wanted}:\n${output[i]}`;
      if (wrong !== undefined) mistakes.push({ line, text: `$ ${command}\n${wrong}` });
    }
    const printed = shown.map(({ command, output: expected }, i) => ({
      command,
      output: expected.includes('…') ? expected : (output[i] ?? '').trimEnd(),
    }));
    return { mistakes, printed };
  }

  /** A file that no command of the page mentions is run by itself: a scenario must hold, a program must end well. */
  async #runFile({ text, line, directives: { file } }: Block): Promise<Mistake[]> {
    if (file === undefined)
      return [{ line, text: 'a ts block needs file=NAME in the comment above it, or skip: with a reason' }];
    const isMentioned = this.blocks.some(
      ({ language, text: other, directives }) =>
        (language === 'console' || language === 'sh') &&
        directives.skip === undefined &&
        other.includes(basename(file)),
    );
    if (isMentioned) return [];
    const command = /export default defineScenario/.test(text)
      ? `npx hotpatch run --quiet ${file}`
      : `npx tsx ${file}`;
    const { output, statuses } = await shell(this.sandbox, [command]);
    return statuses[0] === 0 ? [] : [{ line, text: `${file}: exit code ${statuses[0]}:\n${output[0]}` }];
  }

  #rewrite(printed: ReadonlyMap<Block, readonly ShownCommand[]>): void {
    const lines = this.#markdown.split('\n');
    for (const block of [...printed.keys()].reverse()) {
      const commands = printed.get(block) ?? [];
      const text = commands.map(({ command, output }) => `$ ${command}${output === '' ? '' : `\n${output}`}`);
      lines.splice(block.line, block.text.split('\n').length, ...text.join('\n').split('\n'));
    }
    writeFileSync(join(root, this.path), lines.join('\n'));
  }
}

/** Every page that is checked: README.md and what is in docs/. */
export function pagePaths(): string[] {
  const docs = readdirSync(join(root, 'docs'), { recursive: true, encoding: 'utf8' })
    .filter((path) => path.endsWith('.md'))
    .map((path) => `docs/${path}`);
  return ['README.md', ...docs.sort()];
}

/** TypeScript's complaints about all files that pages show, against the declarations of the built package. */
export function typeErrors(pages: readonly Page[]): string {
  const files = pages.flatMap(({ sandbox, blocks }) =>
    blocks.flatMap(({ language, directives: { file, skip } }) =>
      language === 'ts' && file !== undefined && skip === undefined ? [join(sandbox, file)] : [],
    ),
  );
  const options = {
    noEmit: true,
    paths: {},
    types: ['node'],
    typeRoots: [join(root, 'node_modules/@types')],
  };
  const config = join(sandboxes, 'tsconfig.json');
  writeFileSync(
    config,
    JSON.stringify({ extends: join(root, 'tsconfig.json'), compilerOptions: options, include: [], files }),
  );
  const tsc = join(root, 'node_modules/typescript/bin/tsc');
  return spawnSync(process.execPath, [tsc, '-p', config], { encoding: 'utf8' }).stdout;
}

/** `npx` and `hotpatch` for the pages: the built package, without npm's start-up. */
export function installCommands(): void {
  const bin = join(sandboxes, 'bin');
  mkdirSync(bin, { recursive: true });
  const hotpatch = `exec ${process.execPath} ${root}bin/hotpatch.js "$@"`;
  writeFileSync(join(bin, 'hotpatch'), `#!/bin/sh\n${hotpatch}\n`, { mode: 0o755 });
  const npx = `#!/bin/sh
tool=$1
shift
case $tool in
  hotpatch) ${hotpatch} ;;
  tsx | vitest) exec ${root}node_modules/.bin/$tool "$@" ;;
  *) echo "npx $tool: pages may use hotpatch, tsx and vitest" >&2; exit 2 ;;
esac
`;
  writeFileSync(join(bin, 'npx'), npx, { mode: 0o755 });
}

const tools = new Map<string, boolean>();

function isInstalled(tool: string | undefined): boolean {
  if (tool === undefined) return true;
  const known =
    tools.get(tool) ?? (tool.startsWith('node:') ? isBuiltin(tool) : spawnSync('which', [tool]).status === 0);
  tools.set(tool, known);
  return known;
}

/** Runs commands one after the other in one shell; stdout and stderr of each together. */
async function shell(
  folder: string,
  commands: readonly string[],
): Promise<{ output: string[]; statuses: (number | undefined)[] }> {
  const script = ['exec 2>&1', ...commands.map((command) => `${command}\nprintf '\\n\\001%d\\n' "$?"`)];
  const child = spawn('bash', ['-c', script.join('\n')], {
    cwd: folder,
    stdio: ['ignore', 'pipe', 'inherit'],
    timeout: TIMEOUT,
    env: {
      ...process.env,
      PATH: `${join(sandboxes, 'bin')}:${process.env.PATH}`,
      NO_COLOR: '1',
      FORCE_COLOR: undefined,
      VITEST: undefined,
      NODE_ENV: undefined,
      LC_ALL: 'C.UTF-8',
      HOTPATCH_CACHE: join(folder, '.cache'),
    },
  });
  const chunks: Buffer[] = [];
  child.stdout.on('data', (chunk: Buffer) => chunks.push(chunk));
  const code = await new Promise<number>((resolve) => child.on('close', (status) => resolve(status ?? 1)));
  const parts = Buffer.concat(chunks).toString('utf8').split('\n\u0001');
  const output = parts.map((part, i) => (i === 0 ? part : part.replace(/^\d+\n/, '')));
  const statuses = commands.map((_, i) => {
    const [, status] = /^(\d+)\n/.exec(parts[i + 1] ?? '') ?? [];
    return status === undefined ? (i === parts.length - 1 ? code : undefined) : Number(status);
  });
  return { output, statuses };
}
