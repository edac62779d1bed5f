/** What this room uses of the package `ws`, which has no declarations of its own. */
declare module 'ws' {
  import type { EventEmitter } from 'node:events';
  import type { IncomingMessage } from 'node:http';
  import type { Duplex } from 'node:stream';

  export class WebSocket extends EventEmitter {
    readonly readyState: number;
    static readonly OPEN: number;
    constructor(
      address: string,
      protocols?: readonly string[],
      options?: { readonly headers?: Readonly<Record<string, string>> },
    );
    send(data: string): void;
    close(code?: number, reason?: string): void;
    terminate(): void;
  }

  export class WebSocketServer extends EventEmitter {
    constructor(options: {
      readonly noServer: true;
      /** Bytes of the longest message. */
      readonly maxPayload: number;
      readonly handleProtocols: (protocols: Set<string>) => string | false;
    });
    handleUpgrade(
      request: IncomingMessage,
      socket: Duplex,
      head: Buffer,
      accept: (socket: WebSocket) => void,
    ): void;
    close(): void;
  }
}
