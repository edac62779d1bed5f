import { setImmediate } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { describe, expect, test, vi } from 'vitest';
import { assemble } from '../../cpu/assembler.js';
import { type ArchitectureName, architectureNamed } from '../../cpu/index.js';
import { callbackFor, type EngineEvents, REFUSED } from '../../cpu/unicorn/callbacks.js';
import * as uc from '../../cpu/unicorn/constants.js';
import { Engine } from '../../cpu/unicorn/engine.js';
import { type UnicornFunctions, unicorn } from '../../cpu/unicorn/library.js';
import { closeEngine, takeEngine } from '../../cpu/unicorn/pool.js';

const PAGE = 0x1000;
const PAGES = 4;
const EVERYTHING = uc.UC_PROT_ALL;
const rule = (name: string) => expect.objectContaining({ rule: name });

/** An engine that sees its four pages of memory at virtual address 0. */
function open(
  architecture: ArchitectureName,
  events: Partial<EngineEvents> = {},
  memory = PAGES * PAGE,
  functions?: UnicornFunctions,
) {
  const { engine, registerFile } = architectureNamed(architecture);
  const bytes = new Uint8Array(new ArrayBuffer(memory));
  const all: EngineEvents = {
    translate: (page) => (page < PAGES ? page * 8 + EVERYTHING : REFUSED),
    retry: (_, resolve) => resolve(),
    interrupt: () => {},
    systemCall: () => {},
    code: () => {},
    block: () => {},
    translated: () => {},
    memory: () => {},
    ...events,
  };
  const write = async (source: string, address = 0) =>
    bytes.set(await assemble(architecture, source, { address: BigInt(address) }), address);
  return { engine: new Engine(engine, bytes, registerFile, all, { functions }), write, bytes };
}

type Watched = 'close' | 'contextFree' | 'hookAdd' | 'hookDelete';

/** Unicorn's functions with an ear at some of them; `answers` are given instead of calling them, in order. */
function heard(answers: Partial<Record<Watched, number[]>> = {}) {
  const own = unicorn();
  const calls: Record<Watched, unknown[][]> = { close: [], contextFree: [], hookAdd: [], hookDelete: [] };
  const watch = <T extends Watched>(name: T) =>
    ((...given: unknown[]) => {
      calls[name].push(given);
      const answer = answers[name]?.shift();
      return answer ?? Reflect.apply(own[name], own, given);
    }) as UnicornFunctions[T];
  const functions: UnicornFunctions = {
    ...own,
    close: watch('close'),
    contextFree: watch('contextFree'),
    hookAdd: watch('hookAdd'),
    hookDelete: watch('hookDelete'),
  };
  const answer = (name: Watched, value: number) => {
    answers[name] = [value];
  };
  return { functions, calls, answer };
}

const failure = () => {
  throw new RangeError('from a callback');
};

/** Leaves no engine of earlier tests to the next one. */
function drainPool(kind: 'x86-64' | 'arm64'): void {
  const functions = unicorn();
  for (let count = 0; count < 40; count++) closeEngine(functions, takeEngine(functions, kind));
}

describe('an engine', () => {
  test.each([0, 1, PAGE - 1, PAGE + 1])('is not opened over %d bytes', (bytes) => {
    expect(() => open('x64', {}, bytes)).toThrow(rule('memorySize'));
  });

  test('that cannot have its hooks is closed again', () => {
    drainPool('x86-64');
    const { functions, calls } = heard({ hookAdd: [0, 20] });
    expect(() => open('x64', {}, PAGES * PAGE, functions)).toThrow(rule('unicorn'));
    expect(calls.close).toHaveLength(1);
  });

  test('is given back once, however often it is disposed of, and is the next one, as if it were new', async () => {
    drainPool('x86-64');
    const first = open('x64');
    const { handle } = first.engine;
    await first.write('mov rax, 5\nhlt');
    first.engine.addHook(uc.UC_HOOK_CODE, 9);
    first.engine.run(0n, 1);
    first.engine[Symbol.dispose]();
    first.engine[Symbol.dispose]();
    const heard: bigint[] = [];
    const { engine, write } = open('x64', { code: (address) => heard.push(address) });
    using _engine = engine;
    expect(engine.handle).toBe(handle);
    expect(engine.readRegister('rax')).toBe(0n);
    await write('mov rax, 6\nhlt');
    engine.run(0n, 1);
    expect([engine.readRegister('rax'), heard]).toEqual([6n, []]);
    using other = open('x64').engine;
    expect(other.handle).not.toBe(handle);
  });

  test('is closed, with its context, when enough of them are kept', () => {
    const { functions, calls } = heard();
    const engines = Array.from({ length: 40 }, () => open('x64', {}, PAGES * PAGE, functions).engine);
    for (const engine of engines) engine[Symbol.dispose]();
    expect(calls.close.length).toBeGreaterThan(0);
    expect(calls.contextFree).toHaveLength(calls.close.length);
  });

  test('that is closed has no state', async () => {
    const { engine, write } = open('x64');
    await write('nop\nhlt');
    engine.run(0n, 1);
    expect(engine.begun).toBe(2);
    engine[Symbol.dispose]();
    const uses = [
      () => engine.begun,
      () => engine.refusedAddress,
      () => engine.run(0n, 1),
      () => engine.readRegister('rip'),
      () => engine.saveContext(),
    ];
    for (const use of uses) expect(use).toThrow(rule('machineDisposed'));
  });

  test('has each callback once', () => {
    expect(callbackFor(uc.UC_HOOK_CODE)).toBe(callbackFor(uc.UC_HOOK_CODE));
    expect(callbackFor(uc.UC_HOOK_BLOCK)).not.toBe(callbackFor(uc.UC_HOOK_CODE));
    expect(() => callbackFor(12345)).toThrow('no callback for hook kind 12345');
  });
});

describe('a hook', () => {
  const openHooked = async (functions?: UnicornFunctions) => {
    const seen: number[] = [];
    const code = (address: bigint, _: number, tag: number) => void seen.push(Number(address), tag);
    const opened = open('x64', { code }, PAGES * PAGE, functions);
    await opened.write('nop\nnop\nhlt');
    return { ...opened, seen };
  };

  test('is called in its range, until it is disposed of', async () => {
    const { engine, seen } = await openHooked();
    using _engine = engine;
    const hook = engine.addHook(uc.UC_HOOK_CODE, 5, { first: 1n, last: 1n });
    engine.run(0n, 3);
    expect(seen).toEqual([1, 5]);
    hook[Symbol.dispose]();
    engine.run(0n, 3);
    expect(seen).toEqual([1, 5]);
  });

  test('is deleted once, and by an engine that is given back', async () => {
    const { functions, calls } = heard();
    const { engine } = await openHooked(functions);
    const [hook, late] = [1, 2].map((tag) => engine.addHook(uc.UC_HOOK_CODE, tag));
    hook?.[Symbol.dispose]();
    hook?.[Symbol.dispose]();
    expect(calls.hookDelete).toHaveLength(1);
    engine[Symbol.dispose]();
    late?.[Symbol.dispose]();
    expect(calls.hookDelete).toHaveLength(2);
  });

  test('that Unicorn refuses is an error', async () => {
    drainPool('x86-64');
    const { functions, answer } = heard();
    const { engine } = await openHooked(functions);
    using _engine = engine;
    answer('hookAdd', 20);
    expect(() => engine.addHook(uc.UC_HOOK_CODE, 1)).toThrow(rule('unicorn'));
  });
});

describe('from within a callback', () => {
  test.each<[string, (engine: Engine) => unknown]>([
    ['run', (engine) => engine.run(0n, 1)],
    ['add a hook', (engine) => engine.addHook(uc.UC_HOOK_CODE, 1)],
    ['forget all code', (engine) => engine.forgetAllCode()],
    ['forget the code of a page', (engine) => engine.forgetCode(new Set([1]))],
    ['look into a context', (engine) => engine.stateOf(engine.saveContext())],
    ['close', (engine) => engine[Symbol.dispose]()],
  ])('no engine can %s', async (_, use) => {
    using other = open('x64').engine;
    for (const which of ['itself', 'another'] as const) {
      let isTried = false;
      const opened = open('x64', {
        code: () => {
          if (isTried) return;
          isTried = true;
          use(which === 'itself' ? opened.engine : other);
        },
      });
      using engine = opened.engine;
      await opened.write('nop\nhlt');
      engine.addHook(uc.UC_HOOK_CODE, 1);
      expect(() => engine.run(0n, 1)).toThrow(rule('processorRunning'));
      expect(engine.run(0n, 1)).toBe(0);
    }
  });

  test.each<{ kind: string; source: string; events: Partial<EngineEvents> }>([
    { kind: 'translation', source: 'nop', events: { translate: failure } },
    { kind: 'interrupt', source: 'int3', events: { interrupt: failure } },
    { kind: 'system call', source: 'syscall', events: { systemCall: failure } },
    { kind: 'instruction', source: 'nop', events: { code: failure } },
    { kind: 'block', source: 'nop', events: { block: failure } },
    { kind: 'memory access', source: 'mov dword ptr [rsp], eax', events: { memory: failure } },
  ])('an error comes out of run, and the engine stops: $kind', async ({ source, events }) => {
    const { engine, write } = open('x64', events);
    using _engine = engine;
    await write(`${source}\n${'nop\n'.repeat(50)}hlt`);
    engine.writeRegister('rsp', 0x2000n);
    for (const kind of [uc.UC_HOOK_CODE, uc.UC_HOOK_BLOCK, uc.UC_HOOK_MEM_WRITE]) engine.addHook(kind, 1);
    for (let time = 0; time < 2; time++) {
      expect(() => engine.run(0n, 50)).toThrow(new RangeError('from a callback'));
      expect(engine.begun).toBeLessThanOrEqual(1);
    }
  });

  test.each<{ kind: number; name: keyof EngineEvents }>([
    { kind: uc.UC_HOOK_CODE, name: 'code' },
    { kind: uc.UC_HOOK_BLOCK, name: 'block' },
    { kind: uc.UC_HOOK_MEM_WRITE, name: 'memory' },
  ])('nothing is heard any more after one has failed: $name', async ({ kind, name }) => {
    const callback = vi.fn(failure);
    const { engine, write } = open('x64', { [name]: callback });
    using _engine = engine;
    await write('mov dword ptr [rsp], eax\nhlt');
    engine.writeRegister('rsp', 0x2000n);
    for (const tag of [1, 2]) engine.addHook(kind, tag);
    expect(() => engine.run(0n, 1)).toThrow(new RangeError('from a callback'));
    expect(callback).toHaveBeenCalledTimes(1);
  });
});

/** The source reads memory at rsp, and then does something that could be heard of (a5: movsd). */
test.each<{ next: string; source: string; name: keyof EngineEvents; times: number }>([
  {
    next: 'stores elsewhere',
    source: 'mov rdi, 0x3000\nmov rsi, rsp\n.byte 0xa5',
    name: 'translate',
    times: 2,
  },
  {
    next: 'stores beside it',
    source: 'lea rdi, [rsp + 8]\nmov rsi, rsp\n.byte 0xa5',
    name: 'memory',
    times: 1,
  },
  { next: 'divides by it', source: 'mov ecx, 1\nnop\ndiv dword ptr [rsp]', name: 'interrupt', times: 0 },
])('an instruction of which a memory access has failed is not heard of when it $next', async (row) => {
  const heard = vi.fn();
  const events: Partial<EngineEvents> = {
    translate: (page) => {
      if (row.name === 'translate') heard();
      return page * 8 + EVERYTHING;
    },
    memory: () => {
      if (row.name === 'memory') heard();
      failure();
    },
    interrupt: () => row.name === 'interrupt' && heard(),
  };
  const { engine, write, bytes } = open('x64', events);
  using _engine = engine;
  await write(`${row.source}\nhlt`);
  bytes[0x2000] = row.name === 'interrupt' ? 0 : 1;
  engine.writeRegister('rsp', 0x2000n);
  engine.addHook(uc.UC_HOOK_MEM_READ, 1);
  engine.addHook(uc.UC_HOOK_MEM_WRITE, 1);
  expect(() => engine.run(0n, 3)).toThrow(new RangeError('from a callback'));
  expect(heard).toHaveBeenCalledTimes(row.times);
});

test.each([
  { source: 'syscall', name: 'systemCall', end: 2n },
  { source: 'int3', name: 'interrupt', end: 1n },
] as const)('$source stops the engine behind it', async ({ source, name, end }) => {
  const callback = vi.fn();
  const { engine, write } = open('x64', { [name]: callback });
  using _engine = engine;
  await write(`${source}\n${'nop\n'.repeat(50)}hlt`);
  engine.run(0n, 40);
  expect(engine.readRegister('rip')).toBe(end);
  expect(callback).toHaveBeenCalledTimes(1);
});

test('engines that are forgotten are closed when they are collected, those that were given back are not', async () => {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  const { functions, calls } = heard();
  const handles = { forgotten: 0n, closed: 0n };
  (() => {
    handles.forgotten = open('x64', {}, PAGES * PAGE, functions).engine.handle;
    const { engine } = open('x64', {}, PAGES * PAGE, functions);
    handles.closed = engine.handle;
    engine[Symbol.dispose]();
  })();
  const timesClosed = (handle: bigint) => calls.close.filter(([one]) => one === handle).length;
  for (let turn = 0; turn < 100 && timesClosed(handles.forgotten) === 0; turn++) {
    collect();
    await setImmediate();
  }
  expect([timesClosed(handles.forgotten), timesClosed(handles.closed)]).toEqual([1, 0]);
  expect(calls.contextFree).toHaveLength(calls.close.length);
});

describe('host code', () => {
  test('of a page is forgotten with the page, also after a callback has failed', async () => {
    let failing = false;
    const { engine, write } = open('x64', { block: () => failing && failure() });
    using _engine = engine;
    engine.addHook(uc.UC_HOOK_BLOCK, 1);
    await write('mov eax, 1\nhlt');
    engine.run(0n, 1);
    await write('mov eax, 2\nhlt');
    failing = true;
    expect(() => engine.run(0n, 1)).toThrow(new RangeError('from a callback'));
    failing = false;
    engine.forgetCode(new Set([0]));
    engine.run(0n, 1);
    expect(engine.readRegister('rax')).toBe(2n);
  });
});

test('a context is looked into without the engine moving', () => {
  const { engine } = open('x64');
  using _engine = engine;
  const index = engine.registers.stateNames.indexOf('rbx');
  engine.writeRegister('rbx', 1n);
  const context = engine.saveContext();
  engine.writeRegister('rbx', 2n);
  expect(engine.stateOf(context)[2 * index]).toBe(1n);
  expect(engine.readRegister('rbx')).toBe(2n);
});

test('words that only an ARM64 engine cannot translate are constants to x64', async () => {
  const { engine, write } = open('x64');
  using _engine = engine;
  await write('nop\nnop\nnop\nmov eax, 0x4ed924fd\nhlt');
  engine.run(0n, 4);
  expect(engine.readRegister('rax')).toBe(0x4ed9_24fdn);
});
