import { forbidden, permissionsIn } from './access-check.js';
import { x64 } from './architecture/x64.js';
import { x86 } from './architecture/x86.js';
import { ENGINE_TRAITS } from './engine-traits.js';
import type { FaultAccess, FaultCause } from './exit.js';
import type { FetchUnit } from './instruction-fetch.js';
import type { PageEntry } from './page-table.js';
import type { Processor } from './processor.js';
import type { ProcessorOwner } from './processor-owner.js';
import { EXECUTE, PAGE_SHIFT, READ, WRITE } from './protection.js';
import type { BlockLog } from './unicorn/block-log.js';
import { REFUSED, type Translation } from './unicorn/callbacks.js';
import type { EngineKind } from './unicorn/engine.js';
import { DESCRIPTOR_TABLE_PAGE } from './unicorn/mode.js';
import { ACCESS, accessOf } from './unicorn/names.js';

/** Why the last translation was refused. */
export type Refusal =
  | {
      readonly kind: 'fault';
      readonly page: number;
      readonly access: FaultAccess;
      readonly cause: FaultCause;
    }
  | { readonly kind: 'returned' | 'service'; readonly page: number; readonly access: 'execute' }
  /** Not refused: the instruction is to be restarted after `resolve`. */
  | { readonly kind: 'retry'; readonly access: FaultAccess; readonly resolve?: () => void };

interface Separation {
  readonly blocks: BlockLog;
  readonly storesCode: () => void;
}

/** First page behind the lower, and first of the upper half of the canonical addresses of x64. */
const LOWER_END = 2 ** 35;
const UPPER_START = 2 ** 52 - 2 ** 35;

const RETURN_PAGE = Number(x64.returnAddress >> PAGE_SHIFT);
const COMPATIBILITY_RETURN_PAGE = Number(x86.returnAddress >> PAGE_SHIFT);

/** Weak mode: asked before a page is fetched from; what it returns is done before the fetch. */
export type BeforeFetch = (page: number) => (() => void) | undefined;

/** Answers an engine's question for a page: page tables, ring, trust level and second-level permissions in one place. */
export class Translator {
  refusal: Refusal | undefined;
  /** Virtual page through which the engine last reached a frame; for memory observers, which get physical addresses. */
  readonly virtualPages = new Map<number, number>();
  /** What the engine holds of memory. */
  readonly unit: FetchUnit;
  readonly #processor: Processor;
  readonly #owner: ProcessorOwner;
  readonly #traits: (typeof ENGINE_TRAITS)[EngineKind];
  readonly #beforeFetch: BeforeFetch | undefined;
  #separation: Separation | undefined;
  /** The access is not the engine's. */
  #isEmulated = false;

  constructor(processor: Processor, owner: ProcessorOwner, unit: FetchUnit, beforeFetch?: BeforeFetch) {
    this.#processor = processor;
    this.#owner = owner;
    this.unit = unit;
    this.#beforeFetch = beforeFetch;
    this.#traits = ENGINE_TRAITS[owner.architecture.engine];
  }

  /**
   * From now on no page is written and executed at once, and `blocks` hears what is fetched. `storesCode` is called, with
   * the engine standing still, when the guest stores into what it has executed.
   */
  separate(blocks: BlockLog, storesCode: () => void): void {
    this.#separation = { blocks, storesCode };
  }

  /** As if {@link translate} had refused the access until `resolve` is done. */
  retry(kind: number, resolve: () => void): void {
    this.refusal = { kind: 'retry', access: accessOf(kind), resolve };
  }

  /** The frame that a data access reaches, after demand-zero and copy-on-write, or why it is refused. */
  resolve(page: number, access: 'read' | 'write'): number | { readonly cause: FaultCause } {
    const before = this.refusal;
    this.#isEmulated = true;
    try {
      for (;;) {
        const translation = this.translate(page, ACCESS[access]);
        if (translation >= 0) return Math.floor(translation / 8);
        const { refusal } = this;
        if (refusal?.kind !== 'retry') {
          return { cause: refusal?.kind === 'fault' ? refusal.cause : 'notCommitted' };
        }
        refusal.resolve?.();
      }
    } finally {
      this.#isEmulated = false;
      this.refusal = before;
    }
  }

  translate(page: number, kind: number): Translation {
    const access = accessOf(kind);
    const table = this.#processor.addressSpace.tableOfPage(page);
    if (table === undefined) return this.#outside(page, access);
    const entry = table.lookup(page);
    if (entry === undefined) {
      if (this.#isReturn(page, access)) return this.#refuse({ kind: 'returned', page, access: 'execute' });
      return this.#fault(page, access, table.isReserved(page) ? 'reserved' : 'notCommitted');
    }
    const cause = forbidden(table, entry, access, this.#processor, this.#owner.memory);
    if (cause !== undefined) return this.#fault(page, access, cause);
    if (entry.service && access === 'execute') return this.#refuse({ kind: 'service', page, access });
    if (entry.frame === undefined || (access === 'write' && entry.copyOnWrite)) {
      const isWrite = access === 'write';
      return this.#refuse({ kind: 'retry', access, resolve: () => void table.resolve(page, isWrite) });
    }
    return this.#map(page, entry, entry.frame, access);
  }

  #map(page: number, entry: PageEntry, frame: number, access: FaultAccess): Translation {
    const { instructionFetch, memory } = this.#owner;
    const { unit } = this;
    const separation = this.#separation;
    const allowed = permissionsIn(entry, this.#processor.vtl, memory);
    const isCoherent = instructionFetch.mode === 'coherent';
    let source = frame;
    let permissions = allowed & READ;
    if (access === 'execute') {
      if (separation !== undefined && unit.writable.has(frame)) {
        unit.flushTranslations();
        return this.#refuse({ kind: 'retry', access });
      }
      const outcome = instructionFetch.beforeFetch(unit, frame);
      if (outcome === 'retry') return this.#refuse({ kind: 'retry', access });
      source = outcome;
      const resolve = this.#beforeFetch?.(page);
      if (resolve !== undefined) return this.#refuse({ kind: 'retry', access, resolve });
      permissions = source === frame ? permissions | EXECUTE : EXECUTE;
      separation?.blocks.fetches(page, source);
    } else if (access === 'write') {
      if (separation !== undefined && !this.#isEmulated && unit.translated.has(frame))
        return this.#refuse({ kind: 'retry', access, resolve: separation.storesCode });
      if (instructionFetch.beforeGuestWrite(unit, frame) === 'retry')
        return this.#refuse({ kind: 'retry', access });
      memory.markDirty(frame);
      permissions |= WRITE;
    }
    if (isCoherent) {
      if (unit.translated.has(frame)) permissions |= allowed & EXECUTE;
      if (unit.writable.has(frame) && !entry.copyOnWrite) permissions |= allowed & WRITE;
    }
    this.virtualPages.set(source, page);
    return source * 8 + permissions;
  }

  #isReturn(page: number, access: FaultAccess): boolean {
    if (access !== 'execute') return false;
    const isCompatible = this.#processor.bits === 32;
    return page === (isCompatible ? COMPATIBILITY_RETURN_PAGE : RETURN_PAGE);
  }

  #outside(page: number, access: FaultAccess): Translation {
    if (this.#isReturn(page, access)) return this.#refuse({ kind: 'returned', page, access: 'execute' });
    if (page === DESCRIPTOR_TABLE_PAGE && access === 'read' && this.#traits.hasDescriptorTables) {
      return this.#owner.descriptorTableFrame * 8 + READ;
    }
    const isCanonical = !this.#traits.hasNoncanonical || page < LOWER_END || page >= UPPER_START;
    return this.#fault(page, access, isCanonical ? 'notCommitted' : 'noncanonical');
  }

  #fault(page: number, access: FaultAccess, cause: FaultCause): Translation {
    return this.#refuse({ kind: 'fault', page, access, cause });
  }

  #refuse(refusal: Refusal): Translation {
    this.refusal = refusal;
    return REFUSED;
  }
}
