import { PAGE_SIZE } from './protection.js';
import type { ExecutedBlocks } from './recorder.js';
import type { Translator } from './translator.js';
import type { Engine, Hook } from './unicorn/engine.js';
import { HOOK } from './unicorn/names.js';

export interface MemoryAccess {
  readonly access: 'read' | 'write';
  /** Virtual address; if the page is mapped at two addresses, perhaps of the other one. */
  readonly address: bigint;
  /** Bytes. */
  readonly size: number;
  /** What is written; 0 for reads. */
  readonly value: bigint;
}

/** Called while the processor runs: may read registers and memory, may not change anything. */
export interface Observation {
  /** Before each instruction. About 0.7 µs each. */
  readonly instruction?: (address: bigint, size: number) => void;
  /** At the entry of each translated block, `size` in bytes. A run that stops inside a block does not execute all of it. */
  readonly block?: (address: bigint, size: number) => void;
  readonly memory?: (access: MemoryAccess) => void;
  /** After each piece of a run, with the number of instructions completed in it. */
  readonly segment?: (instructions: number) => void;
  /**
   * After each piece of a run whose blocks have been noted by the engine itself, in place of `block` and `segment` for
   * each of them.
   */
  readonly executed?: (blocks: ExecutedBlocks) => void;
}

/** The observers of one processor; hooks are in the engine only while somebody listens. */
export class ObserverSet {
  static readonly TAG = 2;
  readonly #observations = new Set<Observation>();
  readonly #hooks = new Map<number, Hook>();
  #isOutdated = false;

  add(observation: Observation): Disposable {
    const own = { ...observation };
    this.#observations.add(own);
    this.#isOutdated = true;
    return {
      [Symbol.dispose]: () => {
        this.#observations.delete(own);
        this.#isOutdated = true;
      },
    };
  }

  /** Whether somebody listens to more than segments, which takes an engine that counts each instruction. */
  get isFine(): boolean {
    for (const { instruction, block, memory, executed } of this.#observations) {
      if (instruction !== undefined || memory !== undefined) return true;
      if (block !== undefined && executed === undefined) return true;
    }
    return false;
  }

  /** Whether an engine that counts by blocks is to note them. */
  get wantsExecuted(): boolean {
    for (const { executed } of this.#observations) if (executed !== undefined) return true;
    return false;
  }

  /** Brings the hooks in line with who listens; always of the same engine, while it stands still. */
  updateHooks(engine: Engine): void {
    if (!this.#isOutdated) return;
    this.#isOutdated = false;
    const observations = [...this.#observations];
    const wanted: readonly [number, boolean][] = [
      [HOOK.instruction, observations.some(({ instruction }) => instruction !== undefined)],
      [HOOK.block, observations.some(({ block }) => block !== undefined)],
      [HOOK.memoryRead, observations.some(({ memory }) => memory !== undefined)],
      [HOOK.memoryWrite, observations.some(({ memory }) => memory !== undefined)],
    ];
    for (const [kind, isWanted] of wanted) {
      const hook = this.#hooks.get(kind);
      if (isWanted === (hook !== undefined)) continue;
      if (hook === undefined) {
        this.#hooks.set(kind, engine.addHook(kind, ObserverSet.TAG));
      } else {
        hook[Symbol.dispose]();
        this.#hooks.delete(kind);
      }
      engine.forgetAllCode();
    }
  }

  instruction(address: bigint, size: number): void {
    for (const { instruction } of this.#observations) instruction?.(address, size);
  }

  block(address: bigint, size: number): void {
    for (const { block } of this.#observations) block?.(address, size);
  }

  memory(translator: Translator, isWrite: boolean, physical: number, size: number, value: bigint): void {
    const frame = Math.floor(physical / PAGE_SIZE);
    const page = translator.virtualPages.get(frame) ?? 0;
    const access: MemoryAccess = {
      access: isWrite ? 'write' : 'read',
      address: BigInt(page) * BigInt(PAGE_SIZE) + BigInt(physical % PAGE_SIZE),
      size,
      value: BigInt.asUintN(Math.min(size, 8) * 8, value),
    };
    this.access(access);
  }

  access(access: MemoryAccess): void {
    for (const { memory } of this.#observations) memory?.(access);
  }

  segmentDone(instructions: number): void {
    for (const { segment } of this.#observations) segment?.(instructions);
  }

  executed(blocks: ExecutedBlocks): void {
    for (const { executed, segment } of this.#observations) {
      if (executed === undefined) segment?.(blocks.instructions);
      else executed(blocks);
    }
  }
}
