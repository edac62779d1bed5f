import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Duplex } from 'node:stream';
import { type WebSocket, WebSocketServer } from 'ws';
import { Access, PROTOCOL, type Refusal } from './access.js';
import { type Actions, actionsOf } from './actions.js';
import { Builds } from './builds.js';
import { WorkbenchError } from './error.js';
import type { RunLimits } from './limits.js';
import { MachineBridge } from './machine-bridge.js';
import { type Asset, pageAssets } from './page.js';
import { programOf, starter } from './program.js';

export interface WorkbenchOptions {
  /** Folder of a program; default: one that the workbench brings. */
  readonly folder?: string;
  /** 0: any that is free. Default: 4747, or any when that is taken. */
  readonly port?: number;
  /** How the `hotpatch` command is started: its file and words that come before the command's. */
  readonly command: readonly [string, ...string[]];
  readonly limits?: Partial<RunLimits>;
}

export interface Workbench {
  /** What opens the page, once. */
  readonly url: string;
  readonly port: number;
  /** Where it keeps what it builds. */
  readonly folder: string;
  /** Ends what runs, and removes the folder. */
  close(): Promise<void>;
}

const USUAL_PORT = 4747;
const LIMITS: RunLimits = { seconds: 30, heap: 768, memory: 1536 };
/** The first build of a machine makes libraries too. */
const BUILD_SECONDS = 60;
/** Bytes of a request. */
const LARGEST_REQUEST = 2 ** 20;
/** Machines at a time. */
const MOST_MACHINES = 4;

/**
 * Serves the workbench on 127.0.0.1, and on no other address.
 * @throws WorkbenchError `port` when the port is taken, `folder` when there is no program in the folder
 */
export async function startWorkbench(options: WorkbenchOptions): Promise<Workbench> {
  const opened = options.folder === undefined ? { program: starter } : programOf(options.folder);
  const server = createServer();
  const port = await listen(server, options.port);
  const folder = mkdtempSync(join(tmpdir(), 'hotpatch-workbench-'));
  const limits = { ...LIMITS, ...options.limits };
  const builds = new Builds(folder, { ...limits, seconds: Math.max(limits.seconds, BUILD_SECONDS) });
  const end = new AbortController();
  const { command } = options;
  const actions = actionsOf({ opened, builds, command, limits, folder, signal: end.signal });
  const workbench = new WorkbenchServer(
    new Access(port),
    actions,
    await pageAssets(),
    (socket) => new MachineBridge(socket, builds, limits, [...command, 'dap'], folder),
  );
  server.on('request', (request, response) => workbench.answer(request, response));
  server.on('upgrade', (request, socket, head) => workbench.upgrade(request, socket, head));
  return {
    url: `${workbench.access.origin}/#open=${workbench.access.token}`,
    port,
    folder,
    close: async () => {
      end.abort();
      workbench.end();
      builds[Symbol.dispose]();
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
      rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
    },
  };
}

async function listen(server: Server, wanted: number | undefined): Promise<number> {
  const once = (port: number) =>
    new Promise<number>((resolve, reject) => {
      server.once('error', reject);
      server.listen({ port, host: '127.0.0.1', exclusive: true }, () => {
        server.off('error', reject);
        const address = server.address();
        resolve(typeof address === 'object' && address !== null ? address.port : port);
      });
    });
  try {
    return await once(wanted ?? USUAL_PORT);
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    if (wanted === undefined) return await once(0);
    throw new WorkbenchError('port', `port ${wanted} cannot be taken: ${why}`, 'leave --port out');
  }
}

/** Answers the page: its files to everybody on this machine who asks this address, everything else for the key. */
class WorkbenchServer {
  readonly #sockets: WebSocketServer;
  readonly #machines = new Set<MachineBridge>();

  constructor(
    readonly access: Access,
    private readonly actions: Actions,
    private readonly assets: ReadonlyMap<string, Asset>,
    private readonly startMachine: (socket: WebSocket) => MachineBridge,
  ) {
    this.#sockets = new WebSocketServer({
      noServer: true,
      maxPayload: LARGEST_REQUEST,
      handleProtocols: () => PROTOCOL,
    });
  }

  end(): void {
    for (const machine of this.#machines) machine.end();
    this.#sockets.close();
  }

  answer(request: IncomingMessage, response: ServerResponse): void {
    const { headers, method, url = '/' } = request;
    const [path = '/'] = url.split('?');
    const refusal = this.access.refuseHost(headers);
    const asset = this.assets.get(path);
    if (refusal !== undefined) send(response, refusal.status, { error: refusal.message });
    else if (method === 'POST')
      this.#act(path, request, response).catch((error: unknown) => fail(response, error));
    else if (method !== 'GET') send(response, 405, { error: 'GET or POST' });
    else if (asset === undefined) send(response, 404, { error: 'there is no such page' });
    else {
      response.writeHead(200, { ...HEADERS, ...asset.headers(this.access.origin) });
      response.end(asset.body);
    }
  }

  upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    const { headers, url } = request;
    const refusal =
      this.access.refuseHost(headers) ??
      this.access.refuseOrigin(headers) ??
      this.access.refuseProtocols(headers) ??
      this.#refuseMachine(url);
    if (refusal !== undefined) {
      socket.end(`HTTP/1.1 ${refusal.status} Refused\r\nConnection: close\r\n\r\n${refusal.message}\n`);
      return;
    }
    this.#sockets.handleUpgrade(request, socket, head, (accepted) => {
      const machine = this.startMachine(accepted);
      this.#machines.add(machine);
      accepted.on('close', () => this.#machines.delete(machine));
    });
  }

  #refuseMachine(url: string | undefined): Refusal | undefined {
    if (url !== '/machine') return { status: 403, message: 'there is only /machine' };
    if (this.#machines.size < MOST_MACHINES) return undefined;
    return { status: 403, message: `there are ${MOST_MACHINES} machines already: close another page` };
  }

  async #act(path: string, request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { headers } = request;
    const isOpening = path === '/api/open';
    const refusal =
      this.access.refuseOrigin(headers) ?? (isOpening ? undefined : this.access.refuseKey(headers));
    if (refusal !== undefined) {
      send(response, refusal.status, { error: refusal.message });
      return;
    }
    const body = await readJson(request);
    if (isOpening) {
      this.#open(body, response);
      return;
    }
    const action = this.actions[path];
    if (action === undefined) send(response, 404, { error: 'there is no such action' });
    else send(response, 200, await action(body));
  }

  #open({ token }: { readonly token?: unknown }, response: ServerResponse): void {
    const key = typeof token === 'string' ? this.access.open(token) : undefined;
    if (key !== undefined) send(response, 200, { key });
    else
      send(response, 403, {
        error: "this link has been used, or is another workbench's",
        hint: 'start hotpatch workbench again',
      });
  }
}

const HEADERS = {
  'X-Content-Type-Options': 'nosniff',
  'X-Frame-Options': 'DENY',
  'Referrer-Policy': 'no-referrer',
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Cross-Origin-Resource-Policy': 'same-origin',
  'Cache-Control': 'no-store',
} as const;

function send(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { ...HEADERS, 'Content-Type': 'application/json; charset=utf-8' });
  response.end(JSON.stringify(body));
}

function fail(response: ServerResponse, error: unknown): void {
  const message = error instanceof Error ? error.message : String(error);
  const hint = error instanceof WorkbenchError ? error.hint : undefined;
  send(response, error instanceof WorkbenchError ? 400 : 500, { error: message, hint });
}

async function readJson(request: IncomingMessage): Promise<object> {
  const parts: Buffer[] = [];
  let length = 0;
  for await (const part of request as AsyncIterable<Buffer>) {
    length += part.length;
    if (length > LARGEST_REQUEST)
      throw new WorkbenchError('request', `a request has at most ${LARGEST_REQUEST} bytes`);
    parts.push(part);
  }
  let body: unknown;
  try {
    body = JSON.parse(Buffer.concat(parts).toString('utf8'));
  } catch {
    throw new WorkbenchError('request', 'the request is no JSON');
  }
  if (typeof body === 'object' && body !== null) return body;
  throw new WorkbenchError('request', 'the request is no JSON object');
}
