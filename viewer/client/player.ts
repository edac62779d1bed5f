import type { Scene } from './scene.js';

/** Steps each second, from slow to fast. */
export const SPEEDS = [1, 2, 5, 20, 100, 1000] as const;
const FRAME = 1000 / 30;

/** Moves through the recording and tells whoever shows it. */
export class Player {
  readonly #listeners: (() => void)[] = [];
  /** Entries that are events, in order. */
  readonly #events: readonly number[];
  /** Entries that execute the first hop of a trampoline. */
  readonly #hops: readonly number[];
  #timer: number | undefined;
  /** Slow motion ends here, and this speed comes back. */
  #slow: { readonly end: number; readonly speed: number } | undefined;
  #speed = 1;
  #owed = 0;

  constructor(readonly scene: Scene) {
    this.#events = scene.head.events.map(({ entry }) => entry);
    const entries = new Set(scene.names.trampolines.map(({ entry }) => entry));
    const { addresses, notes } = scene.replay;
    this.#hops = [...notes.keys()].filter(
      (entry) => (notes[entry] ?? -1) >= 0 && entries.has(addresses[entry] ?? 0n),
    );
  }

  onChange(listener: () => void): void {
    this.#listeners.push(listener);
  }

  get moment(): number {
    return this.scene.replay.moment;
  }

  get hops(): readonly number[] {
    return this.#hops;
  }

  get isPlaying(): boolean {
    return this.#timer !== undefined;
  }

  /** Index into {@link SPEEDS}. */
  get speed(): number {
    return this.#speed;
  }

  set speed(speed: number) {
    this.#slow = undefined;
    this.#speed = Math.max(0, Math.min(speed, SPEEDS.length - 1));
    if (this.isPlaying) this.#start();
    this.#tell();
  }

  /** A jump or step by the user: playing stops. */
  goTo(moment: number): void {
    this.pause();
    this.#show(moment);
  }

  step(count: number): void {
    this.goTo(this.moment + count);
  }

  /** To the next event, or the one before. */
  toEvent(direction: 1 | -1): void {
    this.#toOneOf(this.#events, direction);
  }

  /** To where a patched function is called next, or was called before. */
  toHop(direction: 1 | -1): void {
    this.#toOneOf(this.#hops, direction);
  }

  /** Shows the first way through a trampoline, slowly, from its call on to the arrival in the patch image. */
  showTrampoline(): void {
    const [first] = this.#hops;
    if (first === undefined) return;
    this.goTo(first);
    this.#slow = { end: this.#arrival(first) + 1, speed: this.#speed };
    this.#speed = 0;
    this.play();
  }

  /** Where a page opens whose address names no step: at the first call of a patched function, else where one is patched. */
  get opening(): number {
    const { events } = this.scene.head;
    const patched = events.find(({ store }) => store?.target === 'entry');
    const [first] = this.#hops;
    return first !== undefined ? first + 1 : patched === undefined ? 0 : patched.entry + 1;
  }

  /** The first entry after a hop that executes code of a patch image. */
  #arrival(hop: number): number {
    const { replay, names, head } = this.scene;
    const patches = names.images.filter(({ facts }) => facts.isPatch);
    for (let entry = hop + 1; entry < head.entries; entry++) {
      const address = replay.addresses[entry] ?? 0n;
      if (patches.some(({ base, end }) => address >= base && address < end)) return entry;
    }
    return hop;
  }

  play(): void {
    if (this.isPlaying) return;
    if (this.moment >= this.scene.head.entries) this.#show(0);
    this.#start();
    this.#tell();
  }

  pause(): void {
    if (this.#timer === undefined) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
    this.#speed = this.#slow?.speed ?? this.#speed;
    this.#slow = undefined;
    this.#tell();
  }

  toggle(): void {
    if (this.isPlaying) this.pause();
    else this.play();
  }

  #start(): void {
    if (this.#timer !== undefined) clearInterval(this.#timer);
    const period = Math.max(FRAME, 1000 / (SPEEDS[this.#speed] ?? 1));
    this.#owed = 0;
    this.#timer = setInterval(() => this.#tick(period), period);
  }

  #tick(period: number): void {
    this.#owed += (period / 1000) * (SPEEDS[this.#speed] ?? 1);
    const steps = Math.max(1, Math.floor(this.#owed));
    this.#owed -= steps;
    this.#show(this.moment + steps);
    if (this.moment >= (this.#slow?.end ?? this.scene.head.entries)) this.pause();
  }

  #toOneOf(entries: readonly number[], direction: 1 | -1): void {
    const shown = this.moment - 1;
    const next =
      direction > 0 ? entries.find((entry) => entry > shown) : entries.findLast((entry) => entry < shown);
    if (next !== undefined) this.goTo(next + 1);
  }

  #show(moment: number): void {
    this.scene.goTo(moment);
    this.#tell();
  }

  #tell(): void {
    for (const listener of this.#listeners) listener();
  }
}
