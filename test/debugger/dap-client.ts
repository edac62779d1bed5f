import type { Server } from 'node:net';
import { DebugClient } from '@vscode/debugadapter-testsupport';
import { afterEach, beforeEach } from 'vitest';
import { listenForDap } from '../../cli/dap.js';

/** A debug adapter and an editor's client of it, new for each test of the file. */
export function dapClient(): { readonly client: DebugClient } {
  let server: Server;
  let client: DebugClient;
  beforeEach(async () => {
    const listening = await listenForDap(0);
    server = listening.server;
    client = new DebugClient('node', '', 'hotpatch');
    client.defaultTimeout = 50_000;
    await client.start(listening.port);
  });
  afterEach(async () => {
    await client.stop();
    server.close();
  });
  return {
    get client() {
      return client;
    },
  };
}
