import type { HotPatchAddressTable } from 'hotpatch-lab';
import { arm64Encoder, instructionFacts, x64Encoder } from 'hotpatch-lab/cpu';
import { entryFacts } from 'hotpatch-lab/image';
import { describe, expect, it } from 'vitest';
import { refuseEntry } from '../../engine/modern/entry.js';
import type { EntryState, ReadCode, TrampolineForm } from '../../engine/modern/trampoline.js';
import { arm64Trampoline } from '../../engine/modern/trampoline-arm64.js';
import {
  x64EarlierTrampoline,
  x64RetpolineTrampoline,
  x64Trampoline,
  x86Trampoline,
} from '../../engine/modern/trampoline-x86.js';
import { bootForm, FORMS } from './forms.js';

/** Memory that has these bytes before and at an entry, and nothing else. */
function memory(entry: bigint, padding: Iterable<number>, code: Iterable<number>): ReadCode {
  const before = [...padding];
  const bytes = Uint8Array.from([...before, ...code]);
  const start = entry - BigInt(before.length);
  return (address, length) => {
    const offset = Number(address - start);
    if (offset < 0 || offset + length > bytes.length)
      throw new Error(`0x${address.toString(16)} is not there`);
    return bytes.slice(offset, offset + length);
  };
}

const PROCESSOR = new Map<TrampolineForm, 'x64' | 'x86'>([[x86Trampoline, 'x86']]);

/** @param size bytes of code at the entry */
function refusal(form: TrampolineForm, read: ReadCode, entry: bigint, hpat: HotPatchAddressTable, size = 15) {
  const architecture = PROCESSOR.get(form) ?? 'x64';
  const facts = entryFacts({
    architecture,
    rva: 6,
    code: { start: 0, end: 6 + size },
    read: (rva, length) => read(entry - 6n + BigInt(rva), length),
    decode: (bytes) => instructionFacts(architecture, bytes, entry),
  });
  return refuseEntry(architecture, facts, form.hasLeftJump(read, entry, hpat));
}

const booted = async (name: string) => {
  const form = FORMS.find((candidate) => candidate.name === name);
  if (form === undefined) throw new Error(`there is no form ${name}`);
  const machine = await bootForm(form);
  const { hpat } = machine.demo;
  if (hpat === undefined) throw new Error('no HPAT');
  return { hpat, entry: machine.demo.dllBase + 0x1010n, [Symbol.dispose]: machine[Symbol.dispose] };
};

const slot = (hpat: HotPatchAddressTable, index: number) => hpat.codeSlot(index) ?? 0n;
const mismatch = (reason: RegExp): EntryState => ({
  kind: 'mismatch',
  reason: expect.stringMatching(reason) as string,
});
const UNPATCHED: EntryState = { kind: 'unpatched' };
const NOT_INTO_HPAT = mismatch(/into the padding, but from there not into the HPAT/);
const CC6 = [0xcc, 0xcc, 0xcc, 0xcc, 0xcc, 0xcc];

describe.each([
  ['x64', x64Trampoline],
  ['x64 retpoline', x64RetpolineTrampoline],
  ['x86', x86Trampoline],
] as const)('an entry in the form of %s', (name, form) => {
  type Jump = (from: bigint, hpat: HotPatchAddressTable) => Uint8Array;
  const near =
    (to: (hpat: HotPatchAddressTable, from: bigint) => bigint): Jump =>
    (from, hpat) =>
      x64Encoder.nearJump(from, to(hpat, from));
  const intoSlot3 = near((hpat) => slot(hpat, 3));
  const cases: [string, readonly number[], Jump, EntryState][] = [
    ['jumps forward', [0xeb, 0x05], intoSlot3, UNPATCHED],
    ['jumps back by more than 16 bytes', [0xeb, 0xed], intoSlot3, UNPATCHED],
    ['jumps back by 16 bytes', [0xeb, 0xee], intoSlot3, mismatch(/jumps back by 16 bytes/)],
    ['jumps to six bytes before it', [0xeb, 0xf8], intoSlot3, mismatch(/jumps back by 6 bytes/)],
    ['has another opcode', [0x74, 0xf9], intoSlot3, UNPATCHED],
    ['leads to slot 3', [0xeb, 0xf9], intoSlot3, { kind: 'patched', index: 3 }],
    [
      'leads to the last slot',
      [0xeb, 0xf9],
      near((hpat) => slot(hpat, 511)),
      { kind: 'patched', index: 511 },
    ],
    ['leads into the middle of a slot', [0xeb, 0xf9], near((hpat) => slot(hpat, 3) + 4n), NOT_INTO_HPAT],
    ['leads to a data slot', [0xeb, 0xf9], near((hpat) => hpat.dataSlot(3)), NOT_INTO_HPAT],
    ['leads behind the HPAT', [0xeb, 0xf9], near((hpat) => hpat.base + 0x2000n), NOT_INTO_HPAT],
    ['leads before the HPAT', [0xeb, 0xf9], near((hpat) => hpat.base - 8n), NOT_INTO_HPAT],
    ['leads below itself', [0xeb, 0xf9], near((_, from) => from - 0x800n), NOT_INTO_HPAT],
    ['calls a slot', [0xeb, 0xf9], (from, hpat) => x64Encoder.call(from, slot(hpat, 3)), NOT_INTO_HPAT],
    ['leads into untouched padding', [0xeb, 0xf9], () => x64Encoder.fill(5), NOT_INTO_HPAT],
  ];
  it.each(cases)('that %s', async (_, code, jump, state) => {
    using machine = await booted(name);
    const { entry, hpat } = machine;
    expect(form.classify(memory(entry, jump(entry - 5n, hpat), code), entry, hpat)).toEqual(state);
  });
});

describe('an entry in the layout `pointers`', () => {
  type Jump = (from: bigint, hpat: HotPatchAddressTable) => Uint8Array;
  const through =
    (to: (hpat: HotPatchAddressTable) => bigint): Jump =>
    (from, hpat) =>
      x64Encoder.jumpThroughSlot(from, to(hpat));
  const cases: [string, readonly number[], Jump, EntryState][] = [
    [
      'leads through pointer 3',
      [0xeb, 0xf8],
      through((hpat) => hpat.base + 24n),
      { kind: 'patched', index: 3 },
    ],
    [
      'leads through the last pointer',
      [0xeb, 0xf8],
      through((hpat) => hpat.base + 0x1ff8n),
      { kind: 'patched', index: 1023 },
    ],
    ['leads through half of two', [0xeb, 0xf8], through((hpat) => hpat.base + 28n), NOT_INTO_HPAT],
    ['leads through a pointer elsewhere', [0xeb, 0xf8], through((hpat) => hpat.base - 8n), NOT_INTO_HPAT],
    [
      'jumps to a pointer',
      [0xeb, 0xf8],
      (from, hpat) => Uint8Array.of(...x64Encoder.nearJump(from, hpat.base), 0xcc),
      NOT_INTO_HPAT,
    ],
    [
      'jumps to five bytes before it',
      [0xeb, 0xf9],
      () => x64Encoder.fill(6),
      mismatch(/jumps back by 5 bytes/),
    ],
  ];
  it.each(cases)('that %s', async (_, code, jump, state) => {
    using machine = await booted('x64 pointers');
    const { entry, hpat } = machine;
    const read = memory(entry, jump(entry - 6n, hpat), code);
    expect(x64EarlierTrampoline.classify(read, entry, hpat)).toEqual(state);
  });
});

describe('an entry in the form of ARM64', () => {
  const cases: [string, (entry: bigint, hpat: HotPatchAddressTable) => Uint8Array, EntryState][] = [
    [
      'branches to slot 3',
      (entry, hpat) => arm64Encoder.branch(entry, slot(hpat, 3)),
      { kind: 'patched', index: 3 },
    ],
    ['calls slot 3', (entry, hpat) => arm64Encoder.call(entry, slot(hpat, 3)), UNPATCHED],
    ['branches to a data slot', (entry, hpat) => arm64Encoder.branch(entry, hpat.dataSlot(3)), UNPATCHED],
    ['branches within its image', (entry) => arm64Encoder.branch(entry, entry + 0x40n), UNPATCHED],
    ['is no branch', () => arm64Encoder.nop(), UNPATCHED],
  ];
  it.each(cases)('that %s', async (_, code, state) => {
    using machine = await booted('ARM64');
    const { entry, hpat } = machine;
    expect(arm64Trampoline.classify(memory(entry, [], code(entry, hpat)), entry, hpat)).toEqual(state);
  });
});

describe('a function', () => {
  const XOR_EAX = [0x31, 0xc0];
  const FIFTEEN = [...XOR_EAX, 0xc3, ...x64Encoder.fill(12)];
  const NO_PADDING = 'function.padding';
  type Before = (entry: bigint, hpat: HotPatchAddressTable) => Iterable<number>;
  const cases: [string, TrampolineForm, string, Before, readonly number[], string | undefined][] = [
    ['behind INT 3', x64Trampoline, 'x64', () => CC6, FIFTEEN, undefined],
    ['behind NOP', x64Trampoline, 'x64', () => [0x90, 0x90, 0x90, 0x90, 0x90, 0x90], FIFTEEN, undefined],
    ['behind zeroes', x64Trampoline, 'x64', () => [0, 0, 0, 0, 0, 0], FIFTEEN, NO_PADDING],
    ['behind one long NOP', x64Trampoline, 'x64', () => [0x66, 0x0f, 0x1f, 0x44, 0, 0], FIFTEEN, undefined],
    ['behind five bytes', x64Trampoline, 'x64', () => [0xc3, ...CC6.slice(1)], FIFTEEN, NO_PADDING],
    [
      'behind the jump of a patch that was taken back',
      x64Trampoline,
      'x64',
      (entry, hpat) => [0xcc, ...x64Encoder.nearJump(entry - 5n, slot(hpat, 7))],
      FIFTEEN,
      undefined,
    ],
    [
      'right behind a tail call of the function before it',
      x64Trampoline,
      'x64',
      (entry) => [0xc9, ...x64Encoder.nearJump(entry - 5n, entry - 0x800n)],
      FIFTEEN,
      NO_PADDING,
    ],
    [
      'behind the jump of a patch that was taken back, in the layout `pointers`',
      x64EarlierTrampoline,
      'x64 pointers',
      (entry, hpat) => x64Encoder.jumpThroughSlot(entry - 6n, hpat.dataSlot(7)),
      FIFTEEN,
      undefined,
    ],
    [
      'right behind a tail call through an import, in the layout `pointers`',
      x64EarlierTrampoline,
      'x64 pointers',
      (entry) => x64Encoder.jumpThroughSlot(entry - 6n, entry + 0x800n),
      FIFTEEN,
      NO_PADDING,
    ],
    [
      'that begins with RET',
      x64Trampoline,
      'x64',
      () => CC6,
      [0xc3, ...FIFTEEN],
      'function.firstInstruction',
    ],
    [
      'that begins with INC EAX, on x86',
      x86Trampoline,
      'x86',
      () => CC6,
      [0x40, ...FIFTEEN],
      'function.firstInstruction',
    ],
    [
      'that begins with that byte, a prefix on x64',
      x64Trampoline,
      'x64',
      () => CC6,
      [0x40, ...FIFTEEN],
      undefined,
    ],
  ];
  it.each(cases)('%s', async (_, form, boot, padding, code, rule) => {
    using machine = await booted(boot);
    const { entry, hpat } = machine;
    expect(refusal(form, memory(entry, padding(entry, hpat), code), entry, hpat)?.rule).toBe(rule);
  });

  it('may be the last one before memory ends', async () => {
    using machine = await booted('x64');
    const entry = (machine.entry & ~0xfffn) + 0xffen;
    const read = memory(entry, CC6, XOR_EAX);
    expect(refusal(x64Trampoline, read, entry, machine.hpat, 2)).toBeUndefined();
  });
});

describe('a form', () => {
  it.each([x64Trampoline, x86Trampoline, arm64Trampoline])(
    'with code slots does not go into an HPAT of pointers: $name',
    async (form) => {
      using machine = await booted('x64 pointers');
      const { entry, hpat } = machine;
      expect(() => form.build({ entry, target: entry, hpat, index: 0 })).toThrow(
        /needs an HPAT with code slots/,
      );
    },
  );

  it('with retpoline needs the image’s retpoline page', async () => {
    using machine = await booted('x64');
    const { entry, hpat } = machine;
    expect(() => x64RetpolineTrampoline.build({ entry, target: entry, hpat, index: 0 })).toThrow(
      /has no retpoline page/,
    );
  });
});
