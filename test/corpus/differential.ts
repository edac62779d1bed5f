import type { CorpusCase, Generator } from './case.js';
import type { Victim } from './victim.js';

const STACK = 0x8000;

/** Calls functions on one processor and one stack, many times: for functions that call no simulated export. */
export class Caller {
  readonly #stack: bigint;
  readonly #context;

  constructor(private readonly victim: Victim) {
    const { machine } = victim.lab.kernel;
    const { domain } = victim.base;
    this.#stack = domain.allocateMemory('stacks', STACK);
    const [processor] = machine.processors;
    if (processor === undefined) throw new Error('a machine has a processor');
    processor.addressSpace = domain.addressSpace;
    this.#context = processor.saveContext();
  }

  call(address: bigint, parameters: readonly (bigint | number)[]): string {
    const { machine } = this.victim.lab.kernel;
    const [processor] = machine.processors;
    if (processor === undefined) throw new Error('a machine has a processor');
    processor.loadContext(this.#context);
    machine.architecture.prepareCall(processor, {
      target: address,
      arguments: parameters,
      stackTop: this.#stack + BigInt(STACK),
    });
    const exit = processor.run({ instructions: 2_000_000 });
    // A function that returns nothing leaves rubbish in the result register; both sides leave the same.
    if (exit.reason === 'returned')
      return `0x${BigInt.asUintN(32, machine.architecture.result(processor)).toString(16)}`;
    return exit.reason === 'fault' ? `fault at 0x${exit.fault.address.toString(16)}` : exit.reason;
  }
}

/** A seeded sequence of numbers from 0 to 2^32 - 1 (mulberry32). */
export function random(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return (mixed ^ (mixed >>> 14)) >>> 0;
  };
}

export function generate(generator: Generator, next: () => number): number | Uint8Array {
  switch (generator.kind) {
    case 'number':
      return generator.from + (next() % (generator.to - generator.from + 1));
    case 'bytes':
      return Uint8Array.from({ length: generator.size }, () => next() & 0xff);
    case 'text':
      return Uint8Array.from([
        ...Array.from({ length: next() % (generator.longest + 1) }, () => 32 + (next() % 95)),
        0,
      ]);
  }
}

/** What a case's unchanged functions do on `count` generated inputs each, as one line per call. */
export function behaviour(victim: Victim, definition: CorpusCase, count: number): string[] {
  const caller = new Caller(victim);
  const writable = [...victim.base.image.sections].filter(
    ({ characteristics }) => characteristics >>> 31 === 1,
  );
  return Object.entries(definition.differential).flatMap(([name, generators]) => {
    const next = random(name.length * 7919 + name.charCodeAt(0));
    const address = victim.base.symbol(name);
    const buffers = generators.map((generator) =>
      generator.kind === 'number' ? undefined : victim.put(new Uint8Array(bufferSize(generator))),
    );
    const lines = Array.from({ length: count }, () => {
      const values = generators.map((generator) => generate(generator, next));
      const parameters = values.map((value, i) => {
        const buffer = buffers[i];
        if (typeof value === 'number' || buffer === undefined) return Number(value);
        victim.write(buffer, value);
        return buffer;
      });
      const result = caller.call(address, parameters);
      const after = buffers.map((buffer, i) =>
        buffer === undefined ? '' : hex(victim.read(buffer, sizeOf(values[i]))),
      );
      return `${name}(${values.map(String).join('; ')}) = ${result} ${after.join(' ')}`;
    });
    // The variables of the base that the calls left: patched and unpatched must agree on them too.
    const state = writable.map(({ virtualAddress, virtualSize }) =>
      hex(victim.read(victim.base.address(virtualAddress), virtualSize)),
    );
    return [...lines, `state after ${name}: ${state.join(' ')}`];
  });
}

function bufferSize(generator: Generator): number {
  return generator.kind === 'bytes' ? generator.size : generator.kind === 'text' ? generator.longest + 1 : 0;
}

function sizeOf(value: number | Uint8Array | undefined): number {
  return value instanceof Uint8Array ? value.length : 0;
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex');
}
