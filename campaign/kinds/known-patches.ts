import { join } from 'node:path';
import * as v from 'valibot';
import { attemptHotPatch, type HotPatchAttempt } from '../../builder/index.js';
import { readImage } from '../../image/index.js';
import { compareBehaviour } from '../../proof/index.js';
import { withFolder } from '../folder.js';
import { Tally } from '../unit.js';
import { callOf, callText, filesOf, imageFrom, imageOfUnit, sourceOf } from './images.js';
import { defineKind } from './kind.js';

const expected = v.picklist(['patched', 'refused']);

const work = v.strictObject({
  kind: v.literal('known-patches'),
  cases: v.pipe(
    v.array(
      v.strictObject({
        name: v.string(),
        base: v.string(),
        fixed: v.string(),
        baseSymbols: v.optional(v.string()),
        fixedSymbols: v.optional(v.string()),
        /** Images that both import from. */
        with: v.optional(v.array(v.string()), []),
        calls: v.optional(v.array(callText), []),
        /** What the builder must do. */
        expect: v.optional(expected, 'patched'),
        allow: v.optional(v.array(v.string()), []),
      }),
    ),
    v.minLength(1),
  ),
});

const unit = v.strictObject({
  kind: v.literal('known-patches'),
  name: v.string(),
  base: imageOfUnit,
  fixed: imageOfUnit,
  with: v.array(imageOfUnit),
  calls: v.array(callText),
  expect: expected,
  allow: v.array(v.string()),
});

/** Places at which the patch lands in each call. */
const PLACES = 60;

/**
 * A corpus of fixes that are kept: base and fixed build of each. A hotpatch must be made of them, or refused, as the plan
 * says; and it must do what the fixed build does in every call, wherever it lands, and nothing when it is taken back.
 */
export const knownPatches = defineKind({
  work,
  unit,
  *cut({ kind, cases }, files) {
    for (const { name, base, fixed, baseSymbols, fixedSymbols, calls, ...rest } of cases)
      yield {
        kind,
        name,
        base: imageFrom(base, baseSymbols, files),
        fixed: imageFrom(fixed, fixedSymbols, files),
        with: rest.with.map((path) => imageFrom(path, undefined, files)),
        calls,
        expect: rest.expect,
        allow: rest.allow,
      };
  },
  perform: (of, context) =>
    withFolder(async (folder) => {
      const tally = new Tally();
      const base = sourceOf(of.base, context, join(folder, 'base'));
      const fixed = sourceOf(of.fixed, context, join(folder, 'fixed'));
      const others = of.with.map((image, index) => sourceOf(image, context, join(folder, `with${index}`)));
      const attempt = attemptHotPatch({ base, fixed, allow: of.allow });
      const verdict = attempt.built === undefined ? 'refused' : 'patched';
      tally.count(verdict);
      for (const rule of refusals(attempt)) tally.note(`rule ${rule}`);
      if (verdict !== of.expect)
        tally.find(
          `known.${verdict}`,
          `${of.name} is ${verdict}${verdict === 'refused' ? ` (${refusals(attempt).join(', ')})` : ''}, not ${of.expect}`,
          of,
        );
      if (attempt.built === undefined || of.calls.length === 0) return tally.outcome;
      const { bytes, chunks } = attempt.built;
      const { calls, places, disagreements, mixtures } = await compareBehaviour({
        base,
        fixed,
        with: others,
        patch: readImage(bytes, { file: 'hotpatch' }),
        patched: chunks
          .filter(({ direction, type }) => direction === 'forward' && type === 'FUNCTION')
          .flatMap(({ records }) => records.map(({ rva }) => rva)),
        calls: of.calls.map(callOf),
        places: PLACES,
      });
      tally.note('calls', calls);
      tally.note('places', places);
      if (mixtures.length > 0) tally.note('mixtures', mixtures.length);
      for (const { kind, call, at, observed, right } of disagreements)
        tally.find(
          `known.${kind}`,
          `${of.name}, ${call}: ${observed} instead of ${right}${at === undefined ? '' : ` at ${at}`}`,
          of,
          [{ name: 'hotpatch.bin', bytes }],
        );
      return tally.outcome;
    }),
  files: (of) => [of.base, of.fixed, ...of.with].flatMap(filesOf),
  cell: ({ name }) => ({ row: 'known patches', column: name }),
});

const refusals = ({ report }: HotPatchAttempt): string[] => [
  ...new Set(report.findings.filter(({ severity }) => severity === 'refusal').map(({ rule }) => rule)),
];
