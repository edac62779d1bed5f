import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { hotpatch } from '../hotpatch.js';
import { leftovers, place, workFolder } from './place.js';
import { ROWS } from './rows.js';
import { isOutput } from './words.js';

const folder = workFolder();

describe.each(Object.entries(ROWS).filter(([, { succeeds }]) => succeeds.length > 0))(
  'hotpatch %s',
  (name, row) => {
    const canSucceed = row.needs?.() !== false;

    it.skipIf(!canSucceed).each(row.succeeds.map((words, i) => [i, words] as const))(
      'succeeds with one JSON document, in folders and with files of any name (%i)',
      async (_i, words) => {
        const placed = place(folder.path, words, 'ordner ü 文');
        const { code, json, stderr } = await hotpatch(name, ...placed, '--json');
        expect({ code, stderr: code === 0 ? '' : stderr }).toEqual({ code: 0, stderr: '' });
        expect(json).toEqual(expect.any(Object));
        const written = readdirSync(join(folder.path, 'ordner ü 文'));
        for (const { name, isStem } of words.filter(isOutput))
          expect(written).toContainEqual(isStem ? expect.stringContaining(`${name}.`) : name);
        expect(leftovers(folder.path)).toEqual([]);
      },
    );
  },
);
