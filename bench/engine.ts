/**
 * Applying hotpatches: many functions of one driver, and some functions of a DLL in many processes.
 *
 *     npx tsx bench/engine.ts
 */
import { performance } from 'node:perf_hooks';
import { pathToFileURL } from 'node:url';
import { ModernEngine } from '../engine/index.js';
import { ImageBuilder, type PeImage, readImage } from '../image/index.js';
import { Kernel } from '../loader/index.js';

/** A base of `count` functions that return 1, and its patch, in which they return 2. */
function images(count: number, dll: boolean): { base: PeImage; patch: PeImage } {
  const names = Array.from({ length: count }, (_, index) => `f${index}`);
  const code = (value: number) => [0xb8, value, 0, 0, 0, 0xc3]; // mov eax, value; ret
  const build = (
    value: number,
    table?: (rva: (name: string) => number) => Parameters<ImageBuilder['hotPatchTable']>[0],
  ) => {
    const builder = new ImageBuilder('x64', { name: dll ? 'many.dll' : 'many.sys', dll });
    for (const name of names) builder.code(name, code(value));
    builder.loadConfig();
    if (table !== undefined)
      builder.hotPatchTable((layout) => {
        const made = table((name) => layout.rva(name));
        return typeof made === 'function' ? made(layout) : made;
      });
    return builder.build();
  };
  const base = build(1);
  const baseImage = readImage(base.bytes, { file: 'many' });
  const patch = build(2, (rva) => ({
    sequenceNumber: 1,
    extraPatchSize: 1,
    bases: [
      {
        flags: 0x12,
        originalCheckSum: baseImage.optionalHeader.checkSum,
        originalTimeDateStamp: baseImage.fileHeader.timeDateStamp,
        chunks: [
          {
            direction: 'forward',
            type: 'FUNCTION',
            records: names.map((name) => ({
              rva: base.rva(name),
              target: rva(name),
              originalBytes: Uint8Array.from(code(1).slice(0, 4)),
            })),
          },
        ],
      },
    ],
  }));
  return { base: baseImage, patch: readImage(patch.bytes, { file: 'many_hp' }) };
}

export interface EngineMeasurement {
  readonly what: string;
  readonly functions: number;
  readonly applyMs: number;
  readonly revertMs: number;
}

function measure(what: string, functions: number, processes: number): EngineMeasurement {
  const { base, patch } = images(functions, processes > 0);
  const hotPatchTableSize = Math.ceil(functions / 512) * 0x1000;
  using kernel = Kernel.boot({ architecture: 'x64', hotPatchTableSize, memorySize: 1 << 28 });
  const engine = new ModernEngine(kernel);
  if (processes === 0) kernel.loadImage(base, { name: 'many.sys', initialize: false });
  for (let index = 0; index < processes; index++)
    kernel.createProcess({ name: `p${index}.exe` }).loadImage(base, { name: 'many.dll', initialize: false });
  const start = performance.now();
  const loaded = engine.load(patch, { name: 'many_hp.dll' });
  const applied = performance.now();
  engine.unload(loaded);
  const reverted = performance.now();
  return {
    what,
    functions: functions * Math.max(1, processes),
    applyMs: applied - start,
    revertMs: reverted - applied,
  };
}

/** Applying and reverting that many functions of one driver. */
export const measureFunctions = (functions: number): EngineMeasurement =>
  measure(`${functions} functions of one driver`, functions, 0);

export function measureEngine(): EngineMeasurement[] {
  return [
    measure('1,000 functions of one driver', 1000, 0),
    measure('2,000 functions of one driver', 2000, 0),
    measure('10,000 functions of one driver', 10_000, 0),
    measure('100 functions of a DLL in 50 processes', 100, 50),
  ];
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href)
  for (const { what, functions, applyMs, revertMs } of measureEngine())
    console.log(
      `${what}: apply ${applyMs.toFixed(0)} ms (${((applyMs * 1000) / functions).toFixed(1)} µs a function), revert ${revertMs.toFixed(0)} ms`,
    );
