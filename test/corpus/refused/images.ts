import { readImage, symbolTable } from 'hotpatch-lab/image';
import { type BuildInput, buildHotPatch } from '../../../builder/index.js';
import { image, newF, oldF, pair, RETURN, type Refusal, source } from './refusal.js';

/** Refusals that concern the images as a whole. */
export const IMAGE_REFUSALS: readonly Refusal[] = [
  {
    what: 'the fix is for another processor',
    rule: 'image.machine',
    input: () => ({ base: source(image('x64', oldF)), fixed: source(image('arm64', newF)) }),
  },
  {
    what: 'a driver becomes a program',
    rule: 'image.subsystem',
    input: () => ({
      base: source(image('x64', oldF)),
      fixed: source(image('x64', newF, { subsystem: 'WINDOWS_GUI' })),
    }),
  },
  { what: 'the fixed image is signed', rule: 'image.signed', input: () => changedBytes(sign) },
  {
    what: 'the fixed image has no load configuration',
    rule: 'image.loadConfig',
    input: () => {
      const { base } = pair(oldF, newF);
      const bare = image('x64', newF);
      return {
        base,
        fixed: changed(bare.bytes, (view, at) => view.setUint32(at + 112 + 8 * 10, 0, true), bare),
      };
    },
  },
  {
    what: 'the load configuration ends before HotPatchTableOffset',
    rule: 'image.loadConfig',
    input: () => ({
      base: source(image('x64', oldF)),
      fixed: source(image('x64', (b) => newF(b).loadConfig({}, 0xe8))),
    }),
  },
  {
    what: 'no room for a section header',
    rule: 'image.headerRoom',
    input: () =>
      changedBytes((view, at, sections) => view.setUint32(at + 240 + 40 * sections, 0xdeadbeef, true)),
  },
  {
    what: 'the fixed image is a hotpatch already',
    rule: 'image.hasTable',
    input: () => {
      const { base, fixed } = pair(oldF, newF);
      const { bytes } = buildHotPatch({ base, fixed });
      return { base, fixed: { ...fixed, image: readImage(bytes, { file: 'victim_hp.sys' }) } };
    },
  },
  {
    what: 'the fix imports from its own base',
    rule: 'image.importsBase',
    input: () => pair(oldF, (b) => newF(b).import('victim.sys', ['f'])),
  },
  { what: 'nothing has changed', rule: 'patch.empty', input: () => pair(oldF, oldF) },
  {
    what: 'only a new function that nothing calls',
    rule: 'patch.empty',
    input: () => pair(oldF, (b) => oldF(b).code('extra', RETURN(3))),
  },
  {
    what: 'the fixed build has no symbols',
    rule: 'symbols.missing',
    input: () => {
      const { base, fixed } = pair(oldF, newF);
      return { base, fixed: { ...fixed, symbols: symbolTable([]) } };
    },
  },
  {
    what: 'an export disappears',
    rule: 'export.removed',
    symbol: 'f',
    input: () => pair((b) => oldF(b).export('f'), newF),
  },
  {
    what: 'an export gets another ordinal',
    rule: 'export.changed',
    symbol: 'f',
    input: () =>
      pair(
        (b) => oldF(b).export('f', { ordinal: 1 }),
        (b) => newF(b).export('f', { ordinal: 2 }),
      ),
  },
  {
    what: 'an exported function becomes a forwarder',
    rule: 'export.changed',
    symbol: 'api',
    input: () =>
      pair(
        (b) => oldF(b).export('f', { name: 'api' }),
        (b) => newF(b).forward('api', 'other.f'),
      ),
  },
  {
    what: 'an exported function becomes a variable',
    rule: 'export.changed',
    symbol: 'api',
    input: () =>
      pair(
        (b) => oldF(b).export('f', { name: 'api' }),
        (b) => newF(b).data('api', [1, 0, 0, 0]).export('api'),
      ),
  },
  {
    what: 'the previous hotpatch is for another base',
    rule: 'previous.base',
    input: () => {
      const other = pair(
        (b) => oldF(b).code('other', RETURN(9)),
        (b) => newF(b).code('other', RETURN(9)),
      );
      return { ...pair(oldF, newF), previous: previousOf(other) };
    },
  },
  {
    what: 'the previous image is no hotpatch',
    rule: 'previous.base',
    input: () => ({ ...pair(oldF, newF), previous: { image: image('x64', newF).image } }),
  },
  {
    what: 'the sequence number does not grow',
    rule: 'previous.sequence',
    input: () => ({ ...pair(oldF, newF), previous: previousOf(pair(oldF, newF)), sequenceNumber: 1 }),
  },
];

function previousOf(input: BuildInput) {
  return { image: readImage(buildHotPatch(input).bytes, { file: 'victim_hp1.sys' }) };
}

type ChangeBytes = (view: DataView, optionalHeader: number, sections: number) => void;

function changedBytes(change: ChangeBytes): BuildInput {
  const { base } = pair(oldF, newF);
  const built = image('x64', newF);
  return { base, fixed: changed(built.bytes, change, built) };
}

function changed(bytes: Uint8Array, change: ChangeBytes, built: ReturnType<typeof image>) {
  const copy = Uint8Array.from(bytes);
  const { optionalHeaderOffset } = built.image.headers;
  change(new DataView(copy.buffer), optionalHeaderOffset, built.image.sections.length);
  return { image: readImage(copy, { file: 'victim.sys' }), symbols: built.symbols };
}

/** A certificate table in the data directory; what it holds does not matter. */
function sign(view: DataView, optionalHeader: number): void {
  const SECURITY = 4;
  view.setUint32(optionalHeader + 112 + 8 * SECURITY, 0x200, true);
  view.setUint32(optionalHeader + 116 + 8 * SECURITY, 8, true);
}
