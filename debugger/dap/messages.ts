/** A request of the client, for the thread that the scenario runs in. */
export interface DapRequest {
  readonly kind: 'request';
  readonly id: number;
  /** As the Debug Adapter Protocol calls it: `stackTrace`, or `hotpatch/apply`. */
  readonly command: string;
  readonly arguments: unknown;
  /** It was sent while the run went on: answered at a stop that nobody sees, unless it is `pause`. */
  readonly whileRunning: boolean;
}

/** To the thread of the debuggee. */
export type DapInput = DapRequest | { readonly kind: 'closed' };

/** From it. */
export type DapOutput =
  /** It stands at its first instruction: breakpoints may be set. */
  | { readonly kind: 'ready'; readonly thread: number }
  | { readonly kind: 'response'; readonly id: number; readonly body: unknown }
  | { readonly kind: 'failure'; readonly id: number; readonly message: string }
  | { readonly kind: 'event'; readonly event: string; readonly body: unknown }
  /** Whether requests are answered now. */
  | { readonly kind: 'running'; readonly isRunning: boolean };
