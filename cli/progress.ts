import { visibleText } from '../image/index.js';
import { interruption } from './interruption.js';

const LEAST_MILLISECONDS = 100;
const ERASE_LINE = '\r\x1b[K';

/**
 * Tells how far long work is, in one line on stderr that is gone when it is disposed of. On a terminal only: elsewhere
 * nothing is written, unless the work is interrupted.
 */
export class Progress implements Disposable {
  readonly #isShown = process.stderr.isTTY === true;
  #last = 0;
  #isWritten = false;

  /** Writes the line, unless it was written a moment ago; cheap enough to be called for each function. */
  show(text: string): void {
    const now = performance.now();
    if (this.#isWritten && now - this.#last < LEAST_MILLISECONDS) return;
    this.#last = now;
    this.#isWritten = true;
    interruption.doing(text);
    if (!this.#isShown) return;
    const columns = process.stderr.columns ?? 80;
    process.stderr.write(`${ERASE_LINE}${visibleText(text).slice(0, Math.max(1, columns - 1))}`);
  }

  /** A new part of the work: written at once. */
  begin(text: string): void {
    this.#isWritten = false;
    this.show(text);
  }

  [Symbol.dispose](): void {
    if (this.#isShown && this.#last > 0) process.stderr.write(ERASE_LINE);
    this.#last = 0;
  }
}
