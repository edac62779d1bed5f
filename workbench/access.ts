import { randomBytes, timingSafeEqual } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';

/** Why a request is refused, as an HTTP status and a sentence for people. */
export interface Refusal {
  readonly status: 401 | 403 | 421;
  readonly message: string;
}

/** The protocol of the WebSocket; the key comes as a second one. */
export const PROTOCOL = 'hotpatch';

/**
 * Who may use the workbench: whoever has the link that was printed, once, and then the page that was opened with it. A
 * page of another origin, a name that was rebound to this address, and another user of this machine have neither.
 */
export class Access {
  /** Opens the page once. */
  readonly token = randomBytes(24).toString('base64url');
  /** What the page shows with each request. */
  readonly #key = randomBytes(32).toString('base64url');
  #isUsed = false;

  /** @param port that the server has taken on 127.0.0.1 */
  constructor(private readonly port: number) {}

  get origin(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  /** A name in Host that is not this address means: somebody's DNS leads here. */
  refuseHost({ host }: IncomingHttpHeaders): Refusal | undefined {
    if (host === `127.0.0.1:${this.port}`) return undefined;
    return { status: 421, message: `this is ${this.origin}, and nothing else` };
  }

  /** For everything that is more than the bare page. */
  refuseOrigin({ origin }: IncomingHttpHeaders): Refusal | undefined {
    if (origin === this.origin) return undefined;
    return { status: 403, message: 'only the page of the workbench may ask this' };
  }

  /** The key for the token; undefined: it is wrong, or has been used. */
  open(token: string): string | undefined {
    if (this.#isUsed || !same(token, this.token)) return undefined;
    this.#isUsed = true;
    return this.#key;
  }

  refuseKey({ authorization = '' }: IncomingHttpHeaders): Refusal | undefined {
    return this.#refuse(authorization.replace(/^Bearer /, ''));
  }

  /** A page cannot give headers to a WebSocket, but protocols. */
  refuseProtocols(headers: IncomingHttpHeaders): Refusal | undefined {
    const [name, key = ''] = (headers['sec-websocket-protocol'] ?? '').split(',').map((text) => text.trim());
    return this.#refuse(name === PROTOCOL ? key : '');
  }

  #refuse(key: string): Refusal | undefined {
    if (same(key, this.#key)) return undefined;
    return { status: 401, message: 'open the link that hotpatch workbench has printed' };
  }
}

/** In a time that does not tell how much of it is right. */
function same(given: string, wanted: string): boolean {
  const [a, b] = [Buffer.from(given), Buffer.from(wanted)];
  return a.length === b.length && timingSafeEqual(a, b);
}
