import type { Comparison } from './compare.js';
import { isImagePrivate } from './image-private.js';
import type { Program, Variable } from './program.js';

/** What becomes of a variable when the hotpatch is applied. */
export interface VariableReport {
  readonly name: string;
  /** The object file. */
  readonly module?: string;
  /**
   * `paired`: patched code goes on with the base's. `new`: only the fix has it. `removed`: only the base has it.
   * `restarted`: the hotpatch before has it, and the new one starts it anew. `ambiguous`: it has several possible
   * counterparts.
   */
  readonly state: 'paired' | 'new' | 'removed' | 'restarted' | 'ambiguous';
  /** Its counterpart in the base; of an ambiguous one the candidates. */
  readonly with?: string;
  readonly why: string;
}

/** Every mutable variable of both builds. @param previous names of variables that only the hotpatch before has */
export function reportVariables(
  { base, fixed, matching }: Comparison,
  previous: ReadonlySet<string> = new Set(),
): VariableReport[] {
  const { variables } = matching;
  const of = (variable: Variable) => ({
    name: variable.name,
    ...(variable.module === undefined ? {} : { module: variable.module }),
  });
  const reports = stateOf(fixed).map((variable): VariableReport => {
    const original = variables.baseOf(variable);
    if (original !== undefined)
      return {
        ...of(variable),
        state: 'paired',
        with: placeOf(original),
        why: variables.whyOf(variable) ?? '',
      };
    const candidates = variables.candidatesOf(variable);
    if (candidates.length > 0)
      return {
        ...of(variable),
        state: 'ambiguous',
        with: candidates.map(placeOf).join(', '),
        why: 'several variables of the base may be it',
      };
    const starts = `starts at ${initialValue(fixed, variable)}`;
    return previous.has(variable.name)
      ? { ...of(variable), state: 'restarted', why: `the hotpatch before has it too; the new one ${starts}` }
      : { ...of(variable), state: 'new', why: `the base has no such variable; it ${starts}` };
  });
  const removed = stateOf(base)
    .filter((variable) => variables.fixedOf(variable) === undefined && !variables.isAmbiguous(variable))
    .map(
      (variable): VariableReport => ({
        ...of(variable),
        state: 'removed',
        why: 'the fixed build has no such variable',
      }),
    );
  return [...reports, ...removed];
}

/** `name of object`: enough to tell statics of one name apart. */
export function placeOf({ name, module, isStatic }: Variable): string {
  return isStatic && module !== undefined ? `${name} of ${module}` : name;
}

function stateOf(program: Program): Variable[] {
  return program.variables.filter(
    (variable) =>
      variable.isMutable &&
      !variable.isReference &&
      !isImagePrivate(variable) &&
      !(variable.isNameless && !variable.hasExactSize) &&
      !program.imports.has(variable.rva),
  );
}

/** `0`, `0x64`, `16 bytes 61 62 …`. */
export function initialValue({ image }: Program, { rva, size, hasExactSize }: Variable): string {
  const bytes = Uint8Array.from(image.read(rva, Math.min(size, 16)));
  if (bytes.every((byte) => byte === 0)) return '0';
  if (hasExactSize && [1, 2, 4, 8].includes(size))
    return `0x${[...bytes].reduceRight((text, byte) => text + byte.toString(16).padStart(2, '0'), '').replace(/^0+/, '')}`;
  return `${[...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join(' ')}${size > 16 ? ' …' : ''}`;
}
