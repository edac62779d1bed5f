import { FIXUP_TYPE, type Hotp1Fixup } from '../../image/index.js';
import type { Comparison } from '../compare.js';
import type { Findings } from '../finding.js';
import { handlersOf } from '../frames.js';
import { isImagePrivate } from '../image-private.js';
import type { CodeFunction, Variable } from '../program.js';
import { type AddressField, codeFields, constantFields, ShortBranch } from './fields.js';

/** A field of the fixed build that shall lead into the target, and where. */
export interface Redirected {
  readonly field: AddressField;
  /** RVA in the target. */
  readonly to: number;
}

/**
 * Walks through everything that the changed functions reach in the fixed build and finds what belongs to the target: its
 * unchanged functions, its variables, its import slots. Each such field gets a fixup. What only the fix has, and string
 * literals, stay in the hotpatch image.
 */
export class Redirector {
  readonly redirected: Redirected[] = [];
  /** Functions that run in the hotpatch image. */
  readonly inside = new Set<CodeFunction>();
  readonly #constants = new Set<Variable>();
  readonly #work: CodeFunction[] = [];

  constructor(
    private readonly comparison: Comparison,
    private readonly findings: Findings,
  ) {}

  run(roots: Iterable<CodeFunction>): void {
    for (const root of roots) this.#enter(root);
    for (let code = this.#work.pop(); code !== undefined; code = this.#work.pop()) this.#walk(code);
  }

  #enter(code: CodeFunction): void {
    if (this.inside.has(code)) return;
    this.inside.add(code);
    this.#work.push(code);
  }

  #walk(code: CodeFunction): void {
    try {
      for (const field of codeFields(this.comparison.fixed, code)) this.#follow(field, code);
      // Unwind data holds RVAs of its own image: whatever it leads to runs in the hotpatch image.
      for (const handler of handlersOf(this.comparison.fixed, code)) this.#enter(handler);
    } catch (error) {
      if (!(error instanceof ShortBranch)) throw error;
      const where = this.comparison.fixed.describe(error.target);
      this.findings.report(
        'hotp1.shortBranch',
        `+0x${error.offset.toString(16)} leads to ${where}`,
        code.name,
      );
    }
  }

  #follow(field: AddressField, by: CodeFunction): void {
    const { base, fixed } = this.comparison;
    const place = fixed.place(field.target);
    switch (place.kind) {
      case 'import': {
        const slot = [...base.imports].find(([, name]) => name === place.name)?.[0];
        if (slot === undefined)
          this.findings.report('hotp1.imports', `${by.name} uses ${place.name}`, place.name);
        else this.redirected.push({ field, to: slot });
        return;
      }
      case 'function':
        this.#followFunction(field, place.function, place.offset);
        return;
      case 'variable':
        this.#followVariable(field, place.variable, place.offset, by);
        return;
      case 'unknown':
        this.findings.report(
          'hotp1.unknown',
          `${by.name} refers to RVA 0x${field.target.toString(16)}`,
          by.name,
        );
    }
  }

  #followFunction(field: AddressField, code: CodeFunction, offset: number): void {
    const { matching, verdictOf } = this.comparison;
    const original = matching.functions.baseOf(code);
    const staysOut = original !== undefined && verdictOf(code) === 'unchanged';
    // A pointer to a changed function is the target's: its entry leads to the new code, as everybody's does.
    if (staysOut || (original !== undefined && field.use === 'data' && offset === 0))
      this.redirected.push({ field, to: original.rva + offset });
    else this.#enter(code);
  }

  #followVariable(field: AddressField, variable: Variable, offset: number, by: CodeFunction): void {
    const { matching, isSameConstant } = this.comparison;
    if (isImagePrivate(variable)) {
      if (variable.symbols.some(({ name }) => /_tls_index$/.test(name)))
        this.findings.report('hotp1.tls', `${by.name} reads _tls_index`, by.name);
      return;
    }
    if (variable.isThreadLocal) {
      this.findings.report('hotp1.tls', `${by.name} uses ${variable.name}`, by.name);
      return;
    }
    if (matching.variables.isAmbiguous(variable)) {
      this.findings.report('hotp1.ambiguous', `${by.name} uses it`, variable.name);
      return;
    }
    const original = matching.variables.baseOf(variable);
    const isShared =
      original !== undefined &&
      (variable.isMutable || original.isMutable || isSameConstant(original, variable));
    if (isShared) {
      this.redirected.push({ field, to: original.rva + offset });
      return;
    }
    if (variable.isMutable && original === undefined && variable.isNameless)
      this.findings.report('hotp1.unknown', `${by.name} uses a variable without a name`, by.name);
    else if (variable.isMutable)
      this.findings.report('hotp1.ownVariable', `${by.name} uses it`, variable.name);
    this.#walkConstant(variable, by);
  }

  #walkConstant(variable: Variable, by: CodeFunction): void {
    if (this.#constants.has(variable)) return;
    this.#constants.add(variable);
    const { fixed } = this.comparison;
    for (const field of constantFields(fixed, variable.rva, variable.size)) {
      const code = fixed.functionAt(field.target);
      // A switch table leads into the function that reads it.
      if (code !== undefined && this.inside.has(code) && code.rva !== field.target) continue;
      this.#follow(field, by);
    }
  }
}

/** The fixup of a redirected field, for the pointer size of the image. */
export function fixupOf({ field }: Redirected, pointerSize: 4 | 8): Hotp1Fixup {
  const type =
    field.kind === 'distance' ? FIXUP_TYPE.PC32 : pointerSize === 8 ? FIXUP_TYPE.VA64 : FIXUP_TYPE.VA32;
  return { rva: field.rva, type };
}
