import { type LastWords, lastWords } from '../cpu/index.js';
import { visibleText } from '../image/index.js';

const ERASE_LINE = '\r\x1b[K';

/**
 * What is said when SIGINT ends the command: what was being done, which files are there and which are not. Says nothing
 * until it watches.
 */
class Interruption {
  readonly #kept: string[] = [];
  readonly #awaited = new Set<string>();
  #doing = '';
  #words: LastWords | undefined;

  /** From now on: the command of this name is being run by this process. */
  watch(command: string): void {
    this.#doing = `hotpatch ${command}`;
    this.#words = lastWords();
    this.#say();
  }

  /** How far it is; cheap enough for every tenth of a second. */
  doing(text: string): void {
    if (this.#words === undefined) return;
    this.#doing = text;
    this.#say();
  }

  /** A file that the command is going to write. */
  await(path: string): void {
    this.#awaited.add(path);
    this.#say();
  }

  /** A file is there, whole. */
  keep(path: string): void {
    this.#awaited.delete(path);
    if (!this.#kept.includes(path)) this.#kept.push(path);
    this.#say();
  }

  /** A half-written file under a temporary name; undefined: no longer. */
  temporary(path: string | undefined): void {
    this.#words?.remove(path);
  }

  /** What is said. */
  get text(): string {
    const kept =
      this.#kept.length === 0 ? 'no file was written' : `written, and whole: ${this.#kept.join(', ')}`;
    const missing = this.#awaited.size === 0 ? '' : `; not written: ${[...this.#awaited].join(', ')}`;
    return visibleText(`interrupted (${this.#doing}): ${kept}${missing}`);
  }

  #say(): void {
    this.#words?.say(`${process.stderr.isTTY ? ERASE_LINE : ''}hotpatch: ${this.text}\n`);
  }
}

export const interruption = new Interruption();
