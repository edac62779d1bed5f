import { Command } from 'commander';
import { GdbConnection, type GdbInput, type GdbOutput, listenForGdb } from '../debugger/index.js';
import { startDebugThread } from './debug-thread.js';
import { UsageError } from './errors.js';
import { numberFrom, wholeNumber } from './numbers.js';
import { note, printJson } from './output.js';
import { exitCodeOf } from './step.js';

interface GdbFlags {
  readonly port: number;
  readonly seed?: number;
  readonly json?: boolean;
}

export function gdbCommand(): Command {
  return new Command('gdb')
    .description("Puts a scenario behind GDB's remote protocol: gdb-multiarch -ex 'target remote :1234'.")
    .argument('<scenario>', 'a file whose default export is defineScenario(…)')
    .option('--port <n>', 'on the loopback interface; 0 takes a free one', numberFrom(0, 0xffff), 1234)
    .option('--seed <n>', 'decides how processors interleave', wholeNumber)
    .option('--json', 'one JSON document on stdout: where it listens')
    .addHelpText(
      'after',
      "\nExample:\n  hotpatch gdb scenarios/first-trampoline.ts --port 1234 &\n  gdb-multiarch -ex 'target remote :1234' -ex 'break ReceivePacket' -ex continue -ex backtrace",
    )
    .action(async (file: string, flags: GdbFlags) => {
      process.exitCode = await serveGdb(file, flags);
    });
}

/** Waits for GDB at the first instruction, then runs the scenario until it has ended, with or without GDB. */
async function serveGdb(file: string, { port, seed, json }: GdbFlags): Promise<number> {
  let connection: GdbConnection | undefined;
  let cannotListen: UsageError | undefined;
  let listening: ReturnType<typeof listenForGdb> | undefined;
  const { channel, done } = startDebugThread<GdbOutput, GdbInput>(
    { file, seed, frontEnd: 'gdb' },
    (message) => {
      if (message.kind === 'packet') connection?.send(message.data);
      else {
        listening = listenForGdb(port, (socket) => {
          connection = new GdbConnection(socket, channel);
        });
        listening.then(
          (server) => {
            note(`GDB can connect: target remote 127.0.0.1:${server.port}`);
            if (json === true) printJson({ scenario: file, host: '127.0.0.1', port: server.port });
          },
          (error: Error) => {
            cannotListen = new UsageError(`cannot listen: ${error.message}`);
            channel.send({ kind: 'closed' });
          },
        );
      }
    },
  );
  try {
    const ended = await done;
    if (cannotListen !== undefined) throw cannotListen;
    return exitCodeOf(ended, json);
  } finally {
    connection?.end();
    (await listening?.catch(() => undefined))?.server.close();
  }
}
