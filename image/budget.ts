import { ImageError } from './error.js';

/**
 * Bounds the work and memory that one directory may cost. Entries of a well-formed table do not share bytes, so the
 * file's own length bounds their number; a crafted table that counts the same bytes again and again meets the budget.
 */
export class Budget {
  #left: number;
  readonly #what: string;
  readonly #file: string | undefined;

  constructor(what: string, amount: number, file?: string) {
    this.#what = what;
    this.#left = amount;
    this.#file = file;
  }

  spend(amount = 1): void {
    this.#left -= amount;
    if (this.#left < 0) {
      throw new ImageError({
        rule: 'tooMuch',
        place: this.#what,
        message: 'more entries than a file of this length can hold',
        file: this.#file,
      });
    }
  }
}
