/** One step of a processor as far as stale code goes: the changed pages that it fetches from, by number. */
export interface Touch {
  /** Steps of the run up to and with this one. */
  readonly step: number;
  readonly pages: readonly number[];
}

/**
 * The touches that decide which contents of pages a processor may go on fetching. Whatever is fetched, an interrupt may
 * serialise the processor before any touch; then only the order in which pages are first touched from there on counts. A
 * touch is left out when it begins no order that the touches behind it do not begin, and when the order that it ends in is
 * one where nothing has been left out.
 *
 * Kept are so the first touches of every order that the whole list has, and no other order comes about.
 */
export function telling(touches: readonly Touch[]): Touch[] {
  const kept: Touch[] = [];
  const orders = new Set<string>();
  /** Touches that were left out since what is kept had the order of the whole list. */
  let pending: Touch[] = [];
  let order: readonly (readonly number[])[] = [];
  let keptOrder = '';
  for (const touch of touches.toReversed()) {
    order = movedToFront(order, touch.pages);
    const key = keyOf(order);
    if (key === keptOrder) {
      pending = [];
      continue;
    }
    pending.push(touch);
    if (orders.has(key)) continue;
    for (const one of flush(pending)) orders.add(one);
  }
  if (pending.length > 0) flush(pending);
  return kept.reverse();

  function flush(list: readonly Touch[]): string[] {
    const met: string[] = [];
    let at = parse(keptOrder);
    for (const touch of list) {
      kept.push(touch);
      at = movedToFront(at, touch.pages);
      met.push(keyOf(at));
    }
    keptOrder = keyOf(at);
    pending = [];
    return met;
  }
}

/** Groups of pages that are touched first at the same time, in order. */
type Order = readonly (readonly number[])[];

function movedToFront(order: Order, pages: readonly number[]): Order {
  const rest = order.map((group) => group.filter((page) => !pages.includes(page)));
  return [[...pages].sort((a, b) => a - b), ...rest.filter((group) => group.length > 0)];
}

const keyOf = (order: Order): string => order.map((group) => group.join('+')).join(' ');

const parse = (key: string): Order =>
  key === '' ? [] : key.split(' ').map((group) => group.split('+').map(Number));
