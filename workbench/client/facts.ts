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
  | 'in-new'
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
  /** The newest thread that was there then. */
  #newest = Number.POSITIVE_INFINITY;

  has(fact: Fact): boolean {
    return this.#known.has(fact);
  }

  add(fact: Fact): void {
    this.#known.add(fact);
  }

  clear(): void {
    this.#known.clear();
    this.newMachine();
  }

  /** A machine that begins anew has forgotten who stood where. */
  newMachine(): void {
    this.#inOld.clear();
    this.#newest = Number.POSITIVE_INFINITY;
  }

  applied({ threads, results }: MachineState): void {
    this.add('applied');
    this.#newest = Math.max(0, ...results.map(({ thread }) => thread));
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

  see({ threads, results, patches }: MachineState): void {
    const chains = threads.map(({ frames }) => frames.map(({ side }) => side));
    const [innermost] = threads.map(({ frames }) => frames[0]);
    if (innermost !== undefined && !isEntry(innermost.text)) this.add('inside');
    if (chains.some((sides) => sides.includes('old')) && chains.some((sides) => sides.includes('new')))
      this.add('old-and-new');
    if (chains.some(([first]) => first === 'way')) this.add('on-the-way');
    if (chains.some(([first]) => first === 'new')) this.add('in-new');
    if (chains.some(([first, second]) => first === 'base' && second === 'new')) this.add('new-calls-base');
    const isApplied = patches.some(({ state }) => state === 'applied');
    for (const { thread, state } of results) {
      if (state !== 'returned') continue;
      if (this.#inOld.has(thread)) this.add('ended-old');
      else if (isApplied && thread > this.#newest) this.add('ended-new');
    }
  }
}

/** `sensor!Sum`, and not `sensor!Sum+0x12`. */
function isEntry(text: string): boolean {
  return !text.includes('+');
}
