import type { Pdb } from '../image/index.js';
import { TypeStream } from './type-stream.js';

export interface TypeLayout {
  readonly size: number;
  /** `+0 int id, +8 char[16] name`: members with their offsets and types. */
  readonly text: string;
}

const streams = new WeakMap<Pdb, TypeStream>();

function typesOf(pdb: Pdb): TypeStream {
  const known = streams.get(pdb);
  if (known !== undefined) return known;
  const TPI = 2;
  const types = new TypeStream(pdb.stream(TPI));
  streams.set(pdb, types);
  return types;
}

/** Structures, classes and unions by name, as far as the PDB defines them. */
export function typeLayouts(pdb: Pdb): Map<string, TypeLayout> {
  return typesOf(pdb).layouts();
}

/** RVA of each procedure → its result and parameters: `int (struct session*, char*, int)`. */
export function procedureSignatures(pdb: Pdb): Map<number, string> {
  const types = typesOf(pdb);
  const signatures = new Map<number, string>();
  for (const { symbols } of pdb.modules)
    for (const symbol of symbols) {
      if (!('debugStart' in symbol) || symbol.kind.endsWith('_ID')) continue;
      const rva = pdb.rva(symbol);
      const text = types.procedure(symbol.typeIndex);
      if (rva !== undefined && text !== undefined) signatures.set(rva, text);
    }
  return signatures;
}
