import type { RecordedArchitecture } from './architecture.js';

export type { RecordedArchitecture } from './architecture.js';

import { ByteReader, ByteWriter } from './bytes.js';

/**
 * A run, as a page shows it. A *moment* is a number of entries that have happened: moment 0 is before the first one,
 * moment `entries` is the end. Addresses are written `0x…`, bytes as hexadecimal digits.
 */
export interface Recording {
  readonly head: RecordingHead;
  /** Every {@link Entry}, one after the other. */
  readonly stream: Uint8Array;
}

export interface RecordingHead {
  readonly version: 1;
  readonly title: string;
  readonly entries: number;
  readonly instructions: number;
  /** Undefined: all of it. Else the run went on for longer than was to be recorded. */
  readonly limit?: number;
  /** What ended the scenario early. */
  readonly error?: string;
  /** Expectations that held. */
  readonly expectations: number;
  readonly strings: readonly string[];
  readonly processors: readonly ProcessorFacts[];
  readonly tables: readonly TableFacts[];
  readonly spaces: readonly SpaceFacts[];
  readonly domains: readonly DomainFacts[];
  readonly threads: readonly ThreadFacts[];
  readonly slices: readonly SliceFacts[];
  readonly events: readonly EventFacts[];
  readonly images: readonly ImageFacts[];
  readonly trampolines: readonly TrampolineFacts[];
  readonly undo: readonly UndoChange[];
  readonly patches: readonly PatchesChange[];
  readonly services: readonly ServiceFacts[];
  readonly code: readonly CodeFacts[];
}

export interface ProcessorFacts {
  /** Of those that share a physical memory. */
  readonly machine: number;
  readonly index: number;
  readonly architecture: RecordedArchitecture;
  readonly registers: readonly string[];
  readonly programCounter: string;
  readonly stackPointer: string;
  /** Where the function that a thread began with returns to. */
  readonly returnAddress: string;
}

/** A page table: the pages of one range of addresses. */
export interface TableFacts {
  readonly name: string;
  /** Address / 4096 of its first page and of its last one. */
  readonly firstPage: number;
  readonly lastPage: number;
}

export interface SpaceFacts {
  readonly name: string;
  /** Its page tables, as of a moment; the first ones from 0 on. */
  readonly tables: readonly { readonly from: number; readonly tables: readonly number[] }[];
}

/** A place that images are loaded into. */
export interface DomainFacts {
  readonly name: string;
  readonly kind: 'driver' | 'session' | 'user' | 'secure';
  readonly space: number;
  /** Whose images its code sees: its own first. */
  readonly visible: readonly number[];
  readonly architecture: RecordedArchitecture;
}

export interface ThreadFacts {
  readonly id: number;
  readonly name: string;
  readonly domain: number;
  readonly space: number;
  /** Its stack: first byte, and bytes. */
  readonly stack: readonly [string, number];
}

/** From this moment on a thread has a processor, until the next slice. */
export interface SliceFacts {
  readonly from: number;
  readonly processor: number;
  readonly thread: number;
  /** As `hotpatch step` counts: a position is `sequence:steps`. */
  readonly sequence: number;
}

export interface EventFacts {
  /** The entry that it is. */
  readonly entry: number;
  readonly kind: string;
  readonly text: string;
  /** Of a store of the engine. */
  readonly store?: {
    readonly target: string;
    readonly writer: string;
    readonly address: string;
    readonly before: string;
    readonly bytes: string;
    readonly symbol: string;
  };
}

export interface ImageFacts {
  readonly name: string;
  readonly base: string;
  readonly size: number;
  readonly domain: number;
  readonly isPatch: boolean;
  readonly hpat?: { readonly base: string; readonly size: number; readonly layout: 'pairs' | 'pointers' };
  readonly retpolinePage?: string;
  readonly sections: readonly {
    readonly name: string;
    readonly rva: number;
    readonly size: number;
    readonly executable: boolean;
  }[];
  /** By RVA. */
  readonly symbols: readonly (readonly [rva: number, name: string])[];
  /** Moments between which it is loaded. */
  readonly from: number;
  readonly to?: number;
}

/** The way from a function that was patched to its replacement. */
export interface TrampolineFacts {
  readonly image: number;
  readonly slot: number;
  /** `demo!dispatch` */
  readonly symbol: string;
  readonly entry: string;
  /** Bytes at the entry that are replaced. */
  readonly entrySize: number;
  /** Bytes of padding before the entry that a jump takes; 0: none. */
  readonly paddingSize: number;
  /** The layout `pointers` has none. */
  readonly codeSlot?: string;
  readonly dataSlot: string;
  /** Goes through the image's retpoline page. */
  readonly retpoline: boolean;
  /** What its entry and padding were before it was patched for the first time. */
  readonly originalEntry: string;
  readonly originalPadding: string;
  /** When its entry was first redirected. */
  readonly from: number;
}

/** One entry of an undo table was set, or (without `rva`) cleared. */
export interface UndoChange {
  readonly from: number;
  readonly image: number;
  readonly slot: number;
  readonly rva?: number;
  readonly entryBytes?: string;
  readonly paddingBytes?: string;
}

/** All patches, from a moment on. */
export interface PatchesChange {
  readonly from: number;
  readonly patches: readonly {
    readonly name: string;
    /** Hotpatches of Server 2003 have none. */
    readonly sequence?: number;
    readonly state: string;
    readonly status: string;
  }[];
}

/** A simulated export. */
export interface ServiceFacts {
  readonly address: string;
  readonly name: string;
  readonly domain: number;
}

/** Code that can be shown: a function with the padding before it, or code that was executed where no symbol is. */
export interface CodeFacts {
  readonly name: string;
  readonly domain: number;
  readonly image?: number;
  /** First byte that is shown. */
  readonly start: string;
  /** The function's first byte. */
  readonly entry: string;
  readonly end: string;
  /** Its bytes from `start` on before anything changed them. */
  readonly original: string;
  /** Every instruction that it ever had: offset from `start`, bytes, text. */
  readonly lines: readonly (readonly [offset: number, bytes: string, text: string])[];
}

/** One block of bytes: the length of the head, the head as JSON, the stream. */
export function packRecording({ head, stream }: Recording): Uint8Array {
  const json = new TextEncoder().encode(JSON.stringify(head));
  const writer = new ByteWriter();
  writer.number(json.length);
  writer.append(json);
  writer.append(stream);
  return writer.bytes;
}

/** @throws SyntaxError when the bytes are no recording; Error when it is one of another version */
export function unpackRecording(bytes: Uint8Array): Recording {
  const reader = new ByteReader(bytes);
  const json = reader.take(reader.number());
  const head: RecordingHead = JSON.parse(new TextDecoder().decode(json));
  if (head.version !== 1) throw new Error(`this page cannot read recordings of version ${head.version}`);
  return { head, stream: bytes.subarray(reader.position) };
}
