import {
  appendHotPatchTable,
  encodeHotPatchTable,
  type HotPatchChunk,
  type HotPatchRecord,
  readImage,
} from 'hotpatch-lab/image';
import { type BuildSource, Program, type VerifyInput } from '../../../builder/index.js';
import { fixture } from '../../support.js';
import { readSource } from '../victim.js';
import type { Architecture } from './refusal.js';

/** A hotpatch image that somebody else wrote wrongly: the fixture's table with one change. */
export interface BadTable {
  readonly what: string;
  readonly rule: string;
  readonly change: (context: Context) => readonly HotPatchChunk[];
}

interface Context {
  readonly chunks: readonly HotPatchChunk[];
  readonly base: Program;
  readonly fixed: Program;
}

type Records = (records: readonly HotPatchRecord[], context: Context) => readonly HotPatchRecord[];

/** Changes the records of one kind of chunk. */
const of =
  (direction: 'forward' | 'backward', type: HotPatchChunk['type'], change: Records): BadTable['change'] =>
  (context) =>
    context.chunks.map((chunk) =>
      chunk.direction === direction && chunk.type === type
        ? { ...chunk, records: change(chunk.records, context) }
        : chunk,
    );

const withFirst =
  (change: (record: HotPatchRecord, context: Context) => Partial<HotPatchRecord>): Records =>
  (records, context) =>
    records.map((record, i) => (i === 0 ? { ...record, ...change(record, context) } : record));

const without =
  (name: string, which: 'base' | 'fixed'): Records =>
  (records, context) =>
    records.filter(({ rva }) => rva !== rvaOf(context[which], name));

function rvaOf(program: Program, name: string): number {
  const rva = program.source.symbols.byName(name)?.rva;
  if (rva === undefined) throw new Error(`the fixture has no ${name}`);
  return rva;
}

/** Tables that `hotpatch verify` must refuse. */
export const BAD_TABLES: readonly BadTable[] = [
  {
    what: 'a changed function has no record',
    rule: 'function.missing',
    change: of('forward', 'FUNCTION', without('set_hook', 'base')),
  },
  {
    what: 'a forward record begins inside a function',
    rule: 'record.notFunction',
    change: of(
      'forward',
      'FUNCTION',
      withFirst(({ target }) => ({ target: target + 4 })),
    ),
  },
  {
    what: 'two forward records have each other’s targets',
    rule: 'record.wrongFunction',
    change: of('forward', 'FUNCTION', ([a, b, ...rest]) =>
      a === undefined || b === undefined
        ? []
        : [{ ...a, target: b.target }, { ...b, target: a.target }, ...rest],
    ),
  },
  {
    what: 'a changed function is sent back to the base instead of being redirected',
    rule: 'backward.changed',
    change: (context) => {
      const { base, fixed } = context;
      const chunks = of('forward', 'FUNCTION', without('set_hook', 'base'))(context);
      const record = {
        rva: rvaOf(fixed, 'set_hook'),
        target: rvaOf(base, 'set_hook'),
        originalBytes: fixed.image.read(rvaOf(fixed, 'set_hook'), 4),
      };
      return of('backward', 'FUNCTION', (records) => [...records, record])({ ...context, chunks });
    },
  },
  {
    what: 'a callee with state is not sent back to the base',
    rule: 'callee.notRedirected',
    change: of('backward', 'FUNCTION', without('find', 'fixed')),
  },
  {
    what: 'a `__ref_` pointer has no record',
    rule: 'absolute.missing',
    change: of('backward', 'ABSOLUTE', without('__ref_g_counter', 'fixed')),
  },
  {
    what: 'an ABSOLUTE record fills bytes that are no pointer',
    rule: 'absolute.slot',
    change: of(
      'backward',
      'ABSOLUTE',
      withFirst((_, { fixed }) => ({ rva: rvaOf(fixed, 'k_table') })),
    ),
  },
  {
    what: 'a `__ref_` pointer gets another variable',
    rule: 'absolute.wrongVariable',
    change: of(
      'backward',
      'ABSOLUTE',
      withFirst(({ target }) => ({ target: target + 4 })),
    ),
  },
  {
    what: 'an INDIRECT record fills something else than an import',
    rule: 'indirect.slot',
    change: of(
      'backward',
      'INDIRECT',
      withFirst((_, { fixed }) => ({ rva: rvaOf(fixed, '__ref_g_counter') })),
    ),
  },
  {
    what: 'an INDIRECT record takes another import',
    rule: 'indirect.wrongImport',
    change: of('backward', 'INDIRECT', ([a, b]) =>
      a === undefined || b === undefined
        ? []
        : [
            { ...a, target: b.target },
            { ...b, target: a.target },
          ],
    ),
  },
  {
    what: 'the dwords of a CALL_TARGET differ',
    rule: 'callTarget.dwords',
    change: of(
      'backward',
      'CALL_TARGET',
      withFirst(({ target }) => ({ target: target + 16 })),
    ),
  },
  {
    what: 'a CALL_TARGET inside a function',
    rule: 'callTarget.notFunction',
    change: of(
      'backward',
      'CALL_TARGET',
      withFirst((_, { fixed }) => {
        const rva = rvaOf(fixed, 'hp_entry') + 16;
        const aligned = rva - (rva % 16);
        return { rva: aligned, target: aligned };
      }),
    ),
  },
  {
    what: 'a function is redirected forward and back',
    rule: 'record.pingPong',
    change: of(
      'backward',
      'FUNCTION',
      withFirst((_, { base }) => ({ target: rvaOf(base, 'dispatch') })),
    ),
  },
  {
    what: 'the expected bytes are not those of the base',
    rule: 'record.originalBytes',
    change: of(
      'forward',
      'FUNCTION',
      withFirst(() => ({ originalBytes: Uint8Array.of(1, 2, 3, 4) })),
    ),
  },
  {
    what: 'a function twice',
    rule: 'record.duplicate',
    change: of('forward', 'FUNCTION', (records) => [...records, ...records.slice(0, 1)]),
  },
  {
    what: 'a forward INDIRECT chunk',
    rule: 'chunk.forwardIndirect',
    change: ({ chunks }) =>
      chunks.map((chunk) => (chunk.type === 'INDIRECT' ? { ...chunk, direction: 'forward' } : chunk)),
  },
  {
    what: 'an obligatory chunk',
    rule: 'chunk.obligatory',
    change: ({ chunks }) => chunks.map((chunk) => ({ ...chunk, obligatory: true })),
  },
  {
    what: 'a target outside the image',
    rule: 'record.target',
    change: of(
      'forward',
      'FUNCTION',
      withFirst(() => ({ target: 0x7fff0000 })),
    ),
  },
];

/** The demo hotpatch with its table changed, ready to be verified. */
export function badInput(architecture: Architecture, { change }: BadTable): VerifyInput {
  const base = readSource(fixture(`${architecture}/base/demo.dll`));
  const fixed = readSource(fixture(`${architecture}/fixed/demo.dll`));
  return { base, patch: rewritten(base, fixed, change) };
}

function rewritten(base: BuildSource, fixed: BuildSource, change: BadTable['change']): BuildSource {
  const architecture = base.image.architecture;
  const table = readSource(fixture(`${architecture}/patch/demo_hp.dll`)).image.hotPatch;
  if (table === undefined) throw new Error('the fixture has no hotpatch table');
  const context = { base: new Program(base), fixed: new Program(fixed) };
  const bases = table.bases.map((description) => ({
    ...description,
    originalCheckSum: base.image.optionalHeader.checkSum,
    originalTimeDateStamp: base.image.fileHeader.timeDateStamp,
    chunks: change({ ...context, chunks: description.chunks }),
  }));
  const bytes = appendHotPatchTable(fixed.image, encodeHotPatchTable({ ...table, bases }));
  return { ...fixed, image: readImage(bytes, { file: 'demo_hp.dll' }) };
}
