import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { Command } from 'commander';
import { startWorkbench, WorkbenchError } from '../workbench/index.js';
import { UsageError } from './errors.js';
import { numberFrom } from './numbers.js';
import { EXIT, note, print, printJson } from './output.js';

interface WorkbenchFlags {
  readonly port?: number;
  readonly open?: boolean;
  readonly seconds: number;
  readonly json?: boolean;
}

export function workbenchCommand(): Command {
  return new Command('workbench')
    .description('A page where you change a line of C and patch it into the machine that runs it.')
    .argument('[folder]', 'a folder with one C file and fix.patch (hotpatch new), or base.c and fixed.c')
    .option('--port <n>', 'on 127.0.0.1; default: 4747, or any that is free', numberFrom(0, 0xffff))
    .option('--open', 'open it in the browser too')
    .option('--seconds <n>', 'how long the machine or an exploration may run', numberFrom(1, 3600), 30)
    .option('--json', 'one JSON document on stdout')
    .addHelpText('after', '\nExample:\n  hotpatch workbench --open')
    .action(async (folder: string | undefined, flags: WorkbenchFlags) => {
      await workbench(folder, flags);
    });
}

/** Until the process is told to end. */
async function workbench(folder: string | undefined, flags: WorkbenchFlags): Promise<void> {
  const [, script] = process.argv;
  if (script === undefined) throw new UsageError('the workbench starts hotpatch again, and cannot find it');
  const served = await started(folder, flags, script);
  if (flags.json === true) printJson({ url: served.url, port: served.port });
  else print(`the workbench: ${served.url}`);
  note('the link opens it once, in one browser; Ctrl+C ends it');
  if (flags.open === true) openInBrowser(served.url);
  await Promise.race(['SIGINT', 'SIGTERM', 'SIGHUP'].map((signal) => once(process, signal)));
  await served.close();
  process.exitCode = EXIT.done;
}

async function started(folder: string | undefined, { port, seconds }: WorkbenchFlags, script: string) {
  try {
    return await startWorkbench({
      command: [process.execPath, script],
      limits: { seconds },
      ...(folder === undefined ? {} : { folder }),
      ...(port === undefined ? {} : { port }),
    });
  } catch (error) {
    if (!(error instanceof WorkbenchError)) throw error;
    throw new UsageError(`${error.message}${error.hint === undefined ? '' : `\nhint: ${error.hint}`}`);
  }
}

const OPENERS: Readonly<Partial<Record<NodeJS.Platform, readonly [string, ...string[]]>>> = {
  darwin: ['open'],
  win32: ['rundll32', 'url.dll,FileProtocolHandler'],
};

function openInBrowser(url: string): void {
  const [file, ...words] = OPENERS[process.platform] ?? (['xdg-open'] as const);
  const child = spawn(file, [...words, url], { detached: true, stdio: 'ignore' });
  child.on('error', () => note(`hotpatch: ${file} cannot be started: open the link yourself`));
  child.unref();
}
