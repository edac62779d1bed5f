import { vi } from 'vitest';
import { main } from '../../cli/main.js';

export interface CommandResult {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
  /** The one JSON document on stdout, when there is one. */
  readonly json: unknown;
}

/** Runs the `hotpatch` command in this process and catches what it prints. */
export async function hotpatch(...args: string[]): Promise<CommandResult> {
  let stdout = '';
  let stderr = '';
  const out = vi.spyOn(process.stdout, 'write').mockImplementation((text) => {
    stdout += String(text);
    return true;
  });
  const err = vi.spyOn(process.stderr, 'write').mockImplementation((text) => {
    stderr += String(text);
    return true;
  });
  const exitCode = process.exitCode;
  try {
    const code = await main(args);
    return { code, stdout, stderr, json: args.includes('--json') ? parse(stdout) : undefined };
  } finally {
    out.mockRestore();
    err.mockRestore();
    process.exitCode = exitCode;
  }
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
