import { readFile } from 'node:fs/promises';
import { defineScenario, Lab } from 'hotpatch-lab';
import { appendHotPatchTable, encodeHotPatchTable, readImage } from 'hotpatch-lab/image';

const images = new URL('../test/fixtures/x64/', import.meta.url);

export default defineScenario(
  'Cumulative updates: a second month, and back again',
  async ({ expect, say }) => {
    const lab = Lab.boot({ architecture: 'x64' });
    lab.loadImage(new URL('hpimport.dll', images));
    const demo = lab.loadImage(new URL('base/demo.dll', images));

    // First month: only leaf_opaque is fixed. Second month: that and everything else, as cumulative patches do.
    const fixed = readImage(await readFile(new URL('fixed/demo.dll', images)), { file: 'demo_hp.dll' });
    const complete = readImage(await readFile(new URL('patch/demo_hp.dll', images))).hotPatch;
    const month = (sequenceNumber: number, covers: (rva: number) => boolean) =>
      readImage(
        appendHotPatchTable(
          fixed,
          encodeHotPatchTable({
            ...complete,
            sequenceNumber,
            bases: (complete?.bases ?? []).map((base) => ({
              ...base,
              chunks: base.chunks.map((chunk) =>
                chunk.direction === 'backward'
                  ? chunk
                  : { ...chunk, records: chunk.records.filter(({ rva }) => covers(rva)) },
              ),
            })),
          }),
        ),
        { file: `month${sequenceNumber}.dll` },
      );
    const leaf = demo.rva(demo.symbol('leaf_opaque'));

    say('\nThe first month patches one function.');
    const first = lab.engine.load(month(1, (rva) => rva === leaf));
    expect(lab.call(demo.symbol('leaf_opaque'))).toBe(43);
    expect(lab.call(demo.symbol('dispatch'), [8, 5, 0])).toBe(-1); // still the old one

    say('\nThe second month covers six. For the one that is patched already, only its data slot is written.');
    const second = lab.engine.load(month(2, () => true));
    expect(lab.call(demo.symbol('dispatch'), [8, 5, 0])).toBe(5 ^ 0x5a5a);
    expect(lab.engine.record(demo).usedSlots).toBe(6);
    expect(first.state).toBe('superseded');

    say('\nAn older one is refused from now on.');
    expect(() => lab.engine.load(month(1, () => true))).toThrow('STATUS_REQUEST_OUT_OF_SEQUENCE');

    say('\nThe second month is taken back: the first is in force again.');
    lab.unloadHotPatch(second);
    expect(lab.call(demo.symbol('dispatch'), [8, 5, 0])).toBe(-1);
    expect(lab.call(demo.symbol('leaf_opaque'))).toBe(43);

    say('\nAnd then the first: every byte is the original one.');
    lab.unloadHotPatch(first);
    expect(demo.codeBytes()).toEqual(demo.codeBytesBeforePatch);
  },
);
