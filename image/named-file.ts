import { readFileSync } from 'node:fs';

/**
 * Everything in a file.
 * @throws what `node:fs` throws, with the path also where the system's error has none (a folder is read)
 */
export function readNamedFile(path: string): Uint8Array {
  try {
    return readFileSync(path);
  } catch (error) {
    if (error instanceof Error && !('path' in error)) Object.assign(error, { path });
    throw error;
  }
}
