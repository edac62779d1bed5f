import type { ImageDomain, Kernel, Thread } from '../../loader/index.js';
import { HotPatchError } from './error.js';

/** Code of one address space: at the same addresses there is other code in each process and in each session. */
export interface CodeRange {
  readonly domain: ImageDomain;
  readonly start: bigint;
  /** First address behind it. */
  readonly end: bigint;
}

/** Is what code in `viewer` has at an address the very memory that `owner` has there? */
export function sees(viewer: ImageDomain, owner: ImageDomain, address: bigint): boolean {
  if (viewer.addressSpace === owner.addressSpace) return true;
  const page = Number(BigInt.asUintN(64, address) >> 12n);
  const table = owner.addressSpace.tableOfPage(page);
  return table !== undefined && viewer.addressSpace.tableOfPage(page) === table;
}

/** Does code of `viewer` that is at `pc` stand in the range? */
export function standsIn(viewer: ImageDomain, pc: bigint, { domain, start, end }: CodeRange): boolean {
  return pc >= start && pc < end && sees(viewer, domain, pc);
}

/** A jump that is to be stored into padding. */
export interface GuardedStore {
  readonly domain: ImageDomain;
  /** Addresses where no thread may stand meanwhile: see `unsafePadding`. */
  readonly unsafe?: readonly bigint[] | undefined;
  readonly symbol: string;
}

/**
 * Refuses a store into padding while a thread stands where it would execute a part of what is stored.
 * @throws HotPatchError `padding.occupied`
 */
export function refuseOccupied(kernel: Kernel, { domain: place, unsafe = [], symbol }: GuardedStore): void {
  if (unsafe.length === 0) return;
  for (const thread of kernel.threads) {
    const at = thread.standsAt.find((pc) => unsafe.includes(pc) && sees(thread.domain, place, pc));
    if (at !== undefined) throw occupied(thread, at, place, symbol);
  }
}

function occupied(thread: Thread, at: bigint, place: ImageDomain, symbol: string): HotPatchError {
  const image = place.imageAt(at);
  return new HotPatchError({
    rule: 'padding.occupied',
    status: 'STATUS_RETRY',
    image: image?.baseDllName,
    symbol,
    domain: place.name,
    message: `thread ${thread.id} runs through the padding before the function, at ${image?.describe(at)}: it would execute a part of the jump`,
    hint: 'let it run on, and try again',
  });
}

/** The threads that go on in the range: on a processor, waiting for one, or when the handler of an exception has returned. */
export function threadsStandingIn(kernel: Kernel, range: CodeRange): Thread[] {
  return kernel.threads.filter(({ domain, standsAt }) => standsAt.some((pc) => standsIn(domain, pc, range)));
}
