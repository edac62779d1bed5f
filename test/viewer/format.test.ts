import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { packRecording, type Recording, Replay, unpackRecording } from '../../viewer/index.js';
import { ByteReader, ByteWriter } from '../../viewer/recording/bytes.js';
import {
  type Entry,
  type Page,
  packPage,
  readEntry,
  skimEntry,
  unpackPage,
  writeEntry,
} from '../../viewer/recording/entry.js';

const word = fc.integer({ min: 0, max: 0xffff_ffff });
const entry: fc.Arbitrary<Entry> = fc.record({
  kind: fc.constantFrom('instruction', 'event', 'model'),
  processor: fc.nat(63),
  note: fc.option(fc.nat(100_000), { nil: undefined }),
  registers: fc.array(fc.record({ half: fc.nat(70), difference: word }), { maxLength: 4 }),
  memory: fc.array(
    fc.record({
      frame: fc.nat(0x10_0000),
      offset: fc.nat(0xfff),
      difference: fc.uint8Array({ maxLength: 40 }),
    }),
    { maxLength: 3 },
  ),
  pages: fc.array(fc.record({ table: fc.nat(300), page: fc.nat(2 ** 31 - 1), difference: word }), {
    maxLength: 3,
  }),
});

describe('the stream of a recording', () => {
  it('keeps whole numbers up to 2^53', () => {
    fc.assert(
      fc.property(fc.array(fc.maxSafeNat()), (numbers) => {
        const writer = new ByteWriter();
        for (const number of numbers) writer.number(number);
        const reader = new ByteReader(writer.bytes);
        expect(numbers.map(() => reader.number())).toEqual(numbers);
        expect(reader.atEnd).toBe(true);
      }),
    );
  });

  it('keeps entries, read whole or only skimmed', () => {
    fc.assert(
      fc.property(fc.array(entry), (entries) => {
        const writer = new ByteWriter();
        for (const each of entries) writeEntry(writer, each);
        const reader = new ByteReader(writer.bytes);
        expect(entries.map(() => readEntry(reader))).toEqual(entries);
        expect(reader.atEnd).toBe(true);
        reader.position = 0;
        for (const { kind, processor, note, registers } of entries) {
          const seen: unknown[] = [];
          const skimmed = skimEntry(reader, (of, half, difference) => {
            expect(of).toBe(processor);
            seen.push({ half, difference });
          });
          expect(skimmed).toEqual({ kind, processor, note });
          expect(seen).toEqual(registers);
        }
        expect(reader.atEnd).toBe(true);
      }),
    );
  });

  it('keeps what a page is', () => {
    const committed: fc.Arbitrary<Page> = fc.record({
      state: fc.constant('committed' as const),
      protection: fc.nat(7),
      frame: fc.option(fc.nat(0xff_fffe), { nil: undefined }),
      copyOnWrite: fc.boolean(),
      guard: fc.boolean(),
      service: fc.boolean(),
    });
    fc.assert(
      fc.property(committed, (page) => {
        expect(unpackPage(packPage(page))).toEqual(page);
      }),
    );
    for (const state of ['free', 'reserved'] as const) {
      const page = {
        state,
        protection: 0,
        frame: undefined,
        copyOnWrite: false,
        guard: false,
        service: false,
      };
      expect(unpackPage(packPage(page))).toEqual(page);
    }
  });
});

const empty: Recording = {
  head: {
    version: 1,
    title: 'nothing “at all” <b>',
    entries: 0,
    instructions: 0,
    expectations: 0,
    strings: [],
    processors: [],
    tables: [],
    spaces: [],
    domains: [],
    threads: [],
    slices: [],
    events: [],
    images: [],
    trampolines: [],
    undo: [],
    patches: [],
    services: [],
    code: [],
  },
  stream: Uint8Array.of(1, 2, 3),
};

describe('a recording as one block of bytes', () => {
  it('comes back as it was', () => {
    expect(unpackRecording(packRecording(empty))).toEqual(empty);
  });

  it('is refused when it is of another version, damaged, or cut off', () => {
    const other = { ...empty, head: { ...empty.head, version: 2 as unknown as 1 } };
    expect(() => unpackRecording(packRecording(other))).toThrow('version 2');
    expect(() => unpackRecording(Uint8Array.of(3, 0x7b, 0x7b, 0x7b))).toThrow(SyntaxError);
    const short = { head: { ...empty.head, entries: 5 }, stream: new Uint8Array() };
    expect(() => new Replay(short)).toThrow('ends after 0 of 5 entries');
  });
});
