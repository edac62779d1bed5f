import type { ServiceCall } from '../dispatch/index.js';
import { PROCESS, processData } from './ucrtbase/state.js';

/** What every process begins with. */
const INITIAL: readonly (readonly [name: string, value: string])[] = [
  ['ComSpec', 'C:\\Windows\\System32\\cmd.exe'],
  ['OS', 'Windows_NT'],
  ['PATH', 'C:\\Windows\\System32;C:\\Windows'],
  ['SystemDrive', 'C:'],
  ['SystemRoot', 'C:\\Windows'],
  ['TEMP', 'C:\\Temp'],
  ['TMP', 'C:\\Temp'],
  ['windir', 'C:\\Windows'],
];

/** The environment lies in the process: UTF-16, one NUL after each variable and one more at the end. */
function blockOf(call: ServiceCall): bigint {
  const at = processData(call, PROCESS.environmentBlock);
  return call.memory.readPointer(at) || store(call, INITIAL);
}

function store(call: ServiceCall, variables: readonly (readonly [string, string])[]): bigint {
  const { memory, process, thread } = call;
  const bytes = Buffer.from(
    `${variables.map(([name, value]) => `${name}=${value}\0`).join('')}\0`,
    'utf16le',
  );
  const block = process.allocateHeap(thread, bytes.length);
  if (block !== 0n) memory.write(block, bytes);
  memory.writePointer(processData(call, PROCESS.environmentBlock), block);
  // What was made of the old one stays where programs have seen it; a new one is made when it is asked for.
  memory.writePointer(processData(call, PROCESS.environ), 0n);
  memory.writePointer(processData(call, PROCESS.wenviron), 0n);
  return block;
}

/** Name and value of every variable, in their order. */
export function environment(call: ServiceCall): (readonly [name: string, value: string])[] {
  const variables: (readonly [string, string])[] = [];
  for (let at = blockOf(call); at !== 0n; ) {
    const text = call.memory.readUtf16(at);
    if (text === '') break;
    const equals = text.indexOf('=', 1);
    variables.push([text.slice(0, equals), text.slice(equals + 1)]);
    at += BigInt(2 * text.length + 2);
  }
  return variables;
}

export function environmentVariable(call: ServiceCall, name: string): string | undefined {
  const wanted = name.toLowerCase();
  return environment(call).find(([own]) => own.toLowerCase() === wanted)?.[1];
}

/** undefined takes the variable away. */
export function setEnvironmentVariable(call: ServiceCall, name: string, value: string | undefined): void {
  const wanted = name.toLowerCase();
  const others = environment(call).filter(([own]) => own.toLowerCase() !== wanted);
  const own = value === undefined ? [] : [[name, value] as const];
  store(
    call,
    [...others, ...own].sort(([a], [b]) => (a.toLowerCase() < b.toLowerCase() ? -1 : 1)),
  );
}

/** Address of the block, for GetEnvironmentStrings. */
export const environmentBlock = blockOf;

/** An array of pointers to the variables as text of `unit` bytes a character, and its end: what `_environ` points to. */
export function environmentVector(call: ServiceCall, unit: 1 | 2): bigint {
  const { memory, process, thread, pointerSize } = call;
  const cell = processData(call, unit === 1 ? PROCESS.environ : PROCESS.wenviron);
  const known = memory.readPointer(cell);
  if (known !== 0n) return known;
  const texts = environment(call).map(([name, value]) =>
    Buffer.from(`${name}=${value}\0`, unit === 1 ? 'latin1' : 'utf16le'),
  );
  const pointers = BigInt(pointerSize * (texts.length + 1));
  const size = texts.reduce((sum, text) => sum + text.length, Number(pointers));
  const vector = process.allocateHeap(thread, size, true);
  if (vector === 0n) return 0n;
  let at = vector + pointers;
  for (const [index, text] of texts.entries()) {
    memory.writePointer(vector + BigInt(index * pointerSize), at);
    memory.write(at, text);
    at += BigInt(text.length);
  }
  memory.writePointer(cell, vector);
  return vector;
}
