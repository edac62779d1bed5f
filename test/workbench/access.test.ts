import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { connect } from 'node:net';
import { networkInterfaces, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { type Program, startWorkbench, type Workbench } from '../../workbench/index.js';

/** A command that does nothing: what the workbench would start. */
const idle = fileURLToPath(new URL('./idle.mjs', import.meta.url));
const command = [process.execPath, idle] as const;

interface Answer {
  readonly status: number;
  readonly headers: NodeJS.Dict<string | string[]>;
  readonly body: string;
}

let workbench: Workbench;
let origin: string;
let key: string;

/** A request as anybody on this machine could send it. */
function ask(
  path: string,
  {
    method = 'GET',
    body,
    headers = {},
  }: { method?: string; body?: unknown; headers?: Record<string, string> },
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const asked = request(
      { host: '127.0.0.1', port: workbench.port, path, method, headers, setHost: headers.Host === undefined },
      (response) => {
        let text = '';
        response.setEncoding('utf8').on('data', (part: string) => {
          text += part;
        });
        response.on('end', () =>
          resolve({ status: response.statusCode ?? 0, headers: response.headers, body: text }),
        );
      },
    );
    asked.on('error', reject);
    asked.end(typeof body === 'string' ? body : body === undefined ? undefined : JSON.stringify(body));
  });
}

const post = (path: string, body: unknown, headers: Record<string, string> = {}) =>
  ask(path, { method: 'POST', body, headers: { Origin: origin, ...headers } });

const withKey = () => ({ Authorization: `Bearer ${key}` });

beforeAll(async () => {
  workbench = await startWorkbench({ port: 0, command });
  origin = `http://127.0.0.1:${workbench.port}`;
  const [, token] = workbench.url.split('#open=');
  const opened = await post('/api/open', { token });
  key = JSON.parse(opened.body).key;
});
afterAll(() => workbench.close());

describe('the link of a workbench', () => {
  it('is good for one opening', async () => {
    expect(key).toMatch(/^[\w-]{43}$/);
    const [address, token] = workbench.url.split('/#open=');
    expect(address).toBe(origin);
    const again = await post('/api/open', { token });
    expect(again.status).toBe(403);
    expect(JSON.parse(again.body).error).toContain('has been used');
  });

  it('is nothing that can be guessed', async () => {
    const other = await startWorkbench({ port: 0, command });
    const at = `http://127.0.0.1:${other.port}`;
    const open = async (token: unknown) => {
      const body = JSON.stringify({ token });
      return (await fetch(`${at}/api/open`, { method: 'POST', headers: { Origin: at }, body })).status;
    };
    const right = other.url.split('#open=')[1] ?? '';
    for (const token of [undefined, '', 'x', 7, null, [right], right.slice(1), `${right}x`])
      expect(await open(token), String(token)).toBe(403);
    expect(await open(right)).toBe(200);
    await other.close();
  });
});

describe('what the workbench answers', () => {
  it('lets the page talk to nobody else, and nobody frame it', async () => {
    const { status, headers } = await ask('/', {});
    expect(status).toBe(200);
    const policy = String(headers['content-security-policy']);
    expect(policy).toContain("default-src 'none'");
    expect(policy).toContain("script-src 'self'");
    expect(policy).toContain(`connect-src 'self' ws://127.0.0.1:${workbench.port}`);
    expect(policy).toContain("frame-ancestors 'none'");
    expect(headers['referrer-policy']).toBe('no-referrer');
    expect(headers['x-content-type-options']).toBe('nosniff');
    expect(headers['access-control-allow-origin']).toBeUndefined();
  });

  it.each(['evil.example', 'localhost', '127.0.0.1', '127.0.0.1:1', '[::1]'])(
    'refuses a name that leads here: Host %s',
    async (Host) => {
      for (const path of ['/', '/page.js', '/api/start'])
        expect((await ask(path, { headers: { Host } })).status).toBe(421);
      const start = await post('/api/start', {}, { Host, ...withKey() });
      expect(start.status).toBe(421);
      expect(start.body).not.toContain('readings');
    },
  );

  it.each(['http://evil.example', 'null', 'http://127.0.0.1:1', 'http://localhost', ''])(
    'refuses a page of another origin, key or not: Origin %s',
    async (Origin) => {
      expect((await post('/api/start', {}, { Origin, ...withKey() })).status).toBe(403);
    },
  );

  it.each(['', 'Bearer', 'Bearer x', 'Basic x'])('refuses whoever has no key: %j', async (Authorization) => {
    for (const path of ['/api/start', '/api/build', '/api/explore', '/api/export'])
      expect((await post(path, {}, { Authorization })).status).toBe(401);
  });

  it('answers the page', async () => {
    const { status, body } = await post('/api/start', {}, withKey());
    expect(status).toBe(200);
    expect(JSON.parse(body).program.base).toContain('int Sum(int count)');
  });

  it.each<readonly [string, string, unknown, number]>([
    ['no JSON', '/api/build', '{', 400],
    ['a list', '/api/build', [1], 400],
    ['no source', '/api/build', {}, 400],
    ['a name that is a path', '/api/build', { name: '../x', base: '', fixed: '' }, 400],
    ['a build that is not there', '/api/explore', explore({ build: 99 }), 400],
    ['an option in place of a number', '/api/explore', explore({ build: '--out' }), 400],
    ['an option in place of a protocol', '/api/explore', explore({ protocol: '--json' }), 400],
    ['more than it takes', '/api/build', `"${'x'.repeat(2 ** 20)}"`, 400],
    ['what there is not', '/api/nothing', {}, 404],
    ['a path', '/../../etc/passwd', {}, 404],
  ])('refuses %s', async (_what, path, body, status) => {
    const answer = await post(path, body, withKey());
    expect(answer.status).toBe(status);
    expect(JSON.parse(answer.body).error).toBeTypeOf('string');
  });

  it.each(['GET', 'PUT', 'DELETE', 'OPTIONS', 'HEAD'])('does nothing at a %s', async (method) => {
    const answer = await ask('/api/start', { method, headers: { Origin: origin, ...withKey() } });
    expect([404, 405]).toContain(answer.status);
    expect(answer.headers['access-control-allow-origin']).toBeUndefined();
  });
});

function explore(values: object): object {
  return { build: 1, call: 'f', processors: 1, fetch: 'weak', protocol: 'windows', ...values };
}

describe('the WebSocket of a machine', () => {
  /** `open`, or the status that it is refused with. */
  function connectTo(path: string, protocols: readonly string[], headers: Record<string, string>) {
    const socket = new WebSocket(`ws://127.0.0.1:${workbench.port}${path}`, protocols, { headers });
    return new Promise<string>((resolve) => {
      socket.on('open', () => {
        socket.terminate();
        resolve('open');
      });
      socket.on('error', ({ message }: Error) => resolve(message));
    });
  }

  it('opens for the page', async () => {
    expect(await connectTo('/machine', ['hotpatch', key], { Origin: origin })).toBe('open');
  });

  it.each<readonly [string, () => Parameters<typeof connectTo>, string]>([
    ['without an origin', () => ['/machine', ['hotpatch', key], {}], '403'],
    ['from another origin', () => ['/machine', ['hotpatch', key], { Origin: 'http://evil.example' }], '403'],
    [
      'with another Host',
      () => ['/machine', ['hotpatch', key], { Origin: origin, Host: 'evil.example' }],
      '421',
    ],
    ['without a key', () => ['/machine', ['hotpatch'], { Origin: origin }], '401'],
    ['with a wrong key', () => ['/machine', ['hotpatch', 'x'], { Origin: origin }], '401'],
    ['with the key alone', () => ['/machine', [key], { Origin: origin }], '401'],
    ['elsewhere', () => ['/other', ['hotpatch', key], { Origin: origin }], '403'],
  ])('is refused %s', async (_what, words, status) => {
    expect(await connectTo(...words())).toContain(status);
  });
});

describe('where the workbench is', () => {
  const others = Object.values(networkInterfaces())
    .flatMap((list) => list ?? [])
    .filter(({ family, internal }) => family === 'IPv4' && !internal);
  it.each([...others.map(({ address }) => address), '127.0.0.2', '::1'])('is not at %s', async (host) => {
    const reached = await new Promise<boolean>((resolve) => {
      const socket = connect({ host, port: workbench.port, timeout: 2000 });
      socket.on('connect', () => resolve(true));
      socket.on('error', () => resolve(false));
      socket.on('timeout', () => resolve(false));
    });
    expect(reached).toBe(false);
  });

  it('says that a port is taken, and takes another one when none was named', async () => {
    await expect(startWorkbench({ port: workbench.port, command })).rejects.toMatchObject({ rule: 'port' });
  });

  it('removes its folder', async () => {
    const started = await startWorkbench({ port: 0, command });
    expect(existsSync(started.folder)).toBe(true);
    await started.close();
    expect(existsSync(started.folder)).toBe(false);
  });
});

describe('a folder for the workbench', () => {
  const folder = mkdtempSync(join(tmpdir(), 'hotpatch-bench-'));
  afterAll(() => rmSync(folder, { recursive: true }));
  const make = (name: string, files: Record<string, string>): string => {
    const path = join(folder, name);
    mkdirSync(path);
    for (const [file, text] of Object.entries(files)) writeFileSync(join(path, file), text);
    return path;
  };
  const opened = async (path: string) => {
    const started = await startWorkbench({ port: 0, command, folder: path });
    try {
      const at = `http://127.0.0.1:${started.port}`;
      const asked = async (where: string, body: object, headers: object) => {
        const init = { method: 'POST', headers: { Origin: at, ...headers }, body: JSON.stringify(body) };
        return (await (await fetch(`${at}${where}`, init)).json()) as { key: string; program: Program };
      };
      const { key: own } = await asked('/api/open', { token: started.url.split('#open=')[1] }, {});
      const { program } = await asked('/api/start', {}, { Authorization: `Bearer ${own}` });
      return program;
    } finally {
      await started.close();
    }
  };

  it('has one C file and its patch', async () => {
    const path = make('patched', {
      'twice.c': 'int twice(int x)\n{\n    return x * 3;\n}\n',
      'fix.patch': '--- a/twice.c\n+++ b/twice.c\n@@ -3,1 +3,1 @@\n-    return x * 3;\n+    return x * 2;\n',
    });
    expect(await opened(path)).toEqual({
      name: 'twice',
      base: 'int twice(int x)\n{\n    return x * 3;\n}\n',
      fixed: 'int twice(int x)\n{\n    return x * 2;\n}\n',
      call: 'twice 3',
    });
  });

  it('or base.c and fixed.c', async () => {
    const path = make('pair', {
      'base.c': 'static int no(int a) { return a; }\nint yes(int a, char *b) { return no(a); }\n',
      'fixed.c': 'int yes(int a, char *b) { return 0; }\n',
    });
    expect(await opened(path)).toMatchObject({ name: 'base', call: 'yes 3 3' });
  });

  it.each([
    ['nothing', {}],
    ['two C files', { 'a.c': '', 'b.c': '' }],
  ])('is refused with %s', async (name, files) => {
    const path = make(name, files as Record<string, string>);
    await expect(startWorkbench({ port: 0, command, folder: path })).rejects.toMatchObject({
      rule: 'folder',
    });
  });

  it('is refused when it is not there', async () => {
    const path = join(folder, 'none');
    await expect(startWorkbench({ port: 0, command, folder: path })).rejects.toMatchObject({
      rule: 'folder',
    });
  });
});
