import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ImageError } from '../../../image/index.js';
import { BugCheck, KernelError } from '../../../loader/common/index.js';
import type { ServiceCall, SimulatedExport } from '../../../loader/dispatch/index.js';
import { kernelModules, userModules } from '../../../loader/exports/modules.js';
import { type ImageDomain, Kernel, type Process } from '../../../loader/index.js';
import { GuestAccessViolation } from '../../../loader/memory/index.js';
import { CONTEXT_SET, GuestCrash, isProcedure, type Thread } from '../../../loader/threads/index.js';
import { goOn } from '../support.js';

/**
 * Every export, with bad arguments of every sort. What it does with them must be what guest code would meet: it returns,
 * it refuses, or it is a fault of the guest's; and nothing that the caller may not write has changed.
 */
interface World {
  readonly name: string;
  readonly architecture: 'x64' | 'arm64' | 'x86';
  readonly user: boolean;
}

const WORLDS: readonly World[] = [
  { name: 'the kernel of x64', architecture: 'x64', user: false },
  { name: 'the kernel of ARM64', architecture: 'arm64', user: false },
  { name: 'a 64-bit process on x64', architecture: 'x64', user: true },
  { name: 'a 64-bit process on ARM64', architecture: 'arm64', user: true },
  { name: 'a WOW64 process', architecture: 'x86', user: true },
];

const PAGE = 0x1000n;
const HEAD = 'canary: nobody may write here.';

class Subject {
  readonly kernel: Kernel;
  process: Process | undefined;
  domain: ImageDomain;
  thread: Thread;
  places: Record<string, bigint> = {};
  isAstray = false;
  readonly #kernelCanary: bigint;

  constructor(readonly world: World) {
    this.kernel = Kernel.boot({ architecture: world.architecture });
    this.#kernelCanary = this.kernel.system.allocateMemory('pool', 0x1000);
    this.kernel.system.addressSpace.write(this.#kernelCanary, Buffer.from(HEAD));
    this.domain = this.kernel.system;
    this.thread = this.renew();
  }

  /** A process and a thread that have not been harmed. */
  renew(): Thread {
    const { kernel, world } = this;
    this.isAstray = false;
    goOn(kernel);
    if (world.user) {
      this.process?.terminate();
      this.process = kernel.createProcess({ name: 'sweep.exe' });
      this.domain = this.process.domain;
    }
    const { domain } = this;
    const memory = domain.allocateMemory('pool', 0x4000);
    const space = domain.addressSpace;
    space.write(memory, Buffer.from(HEAD));
    space.write(memory + PAGE, Buffer.from(HEAD));
    space.write(memory + 2n * PAGE, Buffer.alloc(0x1000, 0x41));
    // A handler of invalid parameters, so that they do not end the process each time.
    const runtime = this.process?.environment?.runtimeData;
    if (runtime !== undefined) space.writeU32(runtime, Number(memory & 0xffff_fff0n));
    domain.table.protect(memory, 1, 'PAGE_READONLY');
    domain.table.protect(memory + PAGE, 1, 'PAGE_EXECUTE_READ');
    domain.table.decommit(memory + 3n * PAGE, 1);
    this.thread = kernel.createThread(memory + PAGE, [], { domain, name: 'sweep' });
    kernel.scheduler.place(this.thread);
    this.places = {
      null: 0n,
      low: 0x1234n,
      readOnly: memory + 8n,
      code: memory + PAGE + 8n,
      pageEnd: memory + 3n * PAGE - 3n,
      goodText: memory + 2n * PAGE + 0x100n,
      decommitted: memory + 3n * PAGE + 8n,
      minusOne: world.architecture === 'x86' ? 0xffff_ffffn : 0xffff_ffff_ffff_ffffn,
      minusTwo: world.architecture === 'x86' ? 0xffff_fffen : 0xffff_ffff_ffff_fffen,
      ...(world.user
        ? { kernel: BigInt.asUintN(world.architecture === 'x86' ? 32 : 64, this.#kernelCanary) }
        : {}),
      ...(world.architecture === 'x86'
        ? {}
        : { noncanonical: 0x8000_0000_0000_0000n, secure: 0xffff_f9c0_0000_0000n }),
    };
    return this.thread;
  }

  get isHarmed(): boolean {
    return (
      this.isAstray ||
      this.thread.finished ||
      this.process?.terminated === true ||
      this.thread.process.terminated
    );
  }

  /** What nobody may write, as text. */
  canaries(): string {
    const at = (space: ImageDomain, address: bigint) => space.addressSpace.readCString(address, HEAD.length);
    const own =
      this.process?.terminated === true
        ? [HEAD, HEAD]
        : [
            at(this.domain, (this.places.readOnly ?? 8n) - 8n),
            at(this.domain, (this.places.code ?? 8n) - 8n),
          ];
    return [at(this.kernel.system, this.#kernelCanary), ...own].join('|');
  }

  call(entry: SimulatedExport, values: readonly bigint[]): void {
    const { kernel, thread, domain } = this;
    const processor = kernel.scheduler.place(thread);
    const call: ServiceCall = {
      kernel: kernel as unknown as ServiceCall['kernel'],
      domain,
      process: this.process ?? kernel.systemProcess,
      thread,
      processor,
      memory: thread.memory,
      pointerSize: thread.architecture.pointerSize,
      argument: (index) => values[index % values.length] ?? 0n,
      floatArgument: () => Number.NaN,
    };
    const result = entry.serve(call);
    // It has set the registers, to whatever it was given: nothing more can be told of this thread.
    if (result === CONTEXT_SET) this.isAstray = true;
    if (isProcedure(result)) {
      let step = result.next(0n);
      for (let count = 0; step.done !== true && count < 20; count++) step = result.next(0n);
      return;
    }
    if (typeof result === 'object' && result !== null && 'ready' in result) result.ready();
  }

  [Symbol.dispose](): void {
    this.kernel[Symbol.dispose]();
  }
}

/** What a mistake of guest code may end in. */
function isGuests(error: unknown): boolean {
  return (
    error instanceof GuestAccessViolation ||
    error instanceof GuestCrash ||
    error instanceof BugCheck ||
    error instanceof KernelError ||
    error instanceof ImageError
  );
}

/** Alone, and beside arguments that are good; all of them with HOTPATCH_SWEEP=full. */
function mixes(name: string): readonly (readonly string[])[] {
  const few = [[name], ['goodText', name]];
  return process.env.HOTPATCH_SWEEP === 'full'
    ? [...few, [name, 'goodText'], ['goodText', 'goodText', name]]
    : few;
}

/** They stop threads and machines, or run other threads until something happens. */
const NOT_SWEPT = new Set(['KeIpiGenericCall', 'KeGenericCallDpc']);

describe.each(WORLDS)('every export, called from $name with bad arguments', (world) => {
  let subject: Subject;
  beforeAll(() => {
    subject = new Subject(world);
  });
  afterAll(() => subject[Symbol.dispose]());
  // kernel32.dll has the functions of kernelbase.dll; msvcrt.dll those of ucrtbase.dll and a few more.
  const all = world.user ? userModules(world.architecture === 'x86') : kernelModules();
  const universal = new Set(all.find(({ name }) => name === 'ucrtbase.dll')?.exports.map(({ name }) => name));
  const modules = all
    .filter(({ name }) => name !== 'kernel32.dll')
    .map((module) =>
      module.name === 'msvcrt.dll'
        ? { ...module, exports: module.exports.filter(({ name }) => !universal.has(name)) }
        : module,
    );

  it.each(modules.map((module) => [module.name, module] as const))(
    "%s: nothing but the guest's own mistake",
    (_, module) => {
      const wrong: string[] = [];
      const before = subject.canaries();
      let calls = 0;
      for (const entry of module.exports) {
        if (NOT_SWEPT.has(entry.name)) continue;
        for (const name of Object.keys(subject.places)) {
          for (const mix of mixes(name)) {
            calls += 1;
            try {
              subject.call(
                entry,
                mix.map((place) => subject.places[place] ?? 0n),
              );
            } catch (error) {
              if (!isGuests(error))
                wrong.push(
                  `${entry.name}(${mix}): ${error instanceof Error ? `${error.name} ${error.message}` : error}`,
                );
            }
            if (subject.canaries() !== before) {
              wrong.push(`${entry.name}(${mix}) has written what it may not`);
              subject.renew();
              return expect(wrong).toEqual([]);
            }
            if (subject.isHarmed) subject.renew();
          }
        }
      }
      expect(wrong.slice(0, 20)).toEqual([]);
      expect(calls).toBeGreaterThan(10);
    },
    300_000,
  );
});
