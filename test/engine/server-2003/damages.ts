import type { LoadPatch2003Options } from 'hotpatch-lab';
import { FIXUP_TYPE, HOOK_TYPE, type Hotp1Input, MODULE_ID_METHOD } from 'hotpatch-lab/image';
import { type Draft, nearHooks, type PatchChange, type RunOptions } from './support.js';

/** A hotpatch that somebody made wrongly, or for another target. */
export interface Damage extends PatchChange {
  readonly name: string;
  readonly rule: string;
  readonly status?: string;
  readonly run?: RunOptions;
  readonly load?: LoadPatch2003Options;
}

/** One jump over an entry, with nothing that leads to it. */
const alone =
  (hookRva: (draft: Draft) => number) =>
  (draft: Draft): Hotp1Input => ({
    ...draft.good,
    hooks: draft.good.hooks.slice(0, 1).map((one) => ({ ...one, hookRva: hookRva(draft) })),
  });

/** Changes the first hook, or any other. */
const hook =
  (change: Partial<Hotp1Input['hooks'][number]> | ((draft: Draft) => object), index = 0) =>
  (draft: Draft): Hotp1Input => ({
    ...draft.good,
    hooks: draft.good.hooks.map((one, i) =>
      i === index ? { ...one, ...(typeof change === 'function' ? change(draft) : change) } : one,
    ),
  });

const validation =
  (change: object) =>
  ({ good }: Draft): Hotp1Input => ({
    ...good,
    validations: (good.validations ?? []).map((one, i) => (i === 0 ? { ...one, ...change } : one)),
  });

const fixups =
  (make: (draft: Draft) => Hotp1Input['fixups'] & object) =>
  (draft: Draft): Hotp1Input => ({ ...draft.good, fixups: make(draft) });

/** Overwrites a dword of HOTPATCH_HEADER. */
const header = (offset: number, value: number) => (view: DataView, section: number) =>
  view.setUint32(section + offset, value, true);

const X64 = { processor: 'x64', run: { processor: 'x64' } } as const;
export const FORMAT = 'STATUS_INVALID_IMAGE_FORMAT';
const FAR = 0x7ff0_0000_0000n;

export const DAMAGES: readonly Damage[] = [
  {
    name: 'no section',
    rule: 'hotp1.absent',
    file: (_view, _section, { image }) =>
      void rename(_view, image.headers.sectionTableOffset, image.sections.length),
  },
  {
    name: 'a section that is too short',
    rule: 'hotp1.size',
    file: (view, _section, { image }) =>
      shorten(view, image.headers.sectionTableOffset, image.sections.length),
  },
  { name: 'another signature', rule: 'hotp1.signature', file: header(0x00, 0x32544f48) },
  { name: 'another version', rule: 'hotp1.version', file: header(0x04, 0x00020000) },
  { name: 'hooks outside the image', rule: 'hotp1.bounds', file: header(0x1c, 0x7fff_0000) },
  { name: 'more hooks than the image holds', rule: 'hotp1.bounds', file: header(0x18, 0xffff) },
  { name: 'validations outside the image', rule: 'hotp1.bounds', file: header(0x14, 0xffff_fff0) },
  {
    name: 'fixup regions outside the image',
    rule: 'hotp1.bounds',
    file: (view, section) => {
      view.setUint32(section + 8, 1, true);
      view.setUint32(section + 12, 0x7fff_0000, true);
    },
  },
  { name: 'no target name', rule: 'targetName.absent', file: header(0x30, 0) },
  {
    name: 'an empty target name',
    rule: 'targetName.absent',
    section: ({ good }) => ({ ...good, targetName: '' }),
  },
  {
    name: 'a path instead of a name',
    rule: 'targetName.text',
    section: ({ good }) => ({ ...good, targetName: 'c:\\target.dll' }),
  },
  {
    name: 'an unknown identification',
    rule: 'moduleId.method',
    section: ({ good }) => ({ ...good, moduleIdMethod: 7 }),
  },
  {
    name: 'PeHeaderHash1',
    rule: 'moduleId.unsupported',
    status: 'STATUS_NOT_SUPPORTED',
    section: ({ good }) => ({ ...good, moduleIdMethod: MODULE_ID_METHOD.PeHeaderHash1 }),
  },
  {
    name: 'PeDebugSignature',
    rule: 'moduleId.unsupported',
    status: 'STATUS_NOT_SUPPORTED',
    section: ({ good }) => ({ ...good, moduleIdMethod: MODULE_ID_METHOD.PeDebugSignature }),
  },
  {
    name: 'another checksum',
    rule: 'target.moduleId',
    status: 'STATUS_REVISION_MISMATCH',
    section: ({ good }) => ({ ...good, moduleIdValue: Uint8Array.of(1, 2, 3) }),
  },
  {
    name: 'another header hash',
    rule: 'target.moduleId',
    status: 'STATUS_REVISION_MISMATCH',
    section: ({ good }) => ({ ...good, moduleIdMethod: MODULE_ID_METHOD.PeHeaderHash2 }),
  },
  {
    name: 'an odd count of fixups',
    rule: 'fixup.count',
    section: fixups(({ layout }) => [{ rva: layout.rva('value'), type: FIXUP_TYPE.PC32 }]),
    file: oddFixups,
  },
  {
    name: 'a fixup of an unknown type',
    rule: 'fixup.type',
    section: fixups(({ layout }) => [{ rva: layout.rva('value'), type: 9 }]),
  },
  {
    name: 'a 64-bit fixup in a 32-bit image',
    rule: 'fixup.width',
    section: fixups(({ layout }) => [{ rva: layout.rva('value'), type: FIXUP_TYPE.VA64 }]),
  },
  {
    name: 'a 32-bit address in a 64-bit image',
    rule: 'fixup.width',
    ...X64,
    section: fixups(({ layout }) => [{ rva: layout.rva('value'), type: FIXUP_TYPE.VA32 }]),
  },
  {
    name: 'a fixup of the headers',
    rule: 'fixup.region',
    section: fixups(() => [{ rva: 0x40, type: FIXUP_TYPE.PC32 }]),
  },
  {
    name: 'a fixup region behind the image',
    rule: 'fixup.region',
    section: fixups(() => [{ rva: 0x80000, type: FIXUP_TYPE.PC32 }]),
  },
  {
    name: 'two fixups of one byte',
    rule: 'fixup.overlap',
    section: fixups(({ layout }) => [
      { rva: layout.rva('value'), type: FIXUP_TYPE.PC32 },
      { rva: layout.rva('value') + 3, type: FIXUP_TYPE.PC32 },
    ]),
  },
  {
    name: 'a fixup of a relocated pointer',
    rule: 'fixup.relocation',
    section: fixups(({ layout }) => [{ rva: layout.rva('pointers'), type: FIXUP_TYPE.VA32 }]),
  },
  {
    name: 'expected bytes outside the hotpatch',
    rule: 'validation.source',
    section: validation({ source: 0xfff0, byteCount: 0x100 }),
  },
  {
    name: 'a validation outside the target',
    rule: 'validation.target',
    section: validation({ targetRva: 0x7fff_0000 }),
  },
  { name: 'an unknown validation flag', rule: 'validation.flags', section: validation({ optionFlags: 2 }) },
  {
    name: 'other bytes in the target',
    rule: 'validation.bytes',
    status: 'STATUS_DATA_ERROR',
    section: validation({ source: Uint8Array.of(0x8b, 0xff, 0x55) }),
  },
  {
    name: 'other bytes at one hook',
    rule: 'validation.bytes',
    status: 'STATUS_DATA_ERROR',
    section: (draft) => ({
      ...validation({ source: Uint8Array.of(0x8b, 0xfe), optionFlags: 1 })(draft),
      hooks: hook({ validation: 0 })(draft).hooks,
    }),
  },
  { name: 'no hooks', rule: 'hook.none', section: ({ good }) => ({ ...good, hooks: [] }) },
  { name: 'an unknown hook', rule: 'hook.type', section: hook({ type: 7 }) },
  {
    name: 'PCREL32',
    rule: 'hook.notImplemented',
    status: 'STATUS_NOT_IMPLEMENTED',
    section: hook({ type: HOOK_TYPE.PCREL32 }),
  },
  {
    name: 'a hook for Itanium',
    rule: 'hook.machine',
    status: 'STATUS_BAD_DEVICE_TYPE',
    section: hook({ type: HOOK_TYPE.IA64_BR }),
  },
  {
    name: 'a hook of x64 on x86',
    rule: 'hook.machine',
    status: 'STATUS_BAD_DEVICE_TYPE',
    section: hook({ type: HOOK_TYPE.AMD64_IND }),
  },
  {
    name: 'a 32-bit pointer on x64',
    rule: 'hook.machine',
    status: 'STATUS_BAD_DEVICE_TYPE',
    ...X64,
    section: hook({ type: HOOK_TYPE.VA32 }),
  },
  { name: 'unknown hook options', rule: 'hook.options', section: hook({ options: 0x4005 }) },
  { name: 'a hook outside the target', rule: 'hook.location', section: alone(() => 0x7fff_0000) },
  { name: 'a hook in the headers', rule: 'hook.location', section: alone(() => 0x40) },
  {
    name: 'a jump in data',
    rule: 'hook.section',
    status: 'STATUS_SECTION_PROTECTION',
    section: alone(({ target }) => target.rva('counter')),
  },
  {
    name: 'a routine outside the code',
    rule: 'hook.routine',
    section: hook(({ layout }) => ({ hotpRva: layout.rva('value') })),
  },
  {
    name: 'two hooks of one byte',
    rule: 'hook.overlap',
    section: ({ good, target }) => ({
      ...good,
      hooks: [
        ...good.hooks,
        { type: HOOK_TYPE.X86_JMP, hookRva: target.rva('f') - 3, hotpRva: good.hooks[0]?.hotpRva ?? 0 },
      ],
    }),
  },
  {
    name: 'the validation of nobody',
    rule: 'hook.validation',
    file: (view, section) => {
      const at = view.getUint32(section + 0x1c, true) - view.getUint32(section + 0x14, true) + section + 0x50;
      view.setUint32(at + 12, 0x1234, true);
    },
  },
  { name: 'a short jump to nowhere', rule: 'hook.shortTarget', section: hook({ hotpRva: 0x40 }, 1) },
  {
    name: 'the entry before the padding',
    rule: 'hook.order',
    status: 'STATUS_INVALID_PARAMETER_MIX',
    section: ({ good }) => ({ ...good, hooks: good.hooks.toReversed() }),
  },
  {
    name: 'an indirect jump without its pointer',
    rule: 'hook.continuation',
    ...X64,
    section: hook({ type: HOOK_TYPE.AMD64_IND, options: 5 }),
  },
  {
    name: 'a first instruction of one byte',
    rule: 'hook.entry',
    section: ({ good, target, layout }) => ({
      ...good,
      validations: [],
      hooks: nearHooks(target.rva('pushed'), layout.rva('g')),
    }),
  },
  {
    name: 'a function without padding',
    rule: 'hook.padding',
    section: ({ good, target, layout }) => ({
      ...good,
      validations: [],
      hooks: nearHooks(target.rva('crowded'), layout.rva('g')),
    }),
  },
  {
    name: 'more than 2 GB between the two',
    rule: 'hook.distance',
    status: 'STATUS_CONFLICTING_ADDRESSES',
    ...X64,
    load: { dllBase: FAR },
  },
  {
    name: 'a jump that does not reach',
    rule: 'hook.range',
    status: 'STATUS_CONFLICTING_ADDRESSES',
    ...X64,
    load: { dllBase: FAR },
    section: hook({ options: 5 }),
  },
  {
    name: 'a fixup that does not reach',
    rule: 'fixup.range',
    status: 'STATUS_CONFLICTING_ADDRESSES',
    ...X64,
    load: { dllBase: FAR },
    section: fixups(({ layout }) => [{ rva: layout.rva('value'), type: FIXUP_TYPE.PC32 }]),
  },
  {
    name: 'a driver that the Secure Kernel protects',
    rule: 'kernel.secureKernel',
    status: 'STATUS_NOT_SUPPORTED',
    processor: 'x64',
    kind: 'driver',
    run: { processor: 'x64', kind: 'driver', boot: { vbs: true, hotPatchTableSize: 0x1000 } },
  },
];

const SECTION_HEADER = 40;

function rename(view: DataView, table: number, count: number): void {
  for (let i = 0; i < count; i++) {
    const at = table + i * SECTION_HEADER;
    if (view.getUint32(at, true) === 0x746f682e) view.setUint8(at + 1, 0x78);
  }
}

function shorten(view: DataView, table: number, count: number): void {
  for (let i = 0; i < count; i++) {
    const at = table + i * SECTION_HEADER;
    if (view.getUint32(at, true) === 0x746f682e) view.setUint32(at + 8, 79, true);
  }
}

function oddFixups(view: DataView, section: number): void {
  const head = view.getUint32(section + 0x50, true);
  view.setUint32(section + 0x50, ((head & 0xfffff) | (1 << 20)) >>> 0, true);
}
