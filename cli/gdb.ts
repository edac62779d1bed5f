import { Command } from 'commander';
import { GdbConnection, type GdbInput, type GdbOutput, listenForGdb } from '../debugger/index.js';
import { startDebugThread } from './debug-thread.js';
import { numberFrom, wholeNumber } from './numbers.js';
import { EXIT, note } from './output.js';
import { exitCodeOf } from './step.js';

interface GdbFlags {
  readonly port: number;
  readonly seed?: number;
}

export function gdbCommand(): Command {
  return new Command('gdb')
    .description("Puts a scenario behind GDB's remote protocol: gdb-multiarch -ex 'target remote :1234'.")
    .argument('<scenario>', 'a file whose default export is defineScenario(…)')
    .option('--port <n>', 'on the loopback interface; 0 takes a free one', numberFrom(0, 0xffff), 1234)
    .option('--seed <n>', 'decides how processors interleave', wholeNumber)
    .addHelpText(
      'after',
      "\nExample:\n  hotpatch gdb scenarios/first-trampoline.ts --port 1234 &\n  gdb-multiarch -ex 'target remote :1234' -ex 'break ReceivePacket' -ex continue -ex backtrace",
    )
    .action(async (file: string, flags: GdbFlags) => {
      process.exitCode = await serveGdb(file, flags);
    });
}

/** Waits for GDB at the first instruction, then runs the scenario until it has ended, with or without GDB. */
async function serveGdb(file: string, { port, seed }: GdbFlags): Promise<number> {
  let connection: GdbConnection | undefined;
  let cannotListen = false;
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
          (server) => note(`GDB can connect: target remote 127.0.0.1:${server.port}`),
          (error: Error) => {
            note(`hotpatch: cannot listen: ${error.message}`);
            cannotListen = true;
            channel.send({ kind: 'closed' });
          },
        );
      }
    },
  );
  try {
    const exitCode = exitCodeOf(await done);
    return cannotListen ? EXIT.usage : exitCode;
  } finally {
    connection?.end();
    (await listening?.catch(() => undefined))?.server.close();
  }
}
