import { readImage, symbolTable } from 'hotpatch-lab/image';
import { type Build2003Input, buildColdpatch, buildHotPatch2003 } from '../../../../builder/index.js';
import { image, RETURN, source } from '../refusal.js';
import {
  all,
  CALL_THROUGH,
  code,
  newF,
  oldF,
  PLAIN,
  type Processor,
  pair,
  type Refusal2003,
  touches,
} from './refusal.js';

/** What concerns the images as a whole: headers, symbols, exports, imports. */
export const IMAGES: readonly Refusal2003[] = [
  {
    what: 'the fix is for another processor',
    rule: 'image.machine',
    refused: (processor) => ({
      base: PLAIN(processor).base,
      fixed: PLAIN(processor === 'x86' ? 'x64' : 'x86').fixed,
    }),
    accepted: PLAIN,
  },
  {
    what: 'both builds are for ARM64',
    rule: 'image.machine',
    refused: () => ({ base: source(image('arm64', oldF)), fixed: source(image('arm64', newF)) }),
    accepted: PLAIN,
  },
  {
    what: 'the fixed image is signed',
    rule: 'image.signed',
    refused: withHeaders((view, directories) => {
      const SECURITY = 4;
      view.setUint32(directories + 8 * SECURITY, 0x200, true);
      view.setUint32(directories + 8 * SECURITY + 4, 8, true);
    }),
    accepted: PLAIN,
  },
  {
    what: 'no room for a section header',
    rule: 'image.headerRoom',
    refused: withHeaders((view, _, sectionTableEnd) => view.setUint32(sectionTableEnd, 0xdeadbeef, true)),
    accepted: withHeaders((view, _, sectionTableEnd) =>
      view.setUint32(sectionTableEnd + 40, 0xdeadbeef, true),
    ),
  },
  {
    what: 'the fixed image is a hotpatch already',
    rule: 'image.hasTable',
    refused: (processor) => {
      const { base, fixed } = PLAIN(processor);
      return { base, fixed: { ...fixed, image: buildHotPatch2003({ base, fixed }).image } };
    },
    accepted: PLAIN,
  },
  ...(['base', 'fixed'] as const).map(
    (which): Refusal2003 => ({
      what: `the ${which} build is a coldpatch`,
      rule: 'image.coldpatch',
      refused: (processor) => {
        const input = PLAIN(processor);
        const { base } = input;
        const image = readImage(buildColdpatch(base.image, buildHotPatch2003(input).image));
        return { ...input, [which]: { ...base, image } };
      },
      accepted: PLAIN,
    }),
  ),
  {
    what: 'the base has no checksum to be known by',
    rule: 'base.checkSum',
    refused: withoutCheckSum('PeChecksum'),
    accepted: withoutCheckSum('PeHeaderHash2'),
  },
  ...(['base', 'fixed'] as const).map(
    (which): Refusal2003 => ({
      what: `the ${which} build has no symbols`,
      rule: 'symbols.missing',
      refused: (processor) => {
        const input = PLAIN(processor);
        return { ...input, [which]: { ...input[which], symbols: symbolTable([]) } };
      },
      accepted: PLAIN,
    }),
  ),
  {
    what: 'variables of unknown size',
    rule: 'symbols.noSizes',
    refused: pair(
      (b) => oldF(b).data('counter', [0, 0, 0, 0]),
      (b) => newF(b).data('counter', [0, 0, 0, 0]),
      (symbols) => symbols.map(({ size: _, ...symbol }) => symbol),
    ),
    accepted: pair(
      (b) => oldF(b).data('counter', [0, 0, 0, 0]),
      (b) => newF(b).data('counter', [0, 0, 0, 0]),
    ),
  },
  { what: 'nothing has changed', rule: 'patch.empty', refused: pair(oldF, oldF), accepted: PLAIN },
  {
    what: 'only a new function that nothing calls',
    rule: 'patch.empty',
    refused: pair(oldF, all(oldF, code('extra', RETURN(3)))),
    accepted: pair(oldF, all(newF, code('extra', RETURN(3)))),
  },
  {
    what: 'a new export',
    rule: 'hotp1.exports',
    symbol: 'f',
    refused: pair(oldF, (b) => newF(b).export('f')),
    accepted: pair(
      (b) => oldF(b).export('f'),
      (b) => newF(b).export('f'),
    ),
  },
  {
    what: 'an export disappears',
    rule: 'hotp1.exports',
    symbol: 'f',
    refused: pair((b) => oldF(b).export('f'), newF),
    accepted: PLAIN,
  },
  {
    what: 'an export gets another ordinal',
    rule: 'hotp1.exports',
    symbol: 'f',
    refused: pair(
      (b) => oldF(b).export('f', { ordinal: 1 }),
      (b) => newF(b).export('f', { ordinal: 2 }),
    ),
    accepted: pair(
      (b) => oldF(b).export('f', { ordinal: 2 }),
      (b) => newF(b).export('f', { ordinal: 2 }),
    ),
  },
  {
    what: 'an exported function becomes a forwarder',
    rule: 'hotp1.exports',
    symbol: 'api',
    refused: pair(
      (b) => oldF(b).export('f', { name: 'api' }),
      (b) => newF(b).forward('api', 'other.f'),
    ),
    accepted: pair(
      (b) => oldF(b).forward('api', 'other.f'),
      (b) => newF(b).forward('api', 'other.f'),
    ),
  },
  {
    what: 'an exported function becomes a variable',
    rule: 'hotp1.exports',
    symbol: 'api',
    refused: pair(
      (b) => oldF(b).export('f', { name: 'api' }),
      (b) => newF(b).data('api', [1, 0, 0, 0]).export('api'),
    ),
    accepted: pair(
      (b) => oldF(b).export('f', { name: 'api' }),
      (b) => newF(b).data('api', [1, 0, 0, 0]).export('f', { name: 'api' }),
    ),
  },
  {
    what: 'a new import that nothing uses yet',
    rule: 'hotp1.imports',
    symbol: 'ntoskrnl.exe!DbgPrint',
    refused: pair(oldF, (b) => newF(b).import('ntoskrnl.exe', ['DbgPrint'])),
    accepted: pair((b) => oldF(b).import('ntoskrnl.exe', ['DbgPrint']), newF),
  },
  {
    what: 'changed code calls a new import',
    rule: 'hotp1.imports',
    symbol: 'ntoskrnl.exe!#7',
    text: 'f uses ntoskrnl.exe!#7',
    refused: pair(
      (b) => oldF(b).import('ntoskrnl.exe', [6]),
      (b) => callsImport(b).import('NTOSKRNL.EXE', [7]),
    ),
    accepted: pair(
      (b) => oldF(b).import('ntoskrnl.exe', [7]),
      (b) => callsImport(b).import('NTOSKRNL.EXE', [7]),
    ),
  },
];

const callsImport = touches('f', CALL_THROUGH, '__imp_NTOSKRNL.EXE#7');

type ChangeHeaders = (view: DataView, directories: number, sectionTableEnd: number) => void;

/** The plain pair with other headers in the fixed build. */
function withHeaders(change: ChangeHeaders) {
  return (processor: Processor): Build2003Input => {
    const { base, fixed } = PLAIN(processor);
    const { headers, sections } = fixed.image;
    const bytes = Uint8Array.from(fixed.image.bytes);
    const directories = headers.optionalHeaderOffset + (processor === 'x64' ? 112 : 96);
    change(new DataView(bytes.buffer), directories, headers.sectionTableOffset + 40 * sections.length);
    return { base, fixed: { ...fixed, image: readImage(bytes, { file: 'victim.sys' }) } };
  };
}

function withoutCheckSum(moduleIdMethod: 'PeChecksum' | 'PeHeaderHash2') {
  return (processor: Processor): Build2003Input => {
    const { base, fixed } = PLAIN(processor);
    const bytes = Uint8Array.from(base.image.bytes);
    new DataView(bytes.buffer).setUint32(base.image.checkSumOffset, 0, true);
    return { base: { ...base, image: readImage(bytes, { file: 'victim.sys' }) }, fixed, moduleIdMethod };
  };
}
