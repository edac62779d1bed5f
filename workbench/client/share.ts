import type { Program } from '../protocol.js';

/** A program as a fragment: deflated, so that a link stays short. It never reaches a server. */
export async function fragmentOf({ name, base, fixed, call }: Program): Promise<string> {
  const text = JSON.stringify([name, base, fixed === base ? '' : fixed, call]);
  const bytes = new Uint8Array(await through(new CompressionStream('deflate-raw'), text));
  const binary = Array.from(bytes, (byte) => String.fromCharCode(byte)).join('');
  return `#program=${btoa(binary).replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '')}`;
}

/** Characters that a fragment may unpack to. */
const LARGEST = 400_000;

/** The program of a fragment; undefined: it has none. */
export async function programOf(fragment: string): Promise<Program | undefined> {
  const [, packed] = /^#program=([\w-]+)$/.exec(fragment) ?? [];
  if (packed === undefined) return undefined;
  try {
    const binary = atob(packed.replaceAll('-', '+').replaceAll('_', '/'));
    const bytes = Uint8Array.from(binary, (character) => character.charCodeAt(0));
    const text = new TextDecoder().decode(await through(new DecompressionStream('deflate-raw'), bytes));
    const [name, base, fixed, call] = JSON.parse(text) as unknown[];
    if (![name, base, fixed, call].every((part) => typeof part === 'string')) throw new Error('no text');
    return {
      name: String(name),
      base: String(base),
      fixed: String(fixed) || String(base),
      call: String(call),
    };
  } catch {
    throw new Error('The link is damaged: its program cannot be read.');
  }
}

async function through(stream: GenericTransformStream, data: string | Uint8Array): Promise<ArrayBuffer> {
  const reader = new Blob([data as BlobPart]).stream().pipeThrough(stream).getReader();
  const parts: Uint8Array[] = [];
  let length = 0;
  for (let part = await reader.read(); !part.done; part = await reader.read()) {
    parts.push(part.value);
    length += part.value.length;
    if (length > LARGEST) throw new Error('too large');
  }
  return new Blob(parts as BlobPart[]).arrayBuffer();
}

/** Saves bytes, given as base64, as a file of the user's. */
export function save(name: string, data: string, type: string): void {
  const link = document.createElement('a');
  const bytes = Uint8Array.from(atob(data), (character) => character.charCodeAt(0));
  link.href = URL.createObjectURL(new Blob([bytes], { type }));
  link.download = name;
  link.click();
  URL.revokeObjectURL(link.href);
}
