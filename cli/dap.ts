import { once } from 'node:events';
import { createServer, type Server } from 'node:net';
import { Command } from 'commander';
import { HotpatchAdapter } from './dap-adapter.js';
import { UsageError } from './errors.js';
import { numberFrom } from './numbers.js';
import { EXIT, note, printJson } from './output.js';

interface DapFlags {
  readonly port?: number;
  readonly json?: boolean;
}

export function dapCommand(): Command {
  return new Command('dap')
    .description('The debugger behind the Debug Adapter Protocol, for VS Code and other editors.')
    .option(
      '--port <n>',
      'on the loopback interface instead of standard input and output',
      numberFrom(0, 0xffff),
    )
    .option('--json', 'with --port: one JSON document on stdout, where it listens')
    .addHelpText(
      'after',
      '\nExample:\n  hotpatch dap --port 4711\nand in launch.json: { "type": "hotpatch", "request": "launch", "program": "scenarios/first-trampoline.ts", "debugServer": 4711 }',
    )
    .action(async ({ port, json }: DapFlags) => {
      if (json === true && port === undefined)
        throw new UsageError('--json needs --port: the protocol is on standard output');
      if (port === undefined) await overStandardStreams();
      else await overSocket(port, json === true);
    });
}

/** One session; the process ends with it. */
async function overStandardStreams(): Promise<void> {
  const adapter = new HotpatchAdapter();
  adapter.setRunAsServer(true);
  adapter.start(process.stdin, process.stdout);
  await adapter.ended;
  process.exitCode = EXIT.done;
  process.stdin.destroy();
}

/** A session for each client, until the process is ended. */
async function overSocket(port: number, json: boolean): Promise<void> {
  const { server, port: taken } = await listenForDap(port);
  note(`debug adapter on 127.0.0.1:${taken}`);
  if (json) printJson({ host: '127.0.0.1', port: taken });
  await once(server, 'close');
}

/** Waits on the loopback interface for clients; `port` 0 takes a free one. */
export function listenForDap(port: number): Promise<{ readonly server: Server; readonly port: number }> {
  const server = createServer((socket) => {
    const adapter = new HotpatchAdapter();
    adapter.setRunAsServer(true);
    socket.on('error', () => socket.destroy());
    socket.on('close', () => adapter.abandon());
    adapter.start(socket, socket);
  });
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, '127.0.0.1', () => {
      const address = server.address();
      resolve({ server, port: typeof address === 'object' && address !== null ? address.port : port });
    });
  });
}
