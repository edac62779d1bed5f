/** The handles of a process: multiples of four, as on Windows. What they lead to is any object of the kernel model. */
export class HandleTable {
  readonly #objects = new Map<number, object>();
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
    return this.#objects.delete(Number(handle));
  }

  /** Everything of this class that a handle leads to. */
  all<T extends object>(type: abstract new (...args: never[]) => T): T[] {
    return [...this.#objects.values()].filter((object): object is T => object instanceof type);
  }

  get size(): number {
    return this.#objects.size;
  }
}

/** NtCurrentProcess(): the pseudo handle -1, of 64 or of 32 bits. */
export function isCurrentProcess(handle: bigint): boolean {
  return BigInt.asIntN(64, handle) === -1n || BigInt.asUintN(64, handle) === 0xffff_ffffn;
}
