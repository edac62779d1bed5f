/** The workbench's server, for who has come in by its link. */
export class WorkbenchServer {
  private constructor(private readonly key: string) {}

  /** Takes the token of the link, or the key that another page of this browser has got for it. */
  static async open(token: string | undefined): Promise<WorkbenchServer> {
    if (token !== undefined) {
      const { key } = await post<{ key: string }>('/api/open', { token });
      localStorage.setItem(KEY, key);
      return new WorkbenchServer(key);
    }
    const key = localStorage.getItem(KEY);
    if (key === null) throw new Error('Open the link that hotpatch workbench has printed.');
    return new WorkbenchServer(key);
  }

  post<T>(path: string, body: object = {}): Promise<T> {
    return post<T>(path, body, this.key);
  }

  socket(): WebSocket {
    return new WebSocket(`ws://${location.host}/machine`, ['hotpatch', this.key]);
  }
}

const KEY = 'hotpatch-workbench';

async function post<T>(path: string, body: object, key?: string): Promise<T> {
  const headers = {
    'Content-Type': 'application/json',
    ...(key === undefined ? {} : { Authorization: `Bearer ${key}` }),
  };
  const answer = await fetch(path, { method: 'POST', headers, body: JSON.stringify(body) }).catch(() => {
    throw new Error('The workbench has ended: start hotpatch workbench again.');
  });
  const document = await answer.json();
  if (answer.ok) return document;
  throw new Error([document.error, document.hint].filter(Boolean).join('\n'));
}
