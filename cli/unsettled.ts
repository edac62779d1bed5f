/**
 * Hears what ends work that would otherwise come to no end by itself, or end the process without a word: nothing is left
 * that could settle it, nobody handles a rejection or an error, it takes too long. Of several, the newest one hears it.
 */
export class Unsettled implements Disposable {
  static readonly #all: Unsettled[] = [];
  /** Never rejects. */
  readonly error: Promise<unknown>;
  readonly #listeners: [event: string, listener: (reason?: unknown) => void][] = [];
  #timer: NodeJS.Timeout | undefined;

  /** @param timeout in seconds; default: none */
  constructor(what: string, timeout?: number) {
    Unsettled.#all.push(this);
    this.error = new Promise((resolve) => {
      this.#on('beforeExit', () => resolve(new NeverSettles(what, 'nothing is left that could settle it')));
      this.#on('unhandledRejection', resolve);
      this.#on('uncaughtException', resolve);
      if (timeout !== undefined)
        this.#timer = setTimeout(
          () => resolve(new NeverSettles(what, `not within ${timeout} seconds`)),
          timeout * 1000,
        );
    });
  }

  #on(event: string, listener: (reason?: unknown) => void): void {
    const heard = (reason?: unknown) => {
      if (Unsettled.#all.at(-1) === this) listener(reason);
    };
    process.on(event, heard);
    this.#listeners.push([event, heard]);
  }

  [Symbol.dispose](): void {
    for (const [event, listener] of this.#listeners) process.off(event, listener);
    clearTimeout(this.#timer);
    Unsettled.#all.splice(Unsettled.#all.indexOf(this), 1);
  }
}

export class NeverSettles extends Error {
  override readonly name = 'NeverSettles';

  constructor(what: string, why: string) {
    super(`${what} never settles: ${why}; await what it begins, and resolve what it awaits`);
  }
}

const exitHandlers: ((code: number) => void)[] = [];

/** Hears of `process.exit`, until it is disposed of. Nothing may wait there. Of several, the newest one hears it. */
export function onExit(handler: (code: number) => void): Disposable {
  if (exitHandlers.length === 0) process.on('exit', exiting);
  exitHandlers.push(handler);
  return {
    [Symbol.dispose]() {
      exitHandlers.splice(exitHandlers.indexOf(handler), 1);
      if (exitHandlers.length === 0) process.off('exit', exiting);
    },
  };
}

function exiting(code: number): void {
  exitHandlers.at(-1)?.(code);
}
