import type { ServiceCall } from '../dispatch/index.js';
import { PROCESS, processData } from './ucrtbase/state.js';

/** Longest piece of a line that is kept until the rest comes. */
const ROOM = 0x7f0;

const bufferOf = (call: ServiceCall, stream: 'output' | 'error'): bigint =>
  processData(call, stream === 'output' ? PROCESS.outputLine : PROCESS.errorLine);

/**
 * What a program writes to its console is told line by line; the piece without an end is kept in the process until it is
 * complete, or flushed.
 */
export function consoleWrite(call: ServiceCall, stream: 'output' | 'error', bytes: Uint8Array): void {
  const at = bufferOf(call, stream);
  const kept = call.memory.read(at + 8n, call.memory.readU32(at));
  let rest = Buffer.concat([kept, bytes]);
  for (;;) {
    const end = rest.indexOf(0x0a);
    if (end < 0 && rest.length <= ROOM) break;
    const length = end < 0 ? ROOM : end;
    tell(call, stream, rest.subarray(0, length));
    rest = rest.subarray(end < 0 ? length : end + 1);
  }
  call.memory.write(at + 8n, rest);
  call.memory.writeU32(at, rest.length);
}

/** Tells the piece of a line that has no end. */
export function consoleFlush(call: ServiceCall, stream: 'output' | 'error'): void {
  const at = bufferOf(call, stream);
  const length = call.memory.readU32(at);
  if (length === 0) return;
  tell(call, stream, call.memory.read(at + 8n, length));
  call.memory.writeU32(at, 0);
}

const NAMES = { output: 'stdout', error: 'stderr' } as const;
const CONTROL = /(?!\t)\p{Cc}/gu;

function tell({ kernel, process }: ServiceCall, stream: 'output' | 'error', bytes: Uint8Array): void {
  const line = Buffer.from(bytes).toString('utf8').replace(/\r$/, '');
  const shown = line.replace(CONTROL, (code) => `\\x${code.charCodeAt(0).toString(16).padStart(2, '0')}`);
  kernel.events.emit({ kind: 'consoleOutput', stream, text: `${process.name} ${NAMES[stream]}: ${shown}` });
}
