import { spawn } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { build } from 'esbuild';
import typescript from 'typescript';

const root = fileURLToPath(new URL('../../', import.meta.url));
const { include: ROOMS } = JSON.parse(readFileSync(join(root, 'tsconfig.build.json'), 'utf8')) as {
  include: string[];
};

/** Rooms with programs of pages: what joins those knows the words that TypeScript leaves. */
const CLIENT = /^(viewer|workbench)[\\/]/;

export interface Ended {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface StartOptions {
  readonly stdout?: 'pipe' | number;
  readonly cwd?: string;
  readonly environment?: Readonly<Record<string, string>>;
  /** Called with the process and all that it has written to stderr so far, once at the beginning too. */
  readonly onStderr?: (child: Running, stderr: string) => void;
  /** Called with the process and all that it has written to stdout so far. */
  readonly onStdout?: (child: Running, stdout: string) => void;
}

export interface Running {
  closeStdout(): void;
  kill(signal: NodeJS.Signals): void;
}

/** The `hotpatch` command as a process of its own: the sources as they are now, each translated by esbuild. */
export class BuiltCommand implements Disposable {
  static async make(): Promise<BuiltCommand> {
    mkdirSync(join(root, 'out'), { recursive: true });
    const folder = mkdtempSync(join(root, 'out', 'command-'));
    const entryPoints = ROOMS.flatMap((room) =>
      readdirSync(join(root, room), { recursive: true, encoding: 'utf8' })
        .filter((file) => /(?<!\.d)\.ts$/.test(file))
        .map((file) => join(root, room, file)),
    );
    for (const file of entryPoints.filter((path) => CLIENT.test(relative(root, path))))
      writeClient(file, join(folder, relative(root, file)).replace(/\.ts$/, '.js'));
    await build({
      entryPoints: entryPoints.filter((path) => !CLIENT.test(relative(root, path))),
      outdir: folder,
      outbase: root,
      format: 'esm',
      target: 'node20',
      sourcemap: false,
      logLevel: 'error',
    });
    // What a scenario imports as hotpatch-lab is these files too.
    const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string };
    writeFileSync(
      join(folder, 'package.json'),
      JSON.stringify({
        ...{ name: 'hotpatch-lab', version, type: 'module' },
        exports: { '.': './lab/index.js', './vitest': './lab/vitest.js', './*': './*/index.js' },
      }),
    );
    if (existsSync(join(root, 'vendor')))
      symlinkSync(join(root, 'vendor'), join(folder, 'vendor'), 'junction');
    const runtime = 'builder/make/runtime';
    symlinkSync(join(root, runtime), join(folder, runtime), 'junction');
    const main = pathToFileURL(join(folder, 'cli', 'main.js')).href;
    writeFileSync(
      join(folder, 'hotpatch.mjs'),
      `import { finish, main, watchInterrupts, watchStreams } from '${main}';
watchStreams();
const words = process.argv.slice(2);
watchInterrupts(words);
finish(await main(words));
`,
    );
    return new BuiltCommand(folder);
  }

  private constructor(private readonly folder: string) {}

  run(words: readonly string[], options: StartOptions = {}): Promise<Ended> {
    const child = spawn(process.execPath, [join(this.folder, 'hotpatch.mjs'), ...words], {
      cwd: options.cwd ?? root,
      env: { ...process.env, ...options.environment },
      stdio: ['ignore', options.stdout ?? 'pipe', 'pipe'],
    });
    const running: Running = {
      closeStdout: () => child.stdout?.destroy(),
      kill: (signal) => child.kill(signal),
    };
    let [stdout, stderr] = ['', ''];
    child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      stdout += text;
      options.onStdout?.(running, stdout);
    });
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      stderr += text;
      options.onStderr?.(running, stderr);
    });
    options.onStderr?.(running, '');
    return new Promise((resolve) =>
      child.on('close', (code, signal) => resolve({ code, signal, stdout, stderr })),
    );
  }

  [Symbol.dispose](): void {
    rmSync(this.folder, { recursive: true, force: true });
  }
}

function writeClient(from: string, to: string): void {
  const { ESNext: module } = typescript.ModuleKind;
  const { ES2022: target } = typescript.ScriptTarget;
  const compilerOptions = { module, target, removeComments: true, verbatimModuleSyntax: true };
  mkdirSync(dirname(to), { recursive: true });
  writeFileSync(to, typescript.transpileModule(readFileSync(from, 'utf8'), { compilerOptions }).outputText);
}
