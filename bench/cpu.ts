/**
 * How fast guest code runs, alone and observed, and what steps, snapshots and switches cost. Where there is a C compiler,
 * the same loops are run by a C program on the same libunicorn for the ratio. All in processor time of this process, so
 * that other work on the machine matters little.
 *
 *     npx tsx bench/cpu.ts
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Bench } from 'tinybench';
import { assemble } from '../cpu/assembler.js';
import { type Exit, InstructionRecorder, Machine, type Observation, requireUnicorn } from '../cpu/index.js';

const BASE = 0xffff_f800_1234_0000n;
const DATA = BASE + 0x2000n;
const STACK_TOP = BASE + 0x8000n;

type Name = 'x64' | 'arm64';

type AssembledLoops = Readonly<Record<Name, readonly Uint8Array[]>>;

interface Loop {
  readonly name: string;
  readonly x64: string;
  readonly arm64: string;
  /** Instructions of one round. */
  readonly length: number;
}

const LOOPS: readonly Loop[] = [
  {
    name: 'arithmetic',
    length: 9,
    x64: `again: add rax, rdx
        xor r8, rax
        lea r9, [rax + r8]
        sub rax, 3
        and r9, r8
        or r8, 1
        inc r10
        dec rcx
        jnz again
        ret`,
    arm64: `again: add x9, x9, x1
        eor x10, x9, x10
        add x11, x9, x10
        sub x9, x9, #3
        and x11, x11, x10
        orr x10, x10, #1
        add x12, x12, #1
        subs x0, x0, #1
        b.ne again
        ret`,
  },
  {
    name: 'memory',
    length: 9,
    x64: `again: mov rax, qword ptr [rdx]
        add rax, 1
        mov qword ptr [rdx], rax
        mov r8, qword ptr [rdx + 8]
        mov qword ptr [rdx + 16], r8
        mov r9, qword ptr [rdx + 24]
        inc r10
        dec rcx
        jnz again
        ret`,
    arm64: `again: ldr x9, [x1]
        add x9, x9, #1
        str x9, [x1]
        ldr x10, [x1, #8]
        str x10, [x1, #16]
        ldr x11, [x1, #24]
        add x12, x12, #1
        subs x0, x0, #1
        b.ne again
        ret`,
  },
  {
    name: 'calls',
    length: 5,
    x64: `again: call leaf
        dec rcx
        jnz again
        ret
        leaf: inc rax
        ret`,
    arm64: `mov x20, x30
        again: bl leaf
        subs x0, x0, #1
        b.ne again
        mov x30, x20
        ret
        leaf: add x9, x9, #1
        ret`,
  },
];

class Workshop implements Disposable {
  readonly machine: Machine;
  readonly processor;
  readonly space;
  readonly table;

  constructor(name: Name, options: { processors?: number; memorySize?: number } = {}) {
    this.machine = Machine.create({ architecture: name, memorySize: 1 << 20, ...options });
    const range = { start: 0xffff_f800_0000_0000n, end: 0xffff_f880_0000_0000n, mode: 'kernel' } as const;
    this.table = this.machine.createPageTable({ ...range, name: 'bench' });
    this.space = this.machine.createAddressSpace('bench', [this.table]);
    this.table.commit(BASE, 1, 'PAGE_EXECUTE_READ');
    this.table.commit(BASE + 0x1000n, 7, 'PAGE_READWRITE');
    for (const processor of this.machine.processors) processor.addressSpace = this.space;
    this.processor = this.machine.processor(0);
  }

  load(code: Uint8Array): void {
    this.machine.writeCode(this.space, BASE, code);
  }

  prepare(iterations: number): void {
    const { architecture } = this.machine;
    architecture.prepareCall(this.processor, {
      target: BASE,
      arguments: [BigInt(iterations), DATA],
      stackTop: STACK_TOP,
    });
  }

  /** Instructions per second of the best of `rounds`. */
  speed(iterations: number, rounds = 5): number {
    let best = 0;
    for (let round = 0; round < rounds; round++) {
      this.prepare(iterations);
      const started = processorTime();
      const exit: Exit = this.processor.run();
      const took = processorTime() - started;
      if (exit.reason !== 'returned') throw new Error(`the loop ended with ${exit.reason}`);
      best = Math.max(best, (exit.instructions / took) * 1000);
    }
    return best;
  }

  [Symbol.dispose](): void {
    this.machine[Symbol.dispose]();
  }
}

const OBSERVATIONS: Readonly<Record<string, Observation>> = {
  'instruction observer': { instruction: () => {} },
  'block observer': { block: () => {} },
  'memory observer': { memory: () => {} },
};

export const median = (values: readonly number[]): number =>
  [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;

const millions = (speed: number): string => `${(speed / 1e6).toFixed(speed < 1e7 ? 2 : 1)} M/s`;

/** The C program, or undefined when no compiler is found. */
function buildReference(folder: string): string | undefined {
  const library = resolve(requireUnicorn().path);
  const output = join(folder, 'cpu-reference');
  const source = fileURLToPath(new URL('cpu-reference.c', import.meta.url));
  for (const compiler of ['cc', 'gcc', 'clang']) {
    try {
      execFileSync(compiler, ['-O2', '-o', output, source, library, `-Wl,-rpath,${dirname(library)}`], {
        stdio: 'pipe',
      });
      return output;
    } catch {
      // The next one may be there.
    }
  }
  return undefined;
}

/** Of one loop, in instructions per second; the ratios are medians of pairs that were measured one after the other. */
export interface LoopComparison {
  readonly loop: string;
  readonly here: number;
  /** The same bytes on the same library by the C program, which does not count. */
  readonly c: number;
  readonly ratio: number;
  readonly recorder: number;
}

const PAIRS = 7;

/** Undefined where there is no C compiler. */
export function compareLoops(): LoopComparison[] | undefined {
  const code = assembleLoops();
  const folder = mkdtempSync(join(tmpdir(), 'cpu-bench-'));
  try {
    const reference = buildReference(folder);
    if (reference === undefined) return undefined;
    return (['x64', 'arm64'] as const).flatMap((name) =>
      LOOPS.map((loop, index) => {
        const bytes = code[name][index] ?? new Uint8Array(0);
        return compareLoop(name, loop, bytes, folder, reference);
      }),
    );
  } finally {
    rmSync(folder, { recursive: true });
  }
}

function compareLoop(
  name: Name,
  loop: Loop,
  code: Uint8Array,
  folder: string,
  reference: string,
): LoopComparison {
  using workshop = new Workshop(name);
  workshop.load(code);
  workshop.speed(1_000_000);
  const file = join(folder, 'code.bin');
  writeFileSync(file, code);
  const parameters = [name, file, '3000000', '3', `${loop.length}`, '0'];
  const pairs = Array.from({ length: PAIRS }, () => ({
    c: Number(execFileSync(reference, parameters, { encoding: 'utf8' })),
    here: workshop.speed(3_000_000, 3),
  }));
  using recorder = new InstructionRecorder(workshop.processor);
  const recorded = Array.from({ length: PAIRS }, () => {
    const speed = workshop.speed(300_000, 2);
    recorder.take();
    return speed;
  });
  return {
    loop: `${name} ${loop.name}`,
    here: median(pairs.map(({ here }) => here)),
    c: median(pairs.map(({ c }) => c)),
    ratio: median(pairs.map(({ here, c }) => here / c)),
    recorder: median(recorded),
  };
}

/** Speeds of the loops, observed in each way, and in C. */
export function guestSpeeds(code: AssembledLoops): Record<string, string>[] {
  const folder = mkdtempSync(join(tmpdir(), 'cpu-bench-'));
  const rows: Record<string, string>[] = [];
  try {
    const reference = buildReference(folder);
    for (const name of ['x64', 'arm64'] as const) {
      for (const [index, loop] of LOOPS.entries()) {
        rows.push(measure(name, loop, code[name][index] ?? new Uint8Array(0), folder, reference));
      }
    }
  } finally {
    rmSync(folder, { recursive: true });
  }
  return rows;
}

function measure(name: Name, loop: Loop, code: Uint8Array, folder: string, reference: string | undefined) {
  using workshop = new Workshop(name);
  workshop.load(code);
  const alone = workshop.speed(1_000_000);
  const row: Record<string, string> = { loop: `${name} ${loop.name}`, alone: millions(alone) };
  if (reference !== undefined) {
    const file = join(folder, 'code.bin');
    writeFileSync(file, code);
    const run = (exact: number) =>
      Number(
        execFileSync(reference, [name, file, '1000000', '3', `${loop.length}`, `${exact}`], {
          encoding: 'utf8',
        }),
      );
    const pairs = Array.from({ length: 7 }, () => ({ c: run(1), own: workshop.speed(1_000_000, 3) }));
    row.alone = millions(median(pairs.map(({ own }) => own)));
    row['C, counting'] = millions(median(pairs.map(({ c }) => c)));
    row.ratio = median(pairs.map(({ own, c }) => own / c)).toFixed(2);
    row['C, not counting'] = millions(run(0));
  }
  for (const [kind, observation] of Object.entries(OBSERVATIONS)) {
    using _observer = workshop.processor.observe(observation);
    row[kind] = millions(workshop.speed(20_000));
  }
  using recorder = new InstructionRecorder(workshop.processor);
  workshop.speed(1000, 1);
  recorder.take();
  row.recorder = millions(workshop.speed(50_000, 3));
  return row;
}

/** Operations per measurement, since the processor's clock ticks in microseconds. */
const BATCH = 200;

/** Milliseconds of processor time. */
function processorTime(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}

/**
 * Assembles the loops in a process of its own. The assembler is WebAssembly, which reserves so much address space that
 * Unicorn's code buffer may end up more than 2 GB from its library: calls between the two then take twice as long.
 */
function assembleLoops(): AssembledLoops {
  const script = fileURLToPath(import.meta.url);
  const output = execFileSync(process.execPath, ['--import', 'tsx', script, '--assemble'], {
    encoding: 'utf8',
  });
  const parsed: Record<Name, string[]> = JSON.parse(output);
  const decode = (codes: readonly string[]) => codes.map((code) => new Uint8Array(Buffer.from(code, 'hex')));
  return { x64: decode(parsed.x64), arm64: decode(parsed.arm64) };
}

async function printAssembledLoops(): Promise<void> {
  const assembleAll = (name: Name) =>
    Promise.all(
      LOOPS.map(async (loop) =>
        Buffer.from(await assemble(name, loop[name], { address: BASE })).toString('hex'),
      ),
    );
  console.log(JSON.stringify({ x64: await assembleAll('x64'), arm64: await assembleAll('arm64') }));
}

/** What single operations cost; each task does {@link BATCH} of them. */
export function operations(loops: AssembledLoops): Bench {
  const bench = new Bench({ name: 'processors', time: 500, now: processorTime });
  const add = (task: string, body: () => void, batch = BATCH) =>
    bench.add(task, () => {
      for (let index = 0; index < batch; index++) body();
    });
  const resources = new DisposableList();
  for (const name of ['x64', 'arm64'] as const) {
    const workshop = resources.use(new Workshop(name));
    const code = loops[name][0] ?? new Uint8Array(0);
    workshop.load(code);
    workshop.prepare(2 ** 40);
    const { processor } = workshop;
    add(`${name}: single step`, () => void processor.step());
    add(`${name}: single step and the general registers`, () => {
      processor.step();
      processor.generalRegisters();
    });
    add(`${name}: save and load a context`, () => processor.loadContext(processor.saveContext()));
    const other = workshop.machine.createAddressSpace('other', [workshop.table]);
    add(`${name}: address-space switch and two instructions`, () => {
      processor.addressSpace = processor.addressSpace === other ? workshop.space : other;
      processor.run({ instructions: 2 });
    });
    add(`${name}: writeCode and two instructions`, () => {
      workshop.machine.writeCode(workshop.space, BASE, code);
      processor.run({ instructions: 2 });
    });
    add(`${name}: create and dispose of a machine`, () => {
      Machine.create({ architecture: name, memorySize: 1 << 20 })[Symbol.dispose]();
    });
    addSnapshots(add, name, resources, code);
  }
  bench.addEventListener('complete', () => resources[Symbol.dispose]());
  return bench;
}

/** 2 processors, 16 MB in use, 20 pages written by the guest between snapshots. */
function addSnapshots(
  add: (task: string, body: () => void) => void,
  name: Name,
  resources: DisposableList,
  code: Uint8Array,
): void {
  const workshop = resources.use(new Workshop(name, { processors: 2, memorySize: 17 << 20 }));
  const { machine, table, space } = workshop;
  const pages = 4096 - machine.memory.framesInUse;
  const area = BASE + 0x100_0000n;
  table.commit(area, pages, 'PAGE_READWRITE');
  for (let page = 0; page < pages; page++) space.writeU8(area + BigInt(page * 0x1000), page & 0xff);
  workshop.load(code);
  const dirty = () => {
    for (let page = 0; page < 20; page++) space.writeU8(area + BigInt(page * 0x1000), 1);
  };
  machine.snapshot();
  add(`${name}: write to 20 pages`, dirty);
  add(`${name}: write to 20 pages, take a snapshot`, () => {
    dirty();
    machine.snapshot();
  });
  const snapshot = machine.snapshot();
  add(`${name}: write to 20 pages, restore`, () => {
    dirty();
    machine.restore(snapshot);
  });
  add(`${name}: write to 20 pages, snapshot, write to 20 pages, restore`, () => {
    dirty();
    const taken = machine.snapshot();
    dirty();
    machine.restore(taken);
  });
}

class DisposableList implements Disposable {
  readonly #resources: Disposable[] = [];

  use<T extends Disposable>(resource: T): T {
    this.#resources.push(resource);
    return resource;
  }

  [Symbol.dispose](): void {
    for (const resource of this.#resources.splice(0)) resource[Symbol.dispose]();
  }
}

if (process.argv[2] === '--assemble') {
  await printAssembledLoops();
} else if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const loops = assembleLoops();
  console.table(guestSpeeds(loops));
  const bench = operations(loops);
  await bench.run();
  console.table(
    bench.tasks.map(({ name, result }) => {
      const time = 'latency' in result ? (result.latency.p50 * 1000) / BATCH : Number.NaN;
      return { operation: name, 'median µs': time.toFixed(2), 'per second': Math.round(1e6 / time) };
    }),
  );
}
