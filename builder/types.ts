import { type CodeViewSymbol, type Pdb, TypeStream } from '../image/index.js';

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

/** Enumerations by name, as far as the PDB defines them: the value of each enumerator. */
export function enumerations(pdb: Pdb): Map<string, ReadonlyMap<string, bigint>> {
  return typesOf(pdb).enumerations();
}

/** RVA of each variable → its type as C would write it. A place that several types are given for is left out. */
export function variableTypes(pdb: Pdb): Map<number, string> {
  const types = typesOf(pdb);
  return ofVariables(pdb, (index) => types.name(index));
}

/** RVA of each variable → the bytes of its type, where the PDB says it. A place that several sizes are given for is left out. */
export function variableSizes(pdb: Pdb): Map<number, number> {
  const types = typesOf(pdb);
  return ofVariables(pdb, (index) => types.size(index));
}

function ofVariables<T>(pdb: Pdb, fact: (typeIndex: number) => T | undefined): Map<number, T> {
  const found = new Map<number, Set<T | undefined>>();
  const add = (symbol: CodeViewSymbol) => {
    if (!DATA.has(symbol.kind) || !('typeIndex' in symbol)) return;
    const rva = pdb.rva(symbol);
    if (rva !== undefined) found.set(rva, (found.get(rva) ?? new Set()).add(fact(symbol.typeIndex)));
  };
  for (const { symbols } of pdb.modules) symbols.forEach(add);
  pdb.globals.forEach(add);
  return new Map(
    [...found].flatMap(([rva, facts]) => {
      const [one] = facts;
      return one === undefined || facts.size > 1 ? [] : [[rva, one] as const];
    }),
  );
}

const DATA = new Set(['S_GDATA32', 'S_LDATA32', 'S_GTHREAD32', 'S_LTHREAD32']);
