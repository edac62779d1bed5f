import type { MachineState } from './machine.js';

/** What the user has brought about, as lessons ask for it. */
export type Fact =
  | 'inside'
  | 'changed'
  | 'patched'
  | 'refused'
  | 'applied'
  | 'applied-inside'
  | 'ended-old'
  | 'ended-new'
  | 'old-and-new'
  | 'on-the-way'
  | 'new-calls-base'
  | 'went-back'
  | 'other-way'
  | 'reverted'
  | 'reverted-inside'
  | 'explored'
  | 'explored-broken';

/** Watches a machine and remembers what has happened on it. */
export class Facts {
  readonly #known = new Set<Fact>();
  /** Calls that stood in old code when a patch was applied. */
  readonly #inOld = new Set<number>();
  #seesNew = false;

  has(fact: Fact): boolean {
    return this.#known.has(fact);
  }

  add(fact: Fact): void {
    this.#known.add(fact);
  }

  clear(): void {
    this.#known.clear();
    this.#inOld.clear();
    this.#seesNew = false;
  }

  /** A machine that begins anew has forgotten who stood where. */
  newMachine(): void {
    this.#inOld.clear();
    this.#seesNew = false;
  }

  applied({ threads }: MachineState): void {
    this.add('applied');
    if (this.has('went-back')) this.add('other-way');
    for (const { id, frames } of threads)
      if (frames.some(({ side }) => side === 'old')) {
        this.#inOld.add(id);
        this.add('applied-inside');
      }
  }

  reverted({ threads }: MachineState): void {
    this.add('reverted');
    if (threads.some(({ frames }) => frames.some(({ side }) => side === 'new'))) this.add('reverted-inside');
  }

  /** @param called the function that the call names */
  see({ threads, results, patches }: MachineState, called: string): void {
    const chains = threads.map(({ frames }) => frames.map(({ side }) => side));
    const [innermost] = threads.map(({ frames }) => frames[0]);
    if (innermost !== undefined && !isEntry(innermost.text)) this.add('inside');
    if (chains.some((sides) => sides.includes('old')) && chains.some((sides) => sides.includes('new')))
      this.add('old-and-new');
    if (chains.some(([first]) => first === 'way')) this.add('on-the-way');
    if (chains.some(([first, second]) => first === 'base' && second === 'new')) this.add('new-calls-base');
    if (chains.some((sides) => sides.includes('new'))) this.#seesNew = true;
    const isApplied = patches.some(({ state }) => state === 'applied');
    for (const { thread, state, call } of results) {
      if (state !== 'returned') continue;
      if (this.#inOld.has(thread)) this.add('ended-old');
      else if (isApplied && this.has('applied') && (this.#seesNew || call.startsWith(called)))
        if (results.some(({ thread: other }) => this.#inOld.has(other) && other < thread) || this.#seesNew)
          this.add('ended-new');
    }
  }
}

/** `sensor!Sum`, and not `sensor!Sum+0x12`. */
function isEntry(text: string): boolean {
  return !text.includes('+');
}
