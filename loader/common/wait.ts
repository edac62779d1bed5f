/** What a waiting thread waits for. `ready` is asked whenever something may have changed; times are ticks of the kernel's clock. */
export interface Blocked {
  readonly kind: 'blocked';
  /** `event 0xfffff…`, for listings. */
  readonly reason: string;
  /** The result that ends the wait (and takes the object, if it is taken), or undefined: wait on. */
  ready(): bigint | undefined;
  /** What decides whether it is ready, and what taking it changes, lies in guest memory, or nothing decides: time does. */
  readonly inMemory?: true;
  /** The thread keeps its processor and asks again and again, as code at DISPATCH_LEVEL does. */
  readonly spins?: boolean;
  /** When the wait ends by itself. */
  readonly deadline?: bigint;
  /** Result when the deadline came first. Default STATUS_TIMEOUT. */
  readonly timeoutResult?: bigint;
}

export const STATUS_TIMEOUT = 0x102n;

export function blocked(wait: Omit<Blocked, 'kind'>): Blocked {
  return { kind: 'blocked', ...wait };
}

export function isBlocked(result: unknown): result is Blocked {
  return typeof result === 'object' && result !== null && 'kind' in result && result.kind === 'blocked';
}
