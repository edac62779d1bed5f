import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { LAYOUTS } from '../../../loader/io/index.js';

const CLANG = process.env.CLANG ?? 'clang-22';
/** mingw-w64's driver kit, whose headers are public domain; it knows x64 and x86. */
const KIT = process.env.MINGW_INCLUDE ?? '/usr/share/mingw-w64/include';
const sources = fileURLToPath(new URL('../../fixtures/src/drivers/', import.meta.url));
const hasClang = spawnSync(CLANG, ['--version']).error === undefined;
const hasKit = existsSync(join(KIT, 'ddk', 'wdm.h'));

/** DEVICE_OBJECT is aligned to 16 bytes in the Windows kit; mingw-w64's leaves that out. */
const SIZES: Readonly<Record<string, readonly [number, number]>> = { DEVICE_OBJECT: [0x148, 0xb8] };

/** Sizes and offsets as the compiler has them, in the order in which they are asked for. */
function compile(
  target: string,
  flags: readonly string[],
  header: string,
  expressions: readonly string[],
): number[] {
  const folder = mkdtempSync(join(tmpdir(), 'layouts-'));
  try {
    const lines = expressions.map((text, index) => `unsigned v${index} = 1 + ${text};`);
    writeFileSync(join(folder, 'layouts.c'), `#include <${header}>\n${lines.join('\n')}\n`);
    const text = execFileSync(
      CLANG,
      [
        '-w',
        '-fms-extensions',
        `--target=${target}`,
        ...flags,
        '-S',
        '-emit-llvm',
        '-o',
        '-',
        join(folder, 'layouts.c'),
      ],
      { encoding: 'utf8' },
    );
    const found = new Map(
      [...text.matchAll(/^@v(\d+) = .* i32 (\d+)/gm)].map(([, index, value]) => [
        Number(index),
        Number(value) - 1,
      ]),
    );
    return expressions.map((_, index) => found.get(index) ?? Number.NaN);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

const FIELDS = LAYOUTS.flatMap((layout) =>
  Object.entries(layout.fields).map(([field, [at64, at32]]) => ({
    name: layout.name,
    field,
    at: [at64, at32] as const,
  })),
);

const offsetOf = ({ name, field }: { name: string; field: string }) =>
  `__builtin_offsetof(${name}, ${field})`;

describe.skipIf(!hasClang || !hasKit)(
  "layouts of the I/O manager's objects are those of mingw-w64's kit",
  () => {
    it.each([
      { target: 'x86_64-w64-mingw32', index: 0 },
      { target: 'i686-w64-mingw32', index: 1 },
    ] as const)('for $target', ({ target, index }) => {
      const flags = ['-I', join(KIT, 'ddk'), '-isystem', KIT];
      const offsets = compile(target, flags, 'ntddk.h', FIELDS.map(offsetOf));
      expect(FIELDS.map(({ name, field }, at) => `${name}.${field} ${offsets[at]}`)).toEqual(
        FIELDS.map(({ name, field, at }) => `${name}.${field} ${at[index]}`),
      );
      const sizes = compile(
        target,
        flags,
        'ntddk.h',
        LAYOUTS.map(({ name }) => `sizeof(${name})`),
      );
      expect(LAYOUTS.map(({ name }, at) => `${name} ${sizes[at]}`)).toEqual(
        LAYOUTS.map(({ name, size }) => `${name} ${(SIZES[name] ?? size)[index]}`),
      );
    });
  },
);

/** The header that the test drivers are compiled with has the fields that they use. */
const OWN = [
  'DRIVER_OBJECT',
  'DEVICE_OBJECT',
  'FILE_OBJECT',
  'IRP',
  'IO_STACK_LOCATION',
  'MDL',
  'FAST_MUTEX',
  'UNICODE_STRING',
  'IO_STATUS_BLOCK',
  'KEVENT',
];

describe.skipIf(!hasClang)("layouts of the test drivers' header", () => {
  it.each([
    { target: 'x86_64-pc-windows-msvc', index: 0 },
    { target: 'aarch64-pc-windows-msvc', index: 0 },
    { target: 'i686-pc-windows-msvc', index: 1 },
  ] as const)('for $target', ({ target, index }) => {
    const fields = FIELDS.filter(({ name }) => OWN.includes(name));
    const offsets = compile(target, ['-I', sources], 'wdm.h', fields.map(offsetOf));
    expect(fields.length).toBeGreaterThan(100);
    expect(fields.map(({ name, field }, at) => `${name}.${field} ${offsets[at]}`)).toEqual(
      fields.map(({ name, field, at }) => `${name}.${field} ${at[index]}`),
    );
  });
});
