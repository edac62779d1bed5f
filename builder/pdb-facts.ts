import type { Pdb } from '../image/index.js';

/** One chunk of an object file as the linker placed it. */
export interface Contribution {
  readonly rva: number;
  readonly size: number;
  /** Over the chunk's bytes before relocation: two builds of the same source have the same. */
  readonly dataCrc: number;
  /** The object file that it comes from. */
  readonly module?: string;
}

/** The chunks of a PDB's section contribution list by their first RVA. */
export function contributionsByRva(pdb: Pdb): Map<number, Contribution> {
  const found = new Map<number, Contribution>();
  for (const contribution of pdb.sectionContributions) {
    const rva = pdb.rva(contribution);
    if (rva === undefined || contribution.size === 0) continue;
    const module = pdb.modules[contribution.module]?.shortName;
    found.set(rva, {
      rva,
      size: contribution.size,
      dataCrc: contribution.dataCrc,
      ...(module === undefined ? {} : { module }),
    });
  }
  return found;
}

const S_GPROC32 = 0x1110;
const S_LPROC32 = 0x110f;
const S_GPROC32_ID = 0x1147;
const S_LPROC32_ID = 0x1146;
const S_INLINESITE = 0x114d;
const PROCEDURES = new Set([S_GPROC32, S_LPROC32, S_GPROC32_ID, S_LPROC32_ID]);
const MODULE_SIGNATURE = 4;

/**
 * Which functions each function holds copies of: RVA of the host → names of what was inlined into it, from the
 * S_INLINESITE records (cvinfo.h: INLINESITESYM { pParent, pEnd, inlinee, annotations }) between a procedure's record
 * and its end.
 */
export function inlinedFunctions(pdb: Pdb): Map<number, Set<string>> {
  const hosts = new Map<number, Set<string>>();
  for (const { stream, symbolBytes } of pdb.dbi.modules) {
    if (stream === undefined || symbolBytes === 0) continue;
    const bytes = pdb.stream(stream);
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    let host: { rva: number | undefined; end: number } | undefined;
    for (let at = MODULE_SIGNATURE; at + 4 <= symbolBytes; at += 2 + view.getUint16(at, true)) {
      const kind = view.getUint16(at + 2, true);
      if (PROCEDURES.has(kind)) {
        const place = { section: view.getUint16(at + 36, true), offset: view.getUint32(at + 32, true) };
        host = { rva: pdb.rva(place), end: view.getUint32(at + 8, true) };
      }
      if (kind !== S_INLINESITE || host?.rva === undefined || at >= host.end) continue;
      const name = pdb.functionName(view.getUint32(at + 12, true));
      if (name !== undefined) hosts.set(host.rva, (hosts.get(host.rva) ?? new Set()).add(name));
    }
  }
  return hosts;
}

const S_LOCAL = 0x113e;
const S_DEFRANGE_REGISTER = 0x1141;
const IS_PARAMETER = 1;

/**
 * In which register each parameter of a function is at its entry: RVA → name → register number of cvconst.h. Optimisers
 * leave out parameters of static functions and move the others up. Records: cvinfo.h, LOCALSYM and DEFRANGESYMREGISTER.
 */
export function parameterRegisters(pdb: Pdb): Map<number, ReadonlyMap<string, number>> {
  const found = new Map<number, Map<string, number>>();
  for (const { stream, symbolBytes } of pdb.dbi.modules) {
    if (stream === undefined || symbolBytes === 0) continue;
    const bytes = pdb.stream(stream);
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    let host: { section: number; offset: number; end: number; places: Map<string, number> } | undefined;
    let parameter: string | undefined;
    for (let at = MODULE_SIGNATURE; at + 4 <= symbolBytes; at += 2 + view.getUint16(at, true)) {
      const kind = view.getUint16(at + 2, true);
      if (PROCEDURES.has(kind)) {
        const place = { section: view.getUint16(at + 36, true), offset: view.getUint32(at + 32, true) };
        const rva = pdb.rva(place);
        host = { ...place, end: view.getUint32(at + 8, true), places: new Map() };
        if (rva !== undefined) found.set(rva, host.places);
        parameter = undefined;
      } else if (host !== undefined && at < host.end && kind === S_LOCAL) {
        const end = at + 2 + view.getUint16(at, true);
        const text = new TextDecoder().decode(bytes.subarray(at + 10, end));
        const isParameter = (view.getUint16(at + 8, true) & IS_PARAMETER) !== 0;
        parameter = isParameter ? (text.split('\0')[0] ?? '') : undefined;
      } else if (host !== undefined && parameter !== undefined && kind === S_DEFRANGE_REGISTER) {
        const isAtEntry =
          view.getUint32(at + 8, true) === host.offset && view.getUint16(at + 12, true) === host.section;
        if (isAtEntry && !host.places.has(parameter))
          host.places.set(parameter, view.getUint16(at + 4, true));
      } else if (kind === S_INLINESITE) parameter = undefined;
    }
  }
  return found;
}
