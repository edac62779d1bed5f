import { ImageError } from '../../image/index.js';

/** The ImageError that a call ends with. */
export function errorOf(run: () => unknown): ImageError {
  try {
    run();
  } catch (error) {
    if (error instanceof ImageError) return error;
    throw error;
  }
  throw new Error('nothing was thrown');
}
