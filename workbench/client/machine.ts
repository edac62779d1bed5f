import type { WorkbenchServer } from './server.js';

/** Whose code a place is, see hotpatch/state. */
export type Side = 'old' | 'new' | 'way' | 'base' | 'system';

export interface Frame {
  readonly pc: string;
  readonly text: string;
  readonly side: Side;
  readonly image?: string;
  readonly hop?: string;
  readonly line?: number;
  readonly place?: string;
}

export interface ThreadState {
  readonly id: number;
  readonly name: string;
  readonly processor?: number;
  readonly state: string;
  readonly frames: readonly Frame[];
}

export interface Instruction {
  readonly address: string;
  readonly shown: string;
  readonly bytes: string;
  readonly text: string;
  readonly hop?: string;
  readonly line?: number;
  readonly isChanged?: boolean;
}

export interface Version {
  readonly image: string;
  readonly side: 'base' | 'new';
  readonly entry: string;
  readonly instructions: readonly Instruction[];
}

export interface Table {
  readonly image: string;
  readonly isCommitted: boolean;
  readonly slots: readonly {
    readonly slot: number;
    readonly code?: string;
    readonly data: string;
    readonly owner?: string;
    readonly target: string;
  }[];
}

export interface CallResult {
  readonly call: string;
  readonly thread: number;
  readonly state: 'running' | 'returned' | 'crashed';
  readonly text?: string;
}

export interface MachineState {
  readonly position: string;
  readonly isIdle: boolean;
  readonly thread: number;
  readonly threads: readonly ThreadState[];
  readonly registers: readonly { readonly name: string; readonly value: string; readonly place?: string }[];
  readonly functions: readonly { readonly name: string; readonly versions: readonly Version[] }[];
  readonly tables: readonly Table[];
  readonly patches: readonly { readonly name: string; readonly state: string; readonly status: string }[];
  readonly results: readonly CallResult[];
}

interface Waiting {
  resolve(body: never): void;
  reject(error: Error): void;
}

/** A machine behind the debug adapter, over a WebSocket of its own. */
export class Machine {
  readonly #waiting = new Map<number, Waiting>();
  #sent = 0;

  private constructor(
    private readonly socket: WebSocket,
    private readonly onEvent: (event: string, body: Record<string, unknown>) => void,
  ) {
    socket.addEventListener('message', ({ data }) => this.#receive(JSON.parse(String(data))));
    socket.addEventListener('close', () => {
      for (const { reject } of this.#waiting.values()) reject(new Error('the machine has ended'));
      this.#waiting.clear();
      onEvent('workbench/closed', {});
    });
  }

  static connect(
    server: WorkbenchServer,
    onEvent: (event: string, body: Record<string, unknown>) => void,
  ): Promise<Machine> {
    const socket = server.socket();
    return new Promise((resolve, reject) => {
      socket.addEventListener('open', () => resolve(new Machine(socket, onEvent)));
      socket.addEventListener('error', () => reject(new Error('The machine cannot be started.')));
    });
  }

  request<T = unknown>(command: string, args: object = {}): Promise<T> {
    const seq = ++this.#sent;
    return new Promise((resolve, reject) => {
      if (this.socket.readyState !== WebSocket.OPEN) {
        reject(new Error('the machine has ended'));
        return;
      }
      this.#waiting.set(seq, { resolve, reject });
      this.socket.send(JSON.stringify({ seq, type: 'request', command, arguments: args }));
    });
  }

  /** Launches, and stands at the first instruction of the call when it resolves. */
  async launch(build: number, call: string, processors: number): Promise<void> {
    await this.request('initialize', { adapterID: 'hotpatch' });
    const launched = this.request('launch', { build, call, processors });
    // The adapter answers it once it has launched.
    await Promise.all([launched, this.request('configurationDone')]);
  }

  close(): void {
    this.socket.close();
  }

  #receive(message: Record<string, unknown>): void {
    if (message.type === 'event') {
      this.onEvent(String(message.event), (message.body ?? {}) as Record<string, unknown>);
      return;
    }
    const waiting = this.#waiting.get(Number(message.request_seq));
    this.#waiting.delete(Number(message.request_seq));
    if (message.success === false) waiting?.reject(new Error(String(message.message)));
    else waiting?.resolve(message.body as never);
  }
}
