import { CampaignError } from '../error.js';
import { type Connection, loadIoredis } from './packages.js';

/** Where a queue is: a server, and a name on it. */
export interface QueueAddress {
  /** `redis://127.0.0.1:6379/0`, `rediss://…` */
  readonly url: string;
  readonly name: string;
}

export const DEFAULT_QUEUE = 'hotpatch-campaign';

/**
 * `redis://HOST:PORT/DATABASE#NAME`, with a name of its own for each campaign that runs at the same time.
 * @throws CampaignError `queue.unreachable` when it is no such address
 */
export function queueAddress(text: string): QueueAddress {
  const wrong = new CampaignError('queue.unreachable', 'this is no address of a queue', {
    place: text,
    hint: 'redis://127.0.0.1:6379, rediss://USER:PASSWORD@HOST:PORT/0#NAME',
  });
  if (!URL.canParse(text)) throw wrong;
  const url = new URL(text);
  if (url.protocol !== 'redis:' && url.protocol !== 'rediss:') throw wrong;
  const name = decodeURIComponent(url.hash.slice(1));
  if (name.includes(':')) throw wrong;
  url.hash = '';
  return { url: url.href, name: name === '' ? DEFAULT_QUEUE : name };
}

/** For messages: without user and password. */
export function shownAddress({ url, name }: QueueAddress): string {
  const shown = new URL(url);
  shown.username = '';
  shown.password = '';
  return `${shown.href}#${name}`;
}

const FIRST_CONNECTION = 10_000;
const MOST_DELAY = 2000;

/**
 * A connection that comes back by itself when the server does.
 * @throws CampaignError `queue.missing`, `queue.unreachable` when there is no server at first
 */
export async function connect(address: QueueAddress): Promise<Connection> {
  const { Redis: Client } = await loadIoredis();
  const connection = new Client(address.url, {
    lazyConnect: true,
    connectTimeout: FIRST_CONNECTION,
    // Commands wait for the server, however long it is gone.
    maxRetriesPerRequest: null,
    retryStrategy: (times) => Math.min(100 * times, MOST_DELAY),
  });
  let last: unknown;
  connection.on('error', (error) => {
    last = error;
  });
  const limit = setTimeout(() => connection.disconnect(), FIRST_CONNECTION);
  try {
    await connection.connect();
    return connection;
  } catch (error) {
    connection.disconnect();
    const reason = last ?? error;
    throw new CampaignError('queue.unreachable', reason instanceof Error ? reason.message : String(reason), {
      place: shownAddress(address),
      hint: 'is a Redis or Valkey server listening there?',
      cause: error,
    });
  } finally {
    clearTimeout(limit);
  }
}
