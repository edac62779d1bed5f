import type { ChildProcess } from 'node:child_process';
import type { WebSocket } from 'ws';
import type { Builds, Built } from './builds.js';
import { endProcess, type RunLimits, startProcess } from './limits.js';

/** A message of the Debug Adapter Protocol, as far as this looks into it. */
interface Message {
  readonly seq?: number;
  readonly type?: string;
  readonly command?: string;
  readonly event?: string;
  readonly success?: boolean;
  readonly arguments?: { readonly [name: string]: unknown };
}

/** What the page may ask the adapter for. */
const ALLOWED = new Set([
  'initialize',
  'launch',
  'configurationDone',
  'threads',
  'stackTrace',
  'continue',
  'pause',
  'next',
  'stepIn',
  'stepOut',
  'stepBack',
  'reverseContinue',
  'evaluate',
  'setBreakpoints',
  'setFunctionBreakpoints',
  'hotpatch/apply',
  'hotpatch/revert',
  'hotpatch/patches',
  'hotpatch/call',
  'hotpatch/state',
]);

/** Requests after which the guest may run without end. */
const RUNNING = new Set(['continue', 'next', 'stepIn', 'stepOut', 'stepBack', 'reverseContinue']);
const STOPPED = new Set(['stopped', 'terminated', 'hotpatch/idle']);

/** Seconds for a machine to boot, and to run the entry point of its image. */
const BOOT_SECONDS = 60;

/** How long a run is given to stop once it was told to. */
const GRACE = 5000;

/** One machine for one WebSocket: the debug adapter in a process of its own, which ends with the socket. */
export class MachineBridge {
  readonly #child: ChildProcess;
  #timer: NodeJS.Timeout | undefined;
  #received = Buffer.alloc(0);
  #why = 'the machine has ended';

  constructor(
    private readonly socket: WebSocket,
    private readonly builds: Builds,
    private readonly limits: RunLimits,
    adapter: readonly [string, ...string[]],
    cwd: string,
  ) {
    this.#child = startProcess(adapter, limits, {
      cwd,
      onTooLarge: () => {
        this.#why = `the machine was ended: it took more than ${limits.memory} MB`;
      },
    });
    this.#child.stdout?.on('data', (data: Buffer) => this.#read(data));
    this.#child.once('close', () => this.#gone());
    this.#child.once('error', () => this.#gone());
    socket.on('message', (data: Buffer) => this.#forward(String(data)));
    socket.on('close', () => this.end());
    socket.on('error', () => this.end());
  }

  end(): void {
    clearTimeout(this.#timer);
    endProcess(this.#child);
  }

  #gone(): void {
    clearTimeout(this.#timer);
    this.#tell({ type: 'event', event: 'workbench/ended', body: { text: this.#why } });
    this.socket.close();
  }

  #forward(text: string): void {
    let message: Message;
    try {
      message = JSON.parse(text) as Message;
    } catch {
      this.socket.close(1007, 'no JSON');
      return;
    }
    const { command = '', seq = 0 } = message;
    try {
      if (message.type !== 'request' || !ALLOWED.has(command))
        throw new Error(`'${command}' cannot be asked for here`);
      this.#write({ ...message, arguments: this.#argumentsOf(command, message.arguments ?? {}) });
      if (command === 'launch') this.#watch(Math.max(BOOT_SECONDS, this.limits.seconds));
      if (RUNNING.has(command)) this.#watch();
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      this.#tell({ type: 'response', request_seq: seq, command, success: false, message: why });
    }
  }

  /** The page names builds, and never files. */
  #argumentsOf(command: string, args: NonNullable<Message['arguments']>): object {
    if (command === 'launch') {
      const { base, sources } = this.builds.get(args.build);
      const { call, processors } = args;
      return { image: base, call, processors, sourcePaths: [sources], stopOnEntry: true };
    }
    if (command !== 'hotpatch/apply') return args;
    return { path: hotPatchOf(this.builds.get(args.build)) };
  }

  /** A run that does not stop by itself is stopped; one that cannot be stopped is ended. */
  #watch(seconds = this.limits.seconds): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      this.#tell({ type: 'event', event: 'workbench/limit', body: { text: `it has run for ${seconds} s` } });
      this.#write({ seq: -1, type: 'request', command: 'pause', arguments: { threadId: 0 } });
      this.#timer = setTimeout(() => {
        this.#why = `the machine was ended: it ran for more than ${seconds} s and did not stop`;
        endProcess(this.#child);
      }, GRACE);
    }, seconds * 1000);
  }

  #write(message: object): void {
    const body = Buffer.from(JSON.stringify(message));
    this.#child.stdin?.write(Buffer.concat([Buffer.from(`Content-Length: ${body.length}\r\n\r\n`), body]));
  }

  #read(data: Buffer): void {
    this.#received = Buffer.concat([this.#received, data]);
    for (;;) {
      const end = this.#received.indexOf('\r\n\r\n');
      if (end < 0) return;
      const length = Number(/Content-Length: *(\d+)/i.exec(this.#received.toString('latin1', 0, end))?.[1]);
      if (this.#received.length < end + 4 + length) return;
      const text = this.#received.toString('utf8', end + 4, end + 4 + length);
      this.#received = this.#received.subarray(end + 4 + length);
      this.#notice(JSON.parse(text) as Message);
      if (this.socket.readyState === 1) this.socket.send(text);
    }
  }

  #notice({ type, event = '', command = '', success }: Message): void {
    if (type === 'event' && STOPPED.has(event)) clearTimeout(this.#timer);
    if (type === 'event' && event === 'continued') this.#watch();
    if (type === 'response' && RUNNING.has(command) && success === false) clearTimeout(this.#timer);
  }

  #tell(message: object): void {
    if (this.socket.readyState === 1) this.socket.send(JSON.stringify({ seq: 0, ...message }));
  }
}

function hotPatchOf({ hotPatch }: Built): string {
  if (hotPatch === undefined) throw new Error('this build made no hotpatch');
  return hotPatch;
}
