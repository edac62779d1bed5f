import { MessageChannel, type MessagePort, receiveMessageOnPort } from 'node:worker_threads';

/** What a channel is made of; can be given to a worker. */
export interface ChannelEnds {
  readonly port: MessagePort;
  /** Two words: how many messages were sent to the worker, and whether it is to stop what runs. */
  readonly signal: Int32Array;
}

/**
 * The end of a thread that must wait without returning to its event loop: a scenario's calls into the lab are
 * synchronous, and a debugger stops in the middle of them.
 */
export class BlockingEnd<Incoming, Outgoing> {
  constructor(private readonly ends: ChannelEnds) {}

  /** Blocks until a message comes. */
  receive(): Incoming {
    const { port, signal } = this.ends;
    for (;;) {
      const sent = Atomics.load(signal, 0);
      const message: { message: Incoming } | undefined = receiveMessageOnPort(port);
      if (message !== undefined) return message.message;
      Atomics.wait(signal, 0, sent);
    }
  }

  send(message: Outgoing): void {
    this.ends.port.postMessage(message);
  }

  /** Was {@link WakingEnd.interrupt} called since the last time this was asked? */
  interrupted(): boolean {
    return Atomics.exchange(this.ends.signal, 1, 0) === 1;
  }
}

/** The other end, in a thread with an event loop. */
export class WakingEnd<Incoming, Outgoing> {
  /** Give these to the worker, and `port` in its transfer list. */
  readonly workerEnds: ChannelEnds;
  readonly #port: MessagePort;
  readonly #signal = new Int32Array(new SharedArrayBuffer(8));

  constructor(onMessage: (message: Incoming) => void) {
    const { port1, port2 } = new MessageChannel();
    this.#port = port1;
    this.workerEnds = { port: port2, signal: this.#signal };
    this.#port.on('message', onMessage);
  }

  send(message: Outgoing): void {
    this.#port.postMessage(message);
    Atomics.add(this.#signal, 0, 1);
    Atomics.notify(this.#signal, 0);
  }

  /** Asks a run to stop; does not wake a thread that waits for a message. */
  interrupt(): void {
    Atomics.store(this.#signal, 1, 1);
  }

  close(): void {
    this.#port.close();
  }
}
