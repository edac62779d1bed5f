import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { deflateRawSync, gzipSync } from 'node:zlib';
import { readImage } from 'hotpatch-lab/image';
import { afterAll, describe, expect, it } from 'vitest';
import {
  type BuildSource,
  type BuiltHotPatch,
  buildHotPatch,
  verifyHotPatch,
} from '../../../builder/index.js';
import { Caller, random } from '../differential.js';
import { ARCHITECTURES } from '../toolchain.js';
import { readSource, Victim } from '../victim.js';
import { buildZlib, fetchSources } from './recipe.js';
import { gzipWithExtra, InflateStream, Z_OK, Z_STREAM_END } from './stream.js';

const trees = fetchSources();
if ('unavailable' in trees) console.warn(`SKIPPED: zlib CVE-2022-37434 is not tested: ${trees.unavailable}`);

const text = Buffer.from('The quick brown fox jumps over the lazy dog. '.repeat(60));
const EXTRA = 100;
const EXTRA_MAX = 10;
/** The member's CRC as zlib itself writes it. */
const crc = gzipSync(text).readUInt32LE(gzipSync(text).length - 8);
const member = gzipWithExtra(deflateRawSync(text), text, new Uint8Array(EXTRA).fill(0x45), crc);
/** The first piece ends behind more of the extra field than there is room for; the second one overflows. */
const HEAD = 12;
const PIECES = [
  member.subarray(0, HEAD + 20),
  member.subarray(HEAD + 20, HEAD + 60),
  member.subarray(HEAD + 60),
];

const VARIANTS = [
  { variant: 'as shipped', buildFixed: false, marked: ['inflate'], references: 0 },
  { variant: 'with -DBUILDFIXED', buildFixed: true, marked: ['inflate', 'fixedtables'], references: 5 },
];

describe.skipIf('unavailable' in trees)(
  'zlib CVE-2022-37434: inflate writes a gzip extra field behind its buffer',
  () => {
    const work = mkdtempSync(join(tmpdir(), 'hotpatch-zlib-'));
    afterAll(() => rmSync(work, { recursive: true, force: true }));

    for (const { variant, buildFixed, marked, references } of VARIANTS)
      for (const architecture of ARCHITECTURES)
        describe(`${architecture}, ${variant}`, () => {
          let builds: { base: BuildSource; fixed: BuildSource; patch: BuiltHotPatch } | undefined;
          const built = () => {
            if (builds !== undefined) return builds;
            if ('unavailable' in trees) throw new Error(trees.unavailable);
            const folder = (kind: string) => join(work, `${architecture}-${buildFixed}-${kind}`);
            const base = readSource(
              buildZlib({ architecture, buildFixed, folder: folder('base'), tree: trees.base }),
            );
            const fixed = readSource(
              buildZlib({ architecture, buildFixed, folder: folder('fixed'), tree: trees.fixed, marked }),
            );
            builds = { base, fixed, patch: buildHotPatch({ base, fixed, functions: marked }) };
            return builds;
          };
          const boot = () => Victim.boot(built().base, 'zlib1.dll', built().fixed);

          it('the builder finds exactly what the fix changes, and the table verifies', () => {
            const { base, fixed, patch } = built();
            const patched = patch.functions.filter(({ role }) => role === 'patched').map(({ name }) => name);
            expect(patched.toSorted()).toEqual([...marked].toSorted());
            const absolute = patch.chunks.find(({ type }) => type === 'ABSOLUTE');
            expect(absolute?.records.length ?? 0).toBe(references);
            const image = readImage(patch.bytes, { file: 'zlib1_hp.dll' });
            expect(verifyHotPatch({ base, patch: { ...fixed, image } }).isValid).toBe(true);
          });

          it('the base overflows', async () => {
            using victim = await boot();
            const stream = new InflateStream(victim, text.length);
            stream.wantHeader(EXTRA_MAX);
            const outcomes = PIECES.slice(0, 2).map((piece) => {
              stream.give(piece);
              return stream.inflate();
            });
            expect(outcomes).toEqual([Z_OK, 'crashed: STATUS_ACCESS_VIOLATION']);
          });

          it('patched while the stream is in progress, the fault is gone and the data comes out whole', async () => {
            using victim = await boot();
            const stream = new InflateStream(victim, text.length);
            stream.wantHeader(EXTRA_MAX);
            stream.give(PIECES[0] ?? new Uint8Array(0));
            const thread = victim.start('inflate', ...stream.parameters);
            victim.runTo(thread, 'crc32');
            victim.apply(built().patch, 'zlib1_hp.dll');
            expect(victim.finish(thread)).toBe(Z_OK);
            const outcomes = PIECES.slice(1).map((piece) => {
              stream.give(piece);
              return stream.inflate();
            });
            expect(outcomes).toEqual([Z_OK, Z_STREAM_END]);
            expect(Buffer.from(stream.output).equals(text)).toBe(true);
            expect(stream.headerDone).toBe(1);
          });

          it('rolled back in the middle of a stream, the old code inflates the rest', async () => {
            using victim = await boot();
            const before = victim.base.codeBytes();
            victim.apply(built().patch, 'zlib1_hp.dll');
            const stream = new InflateStream(victim, text.length);
            const plain = gzipSync(text);
            stream.give(plain.subarray(0, 40));
            expect(stream.inflate()).toBe(Z_OK);
            victim.rollBack();
            expect(victim.base.codeBytes()).toEqual(before);
            stream.give(plain.subarray(40));
            expect(stream.inflate()).toBe(Z_STREAM_END);
            expect(Buffer.from(stream.output).equals(text)).toBe(true);
          });

          it('checksums of generated data are the same with and without the patch', async () => {
            using untouched = await boot();
            using patched = await boot();
            patched.apply(built().patch, 'zlib1_hp.dll');
            const sums = [untouched, patched].map((victim) => {
              const next = random(37434);
              const caller = new Caller(victim);
              const buffer = victim.put(new Uint8Array(64));
              return Array.from({ length: 1000 }, () => {
                const length = next() % 65;
                victim.write(
                  buffer,
                  Uint8Array.from({ length }, () => next() & 0xff),
                );
                const start = next();
                return ['adler32', 'crc32', 'compressBound'].map((name) =>
                  caller.call(
                    victim.base.symbol(name),
                    name === 'compressBound' ? [length] : [start, buffer, length],
                  ),
                );
              });
            });
            expect(sums[1]).toEqual(sums[0]);
          });
        });
  },
);
