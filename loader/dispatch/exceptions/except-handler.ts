import {
  abandonBelow,
  CONTEXT_SET,
  type GuestCall,
  type GuestProcedure,
  processorOf,
  takeStack,
} from '../../threads/index.js';
import type { ServiceCall } from '../service-call.js';
import { unwindChain } from './chain-dispatch.js';
import { DISPOSITION, EXCEPTION_EXIT_UNWIND, EXCEPTION_UNWINDING } from './codes.js';
import { takeHandlerArea } from './guest-frame.js';

/**
 * What 32-bit functions with __try keep on their stack: the registration that the chain leads to, then the scope table and
 * the number of the innermost __try; in front of it the saved esp and the EXCEPTION_POINTERS. ebp is 16 above.
 */
const FRAME = { pointers: -4n, scopeTable: 8n, tryLevel: 12n, ebp: 16n } as const;

/** A row of the scope table: EnclosingLevel, FilterFunc (0 for a __finally), HandlerFunc. */
const SCOPE_SIZE = 12n;

interface Generation {
  /** TryLevel outside of every __try. */
  readonly none: number;
  /** Where the rows begin, behind the two pairs of cookie offsets. */
  readonly rows: bigint;
  /** What the scope table's address is combined with. */
  readonly cookie: bigint;
}

/** `_except_handler3(ExceptionRecord, Registration, ContextRecord, DispatcherContext)` of 32-bit code. */
export function exceptHandler3(call: ServiceCall): GuestProcedure {
  return handle(call, 0, { none: -1, rows: 0n, cookie: 0n });
}

/** `_except_handler4_common(CookiePointer, CheckCookie, ExceptionRecord, …)`: the scope table's address is encoded. */
export function exceptHandler4(call: ServiceCall): GuestProcedure {
  const cookie = BigInt(call.memory.readU32(call.argument(0)));
  return handle(call, 2, { none: -2, rows: 16n, cookie });
}

function* handle(call: ServiceCall, skipped: number, generation: Generation): GuestProcedure {
  const { thread } = call;
  const { memory: space } = thread;
  const own = thread.callouts.at(-1);
  const record = call.argument(skipped);
  const registration = call.argument(skipped + 1);
  const context = call.argument(skipped + 2);
  const frame = new TryFrame(call, registration, generation);
  if ((space.readU32(record + 4n) & (EXCEPTION_UNWINDING | EXCEPTION_EXIT_UNWIND)) !== 0) {
    yield* frame.unwindTo(generation.none);
    return DISPOSITION.continueSearch;
  }
  const pointers = takeStack(thread, 8);
  const area = takeHandlerArea(thread);
  if (pointers === undefined || area === undefined) return DISPOSITION.continueSearch;
  space.writeU32(pointers, Number(record));
  space.writeU32(pointers + 4n, Number(context));
  space.writeU32(registration + FRAME.pointers, Number(pointers));
  for (let level = frame.tryLevel; level !== generation.none; level = frame.scope(level).enclosing) {
    const { filter, handler, enclosing } = frame.scope(level);
    if (filter === 0n) continue;
    const verdict = Number(BigInt.asIntN(32, yield frame.call(filter)));
    if (verdict < 0) return DISPOSITION.continueExecution;
    if (verdict === 0) continue;
    yield* unwindChain(thread, registration, record, context, area.dispatcherContext);
    yield* frame.unwindTo(level);
    frame.tryLevel = enclosing;
    const processor = processorOf(thread);
    if (own !== undefined) processor.loadContext(own.context);
    processor.set('ebp', registration + FRAME.ebp);
    // The handler takes esp from where the function saved it; until then it needs a stack below the frame.
    processor.set('esp', (registration - 0x100n) & ~15n);
    processor.pc = handler;
    abandonBelow(thread, registration);
    return CONTEXT_SET;
  }
  return DISPOSITION.continueSearch;
}

class TryFrame {
  readonly #scopes: bigint;

  constructor(
    private readonly serving: ServiceCall,
    private readonly registration: bigint,
    { rows, cookie }: Generation,
  ) {
    const encoded = BigInt(this.#space.readU32(registration + FRAME.scopeTable));
    this.#scopes = (encoded ^ cookie) + rows;
  }

  get tryLevel(): number {
    return this.#space.readU32(this.registration + FRAME.tryLevel) | 0;
  }

  set tryLevel(level: number) {
    this.#space.writeU32(this.registration + FRAME.tryLevel, level >>> 0);
  }

  scope(level: number): { enclosing: number; filter: bigint; handler: bigint } {
    const at = this.#scopes + BigInt(level) * SCOPE_SIZE;
    return {
      enclosing: this.#space.readU32(at) | 0,
      filter: BigInt(this.#space.readU32(at + 4n)),
      handler: BigInt(this.#space.readU32(at + 8n)),
    };
  }

  /** Filters and termination handlers find the variables of their function by ebp. */
  call(target: bigint): GuestCall {
    return { target, arguments: [], registers: [['ebp', this.registration + FRAME.ebp]] };
  }

  /** Runs the termination handlers of every __try that is left on the way to `level`. */
  *unwindTo(level: number): Generator<GuestCall, void, bigint> {
    for (let at = this.tryLevel; at !== level && at >= 0; at = this.tryLevel) {
      const { enclosing, filter, handler } = this.scope(at);
      this.tryLevel = enclosing;
      if (filter === 0n) yield this.call(handler);
    }
  }

  get #space() {
    return this.serving.memory;
  }
}
