import type { HotPatchBase, HotPatchChunkInput, HotPatchRecordInput, HotPatchType } from '../image/index.js';
import { type Comparison, redirectedFunctions } from './compare.js';
import { placementProblems } from './entry.js';
import { isImagePrivate, isLinkerMade, privateUse } from './image-private.js';
import type { CodeFunction, Program, Variable } from './program.js';
import { findReach, type Pointer, type Reach } from './reach.js';

/** The records of a hotpatch table, by what they do. RVAs as in IMAGE_HOT_PATCH records: location and target. */
export interface RecordSet {
  /** Changed functions: base → patch image. */
  readonly forward: readonly HotPatchRecordInput[];
  /** Unchanged functions: patch image → base. */
  readonly backward: readonly HotPatchRecordInput[];
  /** `__ref_` pointers of the patch image → variables of the base. */
  readonly absolute: readonly HotPatchRecordInput[];
  /** Import address table slots: patch image ← base. */
  readonly indirect: readonly HotPatchRecordInput[];
  /** Functions of the patch image that may be called indirectly; both dwords hold the RVA. */
  readonly callTargets: readonly HotPatchRecordInput[];
}

/** Dwords of expected original bytes in each record: four bytes, of which x64 and x86 compare two. */
export const EXTRA_PATCH_SIZE = 1;
const EXPECTED_BYTES = 4 * EXTRA_PATCH_SIZE;

const CHUNKS: readonly (readonly [keyof RecordSet, HotPatchChunkInput['direction'], HotPatchType])[] = [
  ['backward', 'backward', 'FUNCTION'],
  ['absolute', 'backward', 'ABSOLUTE'],
  ['indirect', 'backward', 'INDIRECT'],
  ['callTargets', 'backward', 'CALL_TARGET'],
  ['forward', 'forward', 'FUNCTION'],
];

/** The chunks in the order of their application: what patched code needs comes before what leads to it. */
export function chunksOf(records: RecordSet): HotPatchChunkInput[] {
  return CHUNKS.map(([kind, direction, type]) => ({ direction, type, records: records[kind] })).filter(
    (chunk) => chunk.records.length > 0,
  );
}

/** The records of a table that somebody wrote. */
export function recordsOf(base: HotPatchBase): RecordSet {
  const of = (direction: string, type: HotPatchType) =>
    base.chunks
      .filter((chunk) => chunk.direction === direction && chunk.type === type)
      .flatMap((chunk) => chunk.records);
  return {
    forward: of('forward', 'FUNCTION'),
    backward: of('backward', 'FUNCTION'),
    absolute: of('backward', 'ABSOLUTE'),
    indirect: of('backward', 'INDIRECT'),
    callTargets: of('backward', 'CALL_TARGET'),
  };
}

/** A variable of the base that a `__ref_` pointer of the fixed build means. */
export type SlotTarget =
  | { readonly kind: 'base'; readonly rva: number; readonly variable?: Variable }
  /** Only the fixed build has it, or it is a constant that the fix changes: the pointer stays as it is. */
  | { readonly kind: 'own'; readonly variable: Variable }
  | { readonly kind: 'threadLocal' | 'ambiguous'; readonly variable: Variable }
  | { readonly kind: 'unknown' };

/** What the contents of a `__ref_` pointer mean in the base. Its name is not trusted: several statics may share it. */
export function slotTarget({ fixed, matching, isSameConstant }: Comparison, slot: Variable): SlotTarget {
  const place = fixed.place(fixed.pointerTarget(slot.rva));
  if (place.kind === 'function') {
    const original = matching.functions.baseOf(place.function);
    return original === undefined ? { kind: 'unknown' } : { kind: 'base', rva: original.rva + place.offset };
  }
  if (place.kind === 'unknown' && fixed.isInHeaders(place.rva)) return { kind: 'base', rva: place.rva };
  if (place.kind !== 'variable') return { kind: 'unknown' };
  const { variable, offset } = place;
  if (variable.isThreadLocal) return { kind: 'threadLocal', variable };
  if (matching.variables.isAmbiguous(variable)) return { kind: 'ambiguous', variable };
  const original = matching.variables.baseOf(variable);
  if (original === undefined)
    return variable.isNameless && variable.isMutable ? { kind: 'unknown' } : { kind: 'own', variable };
  const isConstant = !variable.isMutable && !original.isMutable;
  if (isConstant && !isSameConstant(original, variable)) return { kind: 'own', variable };
  return { kind: 'base', rva: original.rva + offset, variable: original };
}

/** Is it a variable of the base too, or may it be one? */
export function isShared({ matching, fixed }: Comparison, variable: Variable): boolean {
  return (
    !fixed.imports.has(variable.rva) &&
    (variable.isNameless ||
      matching.variables.baseOf(variable) !== undefined ||
      matching.variables.isAmbiguous(variable))
  );
}

/** Where in the base a pointer of the patch image's own data must lead; undefined when nothing tells. */
export function pointerTarget({ matching }: Comparison, pointer: Pointer): number | undefined {
  const { variable, variableOffset } = pointer;
  const original = matching.variables.baseOf(variable);
  if (original === undefined || variable.isThreadLocal || isImagePrivate(variable)) return undefined;
  return original.rva + variableOffset;
}

/**
 * Why an unchanged function must run in the image that calls it, if it must. One that reads the stack cookie and calls
 * nothing that reads it checks what its caller has put into a frame. (A filter that is the same in both builds may run in
 * either image: it finds the frame by the same offsets.)
 */
export function staysInside(program: Program, code: CodeFunction): string | undefined {
  if (isLinkerMade(code.name)) return 'the linker made it for its own image';
  const checked = cookieReads(program, code);
  if (checked.length !== 1) return undefined;
  const callsReader = program.stream(code).references.some(({ kind, target }) => {
    const callee = kind === 'data' ? undefined : program.functionAt(target);
    return callee !== undefined && callee !== code && cookieReads(program, callee).length > 0;
  });
  return callsReader ? undefined : 'it checks the stack cookie that its caller has read';
}

function cookieReads(program: Program, code: CodeFunction): Variable[] {
  return program.stream(code).references.flatMap(({ target }) => {
    const variable = program.variableAt(target);
    return variable !== undefined && privateUse(variable)?.use === 'asTheCaller' ? variable : [];
  });
}

export interface Plan {
  readonly records: RecordSet;
  readonly reach: Reach;
}

/** Exported by a patch image that wants to be called while it is applied. */
const CALLOUT = '__PatchMainCallout__';

/** Which records the fixed build needs to be a hotpatch of the base. */
export function planRecords(comparison: Comparison): Plan {
  const { base, fixed, matching } = comparison;
  const changed = redirectedFunctions(comparison);
  const roots = changed.flatMap(({ fixed: code }) => code ?? []);
  roots.push(...fixed.functions.filter((code) => code.name === CALLOUT));
  const slotTargets = new Map(
    fixed.variables
      .filter(({ isReference }) => isReference)
      .map((slot) => [slot, slotTarget(comparison, slot)]),
  );
  const reach = findReach(fixed, {
    roots,
    isRedirected: (code) =>
      isUnchanged(comparison, code) &&
      staysInside(fixed, code) === undefined &&
      placementProblems(fixed, code).length === 0,
    isSlotRedirected: (slot) => slotTargets.get(slot)?.kind === 'base',
    isShared: (variable) => isShared(comparison, variable),
  });
  const record = (program: Program, rva: number, target: number): HotPatchRecordInput => ({
    rva,
    target,
    originalBytes: program.image.read(rva, EXPECTED_BYTES),
  });
  return {
    reach,
    records: {
      forward: changed.flatMap(({ base: from, fixed: to }) =>
        from === undefined || to === undefined ? [] : [record(base, from.rva, to.rva)],
      ),
      backward: inOrder(reach.leaving.keys()).flatMap((code) => {
        const original = matching.functions.baseOf(code);
        return original === undefined ? [] : [record(fixed, code.rva, original.rva)];
      }),
      absolute: [
        ...[...slotTargets].flatMap(([slot, target]) =>
          target.kind === 'base' ? [{ rva: slot.rva, target: target.rva }] : [],
        ),
        ...reach.pointers.flatMap((pointer) => {
          const target = pointerTarget(comparison, pointer);
          return target === undefined ? [] : [{ rva: pointer.rva, target }];
        }),
      ].sort((a, b) => a.rva - b.rva),
      indirect: sharedImports(base, fixed),
      callTargets: inOrder(reach.addressTaken.keys())
        .filter(({ rva }) => rva % CALL_TARGET_ALIGNMENT === 0)
        .map(({ rva }) => ({ rva, target: rva })),
    },
  };
}

/** CFG's bitmap has one bit for each 16 bytes. */
export const CALL_TARGET_ALIGNMENT = 16;

function isUnchanged(comparison: Comparison, code: CodeFunction): boolean {
  return comparison.verdictOf(code) === 'unchanged';
}

function inOrder(functions: Iterable<CodeFunction>): CodeFunction[] {
  return [...functions].sort((a, b) => a.rva - b.rva);
}

/** Slots that both images have: the base's binding is copied. New imports are bound by the loader. */
export function sharedImports(base: Program, fixed: Program): HotPatchRecordInput[] {
  const originals = new Map([...base.imports].map(([rva, name]) => [name, rva]));
  return [...fixed.imports].flatMap(([rva, name]) => {
    const target = originals.get(name);
    return target === undefined ? [] : [{ rva, target }];
  });
}
