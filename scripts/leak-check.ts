/**
 * Creates, uses and disposes of machines and watches the memory of the process. Fails if it grows by more than 200 bytes
 * per machine after the first tenth.
 *
 *     node --expose-gc --import tsx scripts/leak-check.ts [CYCLES] [x64|arm64|x86]
 */
import koffi from 'koffi';
import { type ArchitectureName, architectureNamed, Machine } from '../cpu/index.js';

const cycles = Number(process.argv[2] ?? 100_000);
const architectures: readonly ArchitectureName[] =
  process.argv[3] === undefined ? ['x64', 'arm64', 'x86'] : [process.argv[3] as ArchitectureName];
const ALLOWED_BYTES_PER_CYCLE = 200;
const RETURN: Readonly<Record<ArchitectureName, Uint8Array>> = {
  x64: Uint8Array.of(0xc3),
  x86: Uint8Array.of(0xc3),
  arm64: Uint8Array.of(0xc0, 0x03, 0x5f, 0xd6),
};

function cycle(architecture: ArchitectureName): void {
  using machine = Machine.create({ architecture, memorySize: 1 << 20 });
  const table = machine.createPageTable({
    start: 0x1_0000n,
    end: 0x7fff_0000n,
    mode: architectureNamed(architecture).initialMode.ring === 0 ? 'kernel' : 'user',
    name: 'leak',
  });
  const space = machine.createAddressSpace('leak', [table]);
  table.commit(0x10_0000n, 1, 'PAGE_EXECUTE_READ');
  table.commit(0x20_0000n, 1, 'PAGE_READWRITE');
  machine.writeCode(space, 0x10_0000n, RETURN[architecture]);
  const processor = machine.processor(0);
  processor.addressSpace = space;
  processor.observe({ block: () => {} });
  const snapshot = machine.snapshot();
  for (let time = 0; time < 2; time++) {
    machine.architecture.prepareCall(processor, {
      target: 0x10_0000n,
      arguments: [],
      stackTop: 0x20_1000n,
    });
    const exit = processor.run();
    if (exit.reason !== 'returned') throw new Error(`cycle ended with ${exit.reason}`);
    machine.restore(snapshot);
  }
}

const megabytes = (bytes: number): string => `${(bytes / 2 ** 20).toFixed(1)} MB`;

/** Makes the C library give back what is free: without it, what it keeps for later looks like a leak. glibc only. */
function trimmer(): () => void {
  try {
    const trim = koffi.load('libc.so.6').func('malloc_trim', 'int', ['size_t']);
    return () => trim(0);
  } catch {
    return () => {};
  }
}

const trim = trimmer();

async function resident(): Promise<number> {
  globalThis.gc?.();
  await new Promise((done) => setTimeout(done, 50));
  globalThis.gc?.();
  trim();
  return process.memoryUsage.rss();
}

for (const architecture of architectures) {
  const started = performance.now();
  const marks: number[] = [];
  for (let index = 0; index < cycles; index++) {
    if (index % Math.ceil(cycles / 10) === 0) marks.push(await resident());
    cycle(architecture);
    // Lets the garbage collector run finalizers of external memory.
    if (index % 100 === 0) await new Promise((done) => setImmediate(done));
  }
  marks.push(await resident());
  const [, warm = 0] = marks;
  const growth = ((marks.at(-1) ?? 0) - warm) / (cycles * 0.9);
  console.log(
    `${architecture}: ${cycles} cycles in ${((performance.now() - started) / 1000).toFixed(0)} s; ` +
      `resident ${marks.map(megabytes).join(', ')}; ${growth.toFixed(0)} bytes per cycle`,
  );
  if (growth > ALLOWED_BYTES_PER_CYCLE) process.exitCode = 1;
}
