/** What the workbench cannot do, and what to do about it. */
export class WorkbenchError extends Error {
  override readonly name = 'WorkbenchError';
  readonly hint: string | undefined;

  constructor(
    readonly rule: 'port' | 'folder' | 'request' | 'limit' | 'build' | 'command',
    message: string,
    hint?: string,
  ) {
    super(message);
    this.hint = hint;
  }
}
