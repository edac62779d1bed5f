import type { BuiltImage } from '../../../../image/index.js';
import type { Processor } from '../support.js';
import type { ForeignHook, ForeignValidation } from './encoder.js';
import type { Change, Draft } from './images.js';

/** Types of hooks (docs/fidelity.md#server-2003), as numbers. */
const [NONE, VA32, JMP, PCREL32, J2B, VA64, IA64, IND, CNT] = [0, 1, 2, 3, 4, 16, 32, 48, 49];
const FIXUP = { VA32: 1, PC32: 2, VA64: 3 };

export interface ForeignCase {
  readonly what: string;
  /** `applied`: with this result of the call; else the rule that it is refused by, or that nobody has its target. */
  readonly expected: { readonly result: number } | { readonly rule: string } | 'noTarget';
  /** The function that is called, and what it returns without the hotpatch. */
  readonly call?: readonly [name: string, before: number];
  readonly draft: (rva: (name: string) => number, sizeOfImage: number) => Draft;
  readonly change?: Change;
}

const u32 = (value: number) => [
  value & 0xff,
  (value >> 8) & 0xff,
  (value >> 16) & 0xff,
  (value >>> 24) & 0xff,
];
const u64 = (value: bigint) => [...u32(Number(value & 0xffff_ffffn)), ...u32(Number(value >> 32n))];

/** What an author outside of this project tried with images made of the public facts alone, and some more of the kind. */
export function foreignCases(processor: Processor, target: BuiltImage): ForeignCase[] {
  const wide = processor === 'x64';
  const t = (name: string) => target.rva(name);
  const read = (rva: number, length: number) => Uint8Array.from(target.image.read(rva, length));
  const { imageBase, sizeOfImage, checkSum } = target.image.optionalHeader;
  const [f1, f2] = [t('f1'), t('f2')];
  const pair = (f: number, g: number): ForeignHook[] => [
    { type: JMP, options: 0x8005, rva: f - 5, routine: g },
    { type: J2B, options: 2, rva: f, routine: 0xf9 },
  ];
  const near =
    (g = 'g1', more: Omit<Draft, 'hooks'> = {}) =>
    (rva: (name: string) => number): Draft => ({
      hooks: pair(f1, rva(g)),
      ...more,
    });
  const hooks =
    (make: (rva: (name: string) => number) => readonly ForeignHook[]) =>
    (rva: (name: string) => number): Draft => ({ hooks: make(rva) });
  const checked = (validations: readonly ForeignValidation[]) => near('g1', { validations });
  const indirect = (f: number, g: number, cell: number): ForeignHook[] => [
    { type: CNT, rva: cell, routine: g },
    { type: IND, options: 6, rva: f - 6, routine: g },
    { type: J2B, options: 2, rva: f, routine: 0xf8 },
  ];
  const changed = (bytes: Uint8Array, at: number) =>
    bytes.map((byte, index) => (index === at ? byte ^ 1 : byte));
  const sum = (value: bigint, behind: readonly number[] = []) => Uint8Array.from([...u64(value), ...behind]);
  const short = (from: number, to: number) => (to - from - 2) & 0xff;
  const size =
    (value: number): Change =>
    ({ view, sectionHeader }) =>
      view.setUint32(sectionHeader + 8, value, true);
  const good = [
    { source: read(f1 - 5, 5), target: f1 - 5 },
    { source: read(f1, 2), target: f1 },
  ];
  const [applied, second, third] = [{ result: 9001 }, { result: 9002 }, { result: 9003 }];
  const into: Change = ({ write, rva, imageBase: own }) =>
    write(rva('gfix'), [0xe9, ...u32(Number(imageBase + BigInt(f2) - (own + BigInt(rva('gfix')) + 5n)))]);
  const counterPlus4000: Change = ({ write, rva, imageBase: own }) => {
    const g = rva('gfix');
    const counter = imageBase + BigInt(t('counter'));
    const load = wide
      ? [0x8b, 0x05, ...u32(Number(counter - (own + BigInt(g) + 6n)))]
      : [0xa1, ...u32(Number(counter))];
    write(g, [...load, 0x05, ...u32(4000), 0xc3]);
  };
  const table: ForeignCase[] = [
    // Forms of hooks.
    { what: 'near', expected: applied, draft: near('g1', { validations: good }) },
    {
      what: 'near, no options but none',
      expected: applied,
      draft: hooks((rva) => [
        { type: JMP, rva: f1 - 5, routine: rva('g1') },
        { type: J2B, rva: f1, routine: 0xf9 },
      ]),
    },
    {
      what: 'of a short jump only the low byte counts',
      expected: applied,
      draft: hooks((rva) => [
        { type: JMP, options: 5, rva: f1 - 5, routine: rva('g1') },
        { type: J2B, options: 2, rva: f1, routine: 0x12345ff9 },
      ]),
    },
    {
      what: 'two functions',
      expected: second,
      call: ['f2', 5013],
      draft: hooks((rva) => [...pair(f1, rva('g1')), ...pair(f2, rva('g2'))]),
    },
    {
      what: 'a jump over a first instruction of five bytes, without padding',
      expected: applied,
      call: ['one5', 501],
      draft: hooks((rva) => [{ type: JMP, options: 0x8000, rva: t('one5'), routine: rva('g1') }]),
    },
    {
      what: 'a jump of five bytes over two instructions',
      expected: { rule: 'hook.entry' },
      call: ['push1', 502],
      draft: hooks((rva) => [{ type: JMP, options: 0x8000, rva: t('push1'), routine: rva('g1') }]),
    },
    {
      what: 'a short jump over an instruction of one byte',
      expected: { rule: 'hook.entry' },
      call: ['onebyte', 504],
      draft: hooks((rva) => pair(t('onebyte'), rva('g1'))),
    },
    {
      what: 'no padding',
      expected: { rule: 'hook.padding' },
      call: ['crowd', 503],
      draft: hooks((rva) => pair(t('crowd'), rva('g1'))),
    },
    {
      what: 'a short jump into a cave of int 3',
      expected: applied,
      call: ['crowd', 503],
      draft: hooks((rva) => [
        { type: JMP, options: 0x8005, rva: t('cave') + 8, routine: rva('g1') },
        { type: J2B, options: 2, rva: t('crowd'), routine: short(t('crowd'), t('cave') + 8) },
      ]),
    },
    {
      what: 'a short jump alone',
      expected: { rule: 'hook.shortTarget' },
      draft: hooks(() => [{ type: J2B, options: 2, rva: f1, routine: 0xf9 }]),
    },
    {
      what: 'the short jump first',
      expected: { rule: 'hook.order' },
      draft: hooks((rva) => pair(f1, rva('g1')).reverse()),
    },
    {
      what: 'a jump in a place of eight bytes',
      expected: applied,
      call: ['crowd', 503],
      draft: hooks((rva) => [
        { type: JMP, options: 0x8008, rva: t('cave'), routine: rva('g1') },
        { type: J2B, options: 2, rva: t('crowd'), routine: short(t('crowd'), t('cave')) },
      ]),
    },
    {
      what: 'hooks of no type before them',
      expected: applied,
      draft: hooks((rva) => [
        { type: NONE, rva: 0, routine: 0 },
        { type: NONE, rva: 0, routine: 0 },
        ...pair(f1, rva('g1')),
      ]),
    },
    {
      what: 'a hook of no type inside another',
      expected: applied,
      draft: hooks((rva) => [...pair(f1, rva('g1')), { type: NONE, rva: f1 + 1, routine: 0 }]),
    },
    {
      what: 'PCREL32',
      expected: { rule: 'hook.notImplemented' },
      draft: hooks((rva) => [{ type: PCREL32, rva: f1, routine: rva('g1') }]),
    },
    {
      what: 'a hook of IA64',
      expected: { rule: 'hook.machine' },
      draft: hooks((rva) => [{ type: IA64, rva: f1, routine: rva('g1') }]),
    },
    {
      what: 'type 99',
      expected: { rule: 'hook.type' },
      draft: hooks((rva) => [{ type: 99, rva: f1, routine: rva('g1') }]),
    },
    { what: 'no hooks', expected: { rule: 'hook.none' }, draft: hooks(() => []) },
    {
      what: 'a place of 31 bytes',
      expected: { rule: 'hook.overlap' },
      draft: hooks((rva) => [
        { type: JMP, options: 0x801f, rva: f1 - 5, routine: rva('g1') },
        { type: J2B, options: 2, rva: f1, routine: 0xf9 },
      ]),
    },
    {
      what: 'of a function that loops',
      expected: applied,
      call: ['spin', 0],
      draft: hooks((rva) => pair(t('spin'), rva('g1'))),
    },
    {
      what: 'two functions, checked',
      expected: second,
      draft: (rva) => ({ hooks: [...pair(f1, rva('g2')), ...pair(f2, rva('g3'))], validations: good }),
    },
    {
      what: 'the same, of the other function',
      expected: third,
      call: ['f2', 5013],
      draft: (rva) => ({ hooks: [...pair(f1, rva('g2')), ...pair(f2, rva('g3'))], validations: good }),
    },
    {
      what: 'zeros before the function, which are an immediate',
      expected: { rule: 'hook.padding' },
      call: ['z', 601],
      draft: hooks((rva) => pair(t('z'), rva('g1'))),
    },
    // Places.
    {
      what: 'two jumps that overlap',
      expected: { rule: 'hook.overlap' },
      draft: hooks((rva) => [...pair(f1, rva('g1')), { type: JMP, rva: f1 - 3, routine: rva('g2') }]),
    },
    {
      what: 'the same hooks twice',
      expected: { rule: 'hook.overlap' },
      draft: hooks((rva) => [...pair(f1, rva('g1')), ...pair(f1, rva('g1'))]),
    },
    {
      what: 'a hook behind the target',
      expected: { rule: 'hook.location' },
      draft: hooks((rva) => pair(0x7ff000, rva('g1'))),
    },
    {
      what: 'a hook over the end of 32 bits',
      expected: { rule: 'hook.location' },
      draft: hooks((rva) => [{ type: JMP, options: 5, rva: 0xffff_fffe, routine: rva('g1') }]),
    },
    {
      what: 'a hook in the headers',
      expected: { rule: 'hook.location' },
      draft: hooks((rva) => [{ type: JMP, options: 5, rva: 0x10, routine: rva('g1') }]),
    },
    {
      what: 'a routine behind the hotpatch',
      expected: { rule: 'hook.routine' },
      draft: hooks(() => pair(f1, 0x7ff000)),
    },
    {
      what: 'a routine in data',
      expected: { rule: 'hook.routine' },
      draft: hooks((rva) => pair(f1, rva('slot'))),
    },
    {
      what: 'a jump in data',
      expected: { rule: 'hook.section' },
      draft: hooks((rva) => [{ type: JMP, options: 5, rva: t('counter'), routine: rva('g1') }]),
    },
    // Validations.
    {
      what: 'a validation whose last byte differs',
      expected: { rule: 'validation.bytes' },
      draft: checked([{ source: changed(read(f1, 2), 1), target: f1 }]),
    },
    {
      what: 'one that is a byte further',
      expected: { rule: 'validation.bytes' },
      draft: checked([{ source: read(f2, 7), target: f2 + 1 }]),
    },
    {
      what: 'one that is a byte longer',
      expected: { rule: 'validation.bytes' },
      draft: checked([{ source: Uint8Array.from([...read(f2, 8), 0x77]), target: f2 }]),
    },
    {
      what: 'one for a hook, which no hook has',
      expected: applied,
      draft: checked([{ source: changed(read(f1, 2), 0), target: f1, flags: 1 }]),
    },
    {
      what: 'one for a hook, which has it',
      expected: { rule: 'validation.bytes' },
      draft: (rva) => ({
        hooks: pair(f1, rva('g1')).map((hook) => (hook.type === J2B ? { ...hook, validation: 0 } : hook)),
        validations: [{ source: changed(read(f1, 2), 0), target: f1, flags: 1 }],
      }),
    },
    {
      what: 'one for a hook of no type',
      expected: applied,
      draft: (rva) => ({
        hooks: [{ type: NONE, rva: 0, routine: 0, validation: 0 }, ...pair(f1, rva('g1'))],
        validations: [{ source: changed(read(f1, 2), 0), target: f1, flags: 1 }],
      }),
    },
    {
      what: 'one that ends where the target does',
      expected: applied,
      draft: checked([{ source: new Uint8Array(4), target: sizeOfImage - 4 }]),
    },
    {
      what: 'one that ends a byte behind it',
      expected: { rule: 'validation.target' },
      draft: checked([{ source: new Uint8Array(4), target: sizeOfImage - 3 }]),
    },
    {
      what: 'one whose bytes end behind the hotpatch',
      expected: { rule: 'validation.source' },
      draft: (rva, own) => ({
        hooks: pair(f1, rva('g1')),
        validations: [{ source: own - 3, target: f1, count: 4 }],
      }),
    },
    {
      what: 'one with flag 2',
      expected: { rule: 'validation.flags' },
      draft: checked([{ source: read(f1, 2), target: f1, flags: 2 }]),
    },
    {
      what: 'one of 65535 bytes',
      expected: { rule: 'validation.source' },
      draft: checked([{ source: 0x1000, target: 0x1000, count: 0xffff }]),
    },
    {
      what: 'one over an address in code',
      expected: wide ? applied : { rule: 'validation.relocation' },
      draft: checked([{ source: read(f1, 12), target: f1 }]),
    },
    {
      what: 'one over a pointer in data',
      expected: { rule: 'validation.relocation' },
      draft: checked([{ source: read(t('table'), 4), target: t('table') }]),
    },
    // Identification.
    {
      what: 'another checksum',
      expected: { rule: 'target.moduleId' },
      draft: near('g1', { identity: sum(BigInt(checkSum) ^ 1n) }),
    },
    {
      what: 'another upper half of the checksum',
      expected: { rule: 'target.moduleId' },
      draft: near('g1', { identity: sum(BigInt(checkSum) | (1n << 32n)) }),
    },
    {
      what: 'something behind the checksum',
      expected: applied,
      draft: near('g1', { identity: sum(BigInt(checkSum), new Array(16).fill(0xaa)) }),
    },
    {
      what: 'the name alone',
      expected: applied,
      draft: near('g1', { method: 0, identity: new Uint8Array() }),
    },
    { what: 'method 1', expected: { rule: 'moduleId.unsupported' }, draft: near('g1', { method: 1 }) },
    { what: 'method 16', expected: { rule: 'moduleId.unsupported' }, draft: near('g1', { method: 16 }) },
    { what: 'method 5', expected: { rule: 'moduleId.method' }, draft: near('g1', { method: 5 }) },
    { what: 'the name in capitals', expected: applied, draft: near('g1', { name: 'TGT.DLL' }) },
    { what: 'another name', expected: 'noTarget', draft: near('g1', { name: 'other.dll' }) },
    { what: 'a path', expected: { rule: 'targetName.text' }, draft: near('g1', { name: '..\\tgt.dll' }) },
    { what: 'no name', expected: { rule: 'targetName.absent' }, draft: near('g1', { name: '' }) },
    // Header.
    { what: 'version 1.1', expected: { rule: 'hotp1.version' }, draft: near('g1', { version: 0x10001 }) },
    {
      what: 'signature GOT1',
      expected: { rule: 'hotp1.signature' },
      draft: near('g1', { signature: 0x31544f47 }),
    },
    { what: 'a section of 79 bytes', expected: { rule: 'hotp1.size' }, draft: near(), change: size(79) },
    {
      what: 'a section of 80 bytes, arrays in its file data',
      expected: applied,
      draft: near(),
      change: size(80),
    },
    {
      what: 'another time stamp of its own',
      expected: applied,
      draft: near(),
      change: ({ view }) => view.setUint32(view.getUint32(0x3c, true) + 8, 0x12345678, true),
    },
    // Fixups.
    {
      what: 'a fixup of an operand, to data of the target',
      expected: { result: 4001 },
      draft: (rva) => ({
        hooks: pair(f1, rva('gfix')),
        fixups: [[rva('gfix') + (wide ? 2 : 1), wide ? FIXUP.PC32 : FIXUP.VA32]],
      }),
      change: counterPlus4000,
    },
    {
      what: 'a fixup of a jump, into code of the target',
      expected: { result: 5013 },
      draft: (rva) => ({ hooks: pair(f1, rva('gfix')), fixups: [[rva('gfix') + 1, FIXUP.PC32]] }),
      change: into,
    },
    {
      what: 'a region of an odd count',
      expected: { rule: 'fixup.count' },
      draft: (rva) => ({ hooks: pair(f1, rva('gfix')), fixups: [[rva('gfix') + 1, FIXUP.PC32]] }),
      change: (file) => {
        into(file);
        const head = file.view.getUint32(file.hotp1 + 80, true);
        file.view.setUint32(file.hotp1 + 80, ((head & 0xfffff) | (1 << 20)) >>> 0, true);
      },
    },
    {
      what: 'a fixup of a pointer of eight bytes',
      expected: wide ? { result: 5013 } : { rule: 'fixup.width' },
      draft: (rva) => ({ hooks: pair(f1, rva('gfix')), fixups: [[rva('slot'), FIXUP.VA64]] }),
      change: ({ write, rva, imageBase: own }) => {
        const to = wide ? rva('slot') - rva('gfix') - 6 : Number(own) + rva('slot');
        write(rva('slot'), u64(imageBase + BigInt(f2)));
        write(rva('gfix'), [0xff, 0x25, ...u32(to)]);
      },
    },
    {
      what: 'a fixup of type 9',
      expected: { rule: 'fixup.type' },
      draft: (rva) => ({ hooks: pair(f1, rva('g1')), fixups: [[rva('slot'), 9]] }),
    },
    {
      what: 'a fixup behind the hotpatch',
      expected: { rule: 'fixup.region' },
      draft: (rva, own) => ({ hooks: pair(f1, rva('g1')), fixups: [[own + 0x10, FIXUP.PC32]] }),
    },
    {
      what: 'a fixup over the end of a page',
      expected: applied,
      draft: (rva) => ({ hooks: pair(f1, rva('g1')), fixups: [[0x1ffe, FIXUP.PC32]] }),
    },
    {
      what: 'a fixup over the end of the hotpatch',
      expected: { rule: 'fixup.location' },
      draft: (rva, own) => ({ hooks: pair(f1, rva('g1')), fixups: [[own - 2, FIXUP.PC32]] }),
    },
    {
      what: 'a fixup in the headers',
      expected: { rule: 'fixup.region' },
      draft: (rva) => ({ hooks: pair(f1, rva('g1')), fixups: [[0x10, FIXUP.PC32]] }),
    },
    {
      what: 'a validation of no bytes',
      expected: applied,
      draft: checked([{ source: new Uint8Array(), target: f1 }]),
    },
    {
      what: 'two fixups that overlap',
      expected: { rule: 'fixup.overlap' },
      draft: (rva) => ({
        hooks: pair(f1, rva('g1')),
        fixups: [
          [rva('slot'), FIXUP.PC32],
          [rva('slot') + 2, FIXUP.PC32],
        ],
      }),
    },
  ];
  const ofProcessor: readonly ForeignCase[] = wide
    ? [
        {
          what: 'a pointer in data',
          expected: applied,
          call: ['viaTable', 1001],
          draft: hooks((rva) => [{ type: VA64, options: 0x8000, rva: t('table'), routine: rva('g1') }]),
        },
        {
          what: 'a pointer of four bytes',
          expected: { rule: 'hook.machine' },
          call: ['viaTable', 1001],
          draft: hooks((rva) => [{ type: VA32, rva: t('table'), routine: rva('g1') }]),
        },
        { what: 'indirect', expected: applied, draft: hooks((rva) => indirect(f1, rva('g1'), t('cave'))) },
        {
          what: 'indirect without a pointer',
          expected: { rule: 'hook.continuation' },
          draft: hooks((rva) => indirect(f1, rva('g1'), t('cave')).slice(1)),
        },
        {
          what: 'two functions through one pointer',
          expected: applied,
          call: ['f2', 5013],
          draft: hooks((rva) => [
            ...indirect(f1, rva('g1'), t('cave')),
            ...indirect(f2, rva('g1'), 0).slice(1),
          ]),
        },
      ]
    : [
        {
          what: 'a pointer in data',
          expected: applied,
          call: ['viaTable', 1001],
          draft: hooks((rva) => [{ type: VA32, options: 0x8000, rva: t('table'), routine: rva('g1') }]),
        },
        {
          what: 'a pointer of eight bytes',
          expected: { rule: 'hook.machine' },
          call: ['viaTable', 1001],
          draft: hooks((rva) => [{ type: VA64, rva: t('table'), routine: rva('g1') }]),
        },
        {
          what: 'an indirect jump',
          expected: { rule: 'hook.machine' },
          draft: hooks((rva) => [{ type: IND, options: 6, rva: f1 - 6, routine: rva('g1') }]),
        },
      ];
  return [...table, ...ofProcessor];
}
