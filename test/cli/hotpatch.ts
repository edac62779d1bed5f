import { main } from '../../cli/main.js';
import { collectOutput } from './collected.js';

export interface CommandResult {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
  /** The one JSON document on stdout, when there is one. */
  readonly json: unknown;
}

/** Runs the `hotpatch` command in this process and catches what it prints. */
export async function hotpatch(...args: string[]): Promise<CommandResult> {
  using output = collectOutput();
  const exitCode = process.exitCode;
  try {
    const code = await main(args);
    const { stdout, stderr } = output;
    return { code, stdout, stderr, json: args.includes('--json') ? parse(stdout) : undefined };
  } finally {
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
