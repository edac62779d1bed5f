import { type Recording, unpackRecording } from '../recording/format.js';

/** The recording that the page carries: base64 of raw deflate. */
export async function loadRecording(base64: string): Promise<Recording> {
  const text = atob(base64);
  const bytes = new Uint8Array(text.length);
  for (let index = 0; index < text.length; index++) bytes[index] = text.charCodeAt(index);
  const inflated = new Blob([bytes]).stream().pipeThrough(new DecompressionStream('deflate-raw'));
  return unpackRecording(new Uint8Array(await new Response(inflated).arrayBuffer()));
}
