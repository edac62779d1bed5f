import { createServer, type Server, type Socket } from 'node:net';
import type { WakingEnd } from '../channel.js';
import { framePacket, PacketReader } from './packets.js';

/** To the thread of the debuggee: a packet of GDB, or that it is gone. */
export type GdbInput = { readonly kind: 'packet'; readonly data: string } | { readonly kind: 'closed' };

/** From it: that it stands at its first instruction, GDB may come; and packets for GDB. */
export type GdbOutput = { readonly kind: 'ready' } | { readonly kind: 'packet'; readonly data: string };

/** One GDB on a socket: acknowledges its packets, passes them on, and sends the answers. */
export class GdbConnection {
  readonly #reader = new PacketReader();
  #acknowledges = true;
  #lastSent = '';

  constructor(
    private readonly socket: Socket,
    private readonly channel: WakingEnd<GdbOutput, GdbInput>,
  ) {
    socket.setNoDelay(true);
    socket.on('data', (bytes) => this.#receive(bytes.toString('latin1')));
    socket.on('close', () => channel.send({ kind: 'closed' }));
    socket.on('error', () => socket.destroy());
  }

  send(data: string): void {
    this.#write(framePacket(data));
  }

  end(): void {
    this.socket.end();
  }

  #receive(bytes: string): void {
    for (const incoming of this.#reader.read(bytes)) {
      if (incoming.kind === 'interrupt') this.channel.interrupt();
      else if (incoming.kind === 'refused') this.#write(this.#lastSent);
      else if (incoming.kind === 'broken') this.socket.write('-');
      else if (incoming.kind === 'packet') this.#packet(incoming.data);
    }
  }

  #packet(data: string): void {
    if (this.#acknowledges) this.socket.write('+');
    if (data === 'QStartNoAckMode') {
      this.send('OK');
      this.#acknowledges = false;
    } else this.channel.send({ kind: 'packet', data });
  }

  #write(packet: string): void {
    this.#lastSent = packet;
    this.socket.write(packet, 'latin1');
  }
}

/** Waits on the loopback interface for one GDB; `port` 0 takes a free one. */
export function listenForGdb(
  port: number,
  onConnection: (socket: Socket) => void,
): Promise<{ readonly server: Server; readonly port: number }> {
  const server = createServer((socket) => {
    server.close();
    onConnection(socket);
  });
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, '127.0.0.1', () => {
      const address = server.address();
      resolve({ server, port: typeof address === 'object' && address !== null ? address.port : port });
    });
  });
}
