import * as v from 'valibot';
import { CampaignError } from '../error.js';
import { type Cell, canonicalJson, type FileReference, type Outcome, type Unit } from '../unit.js';

/** Where a unit's files are, and a folder of its own that is gone afterwards. */
export interface UnitContext {
  read(file: FileReference): Uint8Array;
  /** The path of the file: for what wants to open it. */
  path(file: FileReference): string;
}

/** Takes the files that a plan names, by path relative to the plan. */
export interface FileIntake {
  has(path: string): boolean;
  /** @throws CampaignError `plan.file` */
  add(path: string): FileReference;
}

/** One kind of work: how a line of a plan is cut into units, and what a unit does. */
export interface KindDefinition<Work, U extends Unit> {
  /** A line of a plan. */
  readonly work: v.GenericSchema<unknown, Work>;
  readonly unit: v.GenericSchema<unknown, U>;
  /** Units of a few seconds each. */
  cut(work: Work, files: FileIntake): Iterable<U>;
  /** What the work says if it ran alone; what it throws, but for a CampaignError, is a finding. */
  perform(unit: U, context: UnitContext): Outcome | Promise<Outcome>;
  /** Smaller units that together do the same; none where it cannot be divided. */
  split?(unit: U): readonly U[];
  files?(unit: U): readonly FileReference[];
  cell(unit: U): Cell;
}

/** A kind whose own types nobody outside needs to know. */
export interface Kind {
  /** @throws CampaignError `plan.value` */
  cut(work: unknown, place: string, files: FileIntake): Iterable<Unit>;
  /** @throws CampaignError `unit.value` */
  check(unit: Unit): void;
  perform(unit: Unit, context: UnitContext): Promise<Outcome>;
  split(unit: Unit): readonly Unit[];
  files(unit: Unit): readonly FileReference[];
  cell(unit: Unit): Cell;
}

export function defineKind<Work, U extends Unit>(definition: KindDefinition<Work, U>): Kind {
  const known = (unit: Unit): U => {
    const parsed = v.safeParse(definition.unit, unit);
    if (parsed.success) return parsed.output;
    throw new CampaignError('unit.value', issueText(parsed.issues), {
      place: canonicalJson(unit).slice(0, 200),
      hint: 'it may come from another version of hotpatch-lab: campaigns are run by one version',
    });
  };
  return {
    cut(work, place, files) {
      const parsed = v.safeParse(definition.work, work);
      if (parsed.success) return definition.cut(parsed.output, files);
      const path = v.getDotPath(parsed.issues[0]);
      throw new CampaignError('plan.value', issueText(parsed.issues), {
        place: path === null ? place : `${place}.${path}`,
      });
    },
    check: (unit) => void known(unit),
    perform: async (unit, context) => definition.perform(known(unit), context),
    split: (unit) => definition.split?.(known(unit)) ?? [],
    files: (unit) => definition.files?.(known(unit)) ?? [],
    cell: (unit) => definition.cell(known(unit)),
  };
}

const issueText = (issues: readonly { readonly message: string }[]): string =>
  issues.map(({ message }) => message).join('; ');
