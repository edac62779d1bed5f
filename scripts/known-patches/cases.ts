import type { CalledLibrary } from './caller.js';
import { cAres } from './cases-c-ares.js';
import { libarchive } from './cases-libarchive.js';
import { libpng } from './cases-libpng.js';
import { libxml2 } from './cases-libxml2.js';
import { tiff } from './cases-tiff.js';

/** Inputs for a fix, made from its description: nothing is copied from anybody's test. */
export interface KnownCase {
  /** Does what the fix is about; tells what came of it. */
  readonly crafted: (library: CalledLibrary) => string;
  /** Reaches the same functions with an input that was always handled well. */
  readonly ordinary?: (library: CalledLibrary) => string;
}

const cjson: Record<string, KnownCase> = {
  // A null item, or null text, was dereferenced.
  '0001-add-null-checkings.patch': {
    crafted: (c) => {
      const array = c.call('cJSON_CreateArray');
      const one = c.call('cJSON_CreateNumber', 0);
      c.call('cJSON_AddItemToArray', array, one);
      return `inserted: ${c.int('cJSON_InsertItemInArray', array, 0, 0)}`;
    },
    ordinary: (c) => {
      const array = c.call('cJSON_CreateArray');
      c.call('cJSON_AddItemToArray', array, c.call('cJSON_CreateString', 'one'));
      const inserted = c.int('cJSON_InsertItemInArray', array, 0, c.call('cJSON_CreateString', 'zero'));
      return `${inserted} ${c.text(c.call('cJSON_PrintUnformatted', array))}`;
    },
  },
  '0002-add-null-check-to-cjson-setvaluestring.patch': {
    crafted: (c) => `set: ${c.call('cJSON_SetValuestring', c.call('cJSON_CreateString', 'text'), 0)}`,
    ordinary: (c) => {
      const item = c.call('cJSON_CreateString', 'text');
      c.call('cJSON_SetValuestring', item, 'longer than before');
      return c.text(c.call('cJSON_PrintUnformatted', item));
    },
  },
  // A number longer than 63 characters was cut.
  '0001-allocate-memory-for-the-temporary-buffer.patch': {
    crafted: (c) => {
      const item = c.call('cJSON_Parse', `[${'1'.padEnd(70, '0')}e-70]`);
      return item === 0n ? 'not parsed' : c.text(c.call('cJSON_PrintUnformatted', item));
    },
    ordinary: (c) => c.text(c.call('cJSON_PrintUnformatted', c.call('cJSON_Parse', '[1.5, -20, 3e2, "x"]'))),
  },
  // `1A` was taken as an index: a letter behind a digit counted as one.
  'CVE-2025-57052.patch': {
    crafted: (c) => {
      const list = `[${Array.from({ length: 40 }, (_, i) => i).join(',')}]`;
      const found = c.call('cJSONUtils_GetPointer', c.call('cJSON_Parse', list), '/1A');
      return found === 0n ? 'nothing' : c.text(c.call('cJSON_PrintUnformatted', found));
    },
    ordinary: (c) => {
      const found = c.call(
        'cJSONUtils_GetPointer',
        c.call('cJSON_Parse', '{"a":[0,1,{"b":"here"}]}'),
        '/a/2/b',
      );
      return found === 0n ? 'nothing' : c.text(c.call('cJSON_PrintUnformatted', found));
    },
  },
};

export const CASES: Readonly<Record<string, Readonly<Record<string, KnownCase>>>> = {
  cjson,
  'libpng1.6': libpng,
  libarchive,
  libxml2,
  tiff,
  'c-ares': cAres,
};
