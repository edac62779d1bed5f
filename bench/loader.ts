/**
 * How long loading takes and what memory it uses: 50 processes with 10 DLLs each.
 * Usage: npx tsx bench/loader.ts
 */
import { ImageBuilder } from '../image/index.js';
import { Kernel } from '../loader/index.js';

const PROCESSES = 50;
const DLLS = 10;
/** Functions of 64 bytes in each DLL. */
const FUNCTIONS = 500;

function library(index: number) {
  const builder = new ImageBuilder('x64', {
    dll: true,
    subsystem: 'WINDOWS_CUI',
    name: `library${index}.dll`,
  });
  for (let i = 0; i < FUNCTIONS; i++) {
    const code = new Uint8Array(64).fill(0x90);
    code.set([0xb8, i & 0xff, i >> 8, 0, 0, 0xc3]);
    builder.code(`f${i}`, code);
  }
  if (index > 0) builder.import(`library${index - 1}.dll`, ['f1', 'f2', 'f3']);
  return builder
    .code('main', Uint8Array.of(0xb8, 1, 0, 0, 0, 0xc3))
    .entryPoint('main')
    .pointers('table', ['f0', 'f1', 'f2'], { section: '.data' })
    .export('f1')
    .export('f2')
    .export('f3')
    .build().image;
}

const images = Array.from({ length: DLLS }, (_, i) => library(i));
using kernel = Kernel.boot({ architecture: 'x64', memorySize: 256 * 1024 * 1024 });
for (const [i, image] of images.entries()) kernel.files.add(`library${i}.dll`, image);

const last = images.at(-1);
if (last === undefined) throw new Error('no images');
const used = () => kernel.machine.memory.framesInUse;
const frames = [used()];
const start = performance.now();
for (let i = 0; i < PROCESSES; i++) {
  const process = kernel.createProcess({ name: `process${i}.exe` });
  process.loadImage(last);
  if (process.images.length !== DLLS) throw new Error('a DLL is missing');
  frames.push(used());
}
const milliseconds = performance.now() - start;

const [before = 0, first = 0, second = 0] = frames;
const loads = PROCESSES * DLLS;
console.log(
  `${PROCESSES} processes with ${DLLS} DLLs: ${milliseconds.toFixed(0)} ms, ${((1000 * milliseconds) / loads).toFixed(0)} µs a DLL`,
);
console.log(`page frames: ${first - before} for the first process, ${second - first} for each further one`);
const shared = [...kernel.sections].reduce((sum, section) => sum + section.prototypePages, 0);
console.log(`${used() - before} in all: ${shared} shared, ${used() - before - shared} private`);
for (const process of [...kernel.processes]) if (!process.minimal) process.terminate();
console.log(`${used() - before} left after all processes have ended`);
