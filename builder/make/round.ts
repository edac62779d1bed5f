import { readFileSync } from 'node:fs';
import { basename } from 'node:path';
import { findAllSymbols, readImage } from '../../image/index.js';
import type { HotPatchAttempt } from '../build.js';
import type { BuildSource } from '../program.js';
import { MakeError } from './error.js';
import type { Linked, NamedObject } from './link.js';
import type { Marks } from './marks.js';
import type { ObjectNames, Product, ProductObject } from './product.js';
import type { PatchedFile } from './tree.js';

export function noChange({ image }: Shape, { files }: Fixed): MakeError {
  return new MakeError({
    rule: 'noChange',
    message: `the patch changes no code and no variable of ${image}: ${files.map(({ path }) => path).join(', ')}`,
    hint: 'the changed files are not compiled into it, or only comments changed; --keep keeps the logs',
  });
}

/** What base and fixed images have in common. */
export interface Shape {
  readonly names: ObjectNames;
  readonly image: string;
  readonly exports: readonly string[];
  readonly harness: readonly NamedObject[];
  readonly baseObjects: readonly ProductObject[];
  readonly product: Product;
}

export interface Fixed {
  readonly files: readonly PatchedFile[];
  readonly objects: readonly ProductObject[];
}

export interface Round {
  readonly marks: Marks;
  readonly linked: Linked;
  readonly source: BuildSource;
  readonly attempt: HotPatchAttempt;
  readonly renamed: readonly string[];
  readonly round: number;
  /** Names that clang took no notice of. */
  readonly ignored: readonly string[];
}

/** What the builder suggests to mark, object by object; undefined when nothing is new. */
export function wantedMarks(
  shape: Shape,
  objects: readonly ProductObject[],
  { attempt, ignored }: Round,
  marks: Marks,
): Marks | undefined {
  const keys = new Map(
    objects.map(({ key, record }) => [shape.names.of(key), record === undefined ? undefined : key]),
  );
  const suggested = new Set(attempt.report.suggestion.functions);
  const refused = new Set(
    attempt.report.findings.flatMap(({ severity, symbol }) => (severity === 'refusal' ? (symbol ?? []) : [])),
  );
  const next = new Map([...marks].map(([key, names]) => [key, new Set(names)]));
  let isNew = false;
  for (const { name, irNames = [name], module, verdict } of attempt.functions) {
    if (verdict !== 'changed' && verdict !== 'new' && !refused.has(name)) continue;
    const key = keys.get(basename(module ?? '').replace(/^\.\//, ''));
    if (key === undefined) continue;
    const names = next.get(key) ?? new Set();
    for (const ir of irNames) {
      if (!suggested.has(ir) || ignored.includes(ir) || names.has(ir)) continue;
      next.set(key, names.add(ir));
      isNew = true;
    }
  }
  return isNew ? next : undefined;
}

export function readSource(path: string): BuildSource {
  const image = readImage(readFileSync(path), { file: path });
  const found = findAllSymbols({ image, path }, {});
  return { image, symbols: found.table, pdb: found.pdb };
}
