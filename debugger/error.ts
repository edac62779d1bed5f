/** A command of the debugger cannot be done: what is wrong with it, for the one who typed it. */
export class DebugError extends Error {
  override readonly name = 'DebugError';
}
