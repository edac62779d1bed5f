/** An object whose own state changes while it is open. */
interface Stateful {
  saveState(): unknown;
  loadState(state: unknown): void;
}

const isStateful = (object: object): object is Stateful => 'saveState' in object && 'loadState' in object;

export interface HandleState {
  readonly next: number;
  readonly objects: ReadonlyMap<number, { readonly object: object; readonly state: unknown }>;
}

/** The handles of a process: multiples of four, as on Windows. What they lead to is any object of the kernel model. */
export class HandleTable {
  #objects = new Map<number, object>();
  #next = 4;

  open(object: object): number {
    const handle = this.#next;
    this.#next += 4;
    this.#objects.set(handle, object);
    return handle;
  }

  /** The object, if the handle is open and of this class. */
  get<T extends object>(handle: bigint | number, type: abstract new (...args: never[]) => T): T | undefined {
    const object = this.#objects.get(Number(handle));
    return object instanceof type ? object : undefined;
  }

  close(handle: bigint | number): boolean {
    const object = this.#objects.get(Number(handle));
    const closed = this.#objects.delete(Number(handle));
    if (object !== undefined && 'close' in object && typeof object.close === 'function') object.close();
    return closed;
  }

  /** Takes the handle away without closing what it leads to, which another one leads to as well. */
  forget(handle: bigint | number): void {
    this.#objects.delete(Number(handle));
  }

  save(): HandleState {
    const objects = [...this.#objects].map(
      ([handle, object]) =>
        [handle, { object, state: isStateful(object) ? object.saveState() : undefined }] as const,
    );
    return { next: this.#next, objects: new Map(objects) };
  }

  load({ next, objects }: HandleState): void {
    this.#next = next;
    this.#objects = new Map([...objects].map(([handle, { object }]) => [handle, object]));
    for (const { object, state } of objects.values()) if (isStateful(object)) object.loadState(state);
  }

  static describe({ next, objects }: HandleState): string {
    const lines = [...objects].map(
      ([handle, { object, state }]) =>
        `${handle} ${object.constructor.name} ${JSON.stringify(state, bigintsAsText)}`,
    );
    return [`next ${next}`, ...lines].join('; ');
  }

  /** Everything of this class that a handle leads to. */
  all<T extends object>(type: abstract new (...args: never[]) => T): T[] {
    return [...this.#objects.values()].filter((object): object is T => object instanceof type);
  }

  get size(): number {
    return this.#objects.size;
  }
}

const bigintsAsText = (_key: string, value: unknown): unknown =>
  typeof value === 'bigint' ? value.toString() : value;

/** NtCurrentProcess(): the pseudo handle -1, of 64 or of 32 bits. */
export function isCurrentProcess(handle: bigint): boolean {
  return BigInt.asIntN(64, handle) === -1n || BigInt.asUintN(64, handle) === 0xffff_ffffn;
}
