/** A hotpatch image cannot be made from these builds: which rule, which symbol, and what to do. */
export class BuildError extends Error {
  override readonly name = 'BuildError';

  constructor(
    readonly rule: string,
    message: string,
    readonly symbol?: string,
    readonly hint?: string,
  ) {
    super(`${symbol === undefined ? '' : `${symbol}: `}${message} (${rule})`);
  }
}
