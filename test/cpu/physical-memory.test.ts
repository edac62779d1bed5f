import { describe, expect, test } from 'vitest';
import { type AllocatorState, PhysicalMemory } from '../../cpu/physical-memory.js';

const PAGE = 0x1000;
const FRAMES = 8;
const READ = 1;
const WRITE = 2;
const EXECUTE = 4;
const rule = (name: string) => expect.objectContaining({ rule: name });

function open() {
  const events: unknown[] = [];
  const memory = new PhysicalMemory(FRAMES * PAGE, {
    beforeHostWrite: (frame) => events.push(['write', frame]),
    frameFreed: (frame) => events.push(['freed', frame]),
    secondLevelChanged: () => events.push('second level'),
  });
  return { memory, events };
}

test.each([0, -PAGE, 1, PAGE - 1, PAGE + 0.5, Number.NaN, Infinity, -Infinity, 2 ** 32 + PAGE, 2 ** 60])(
  '%d bytes of physical memory are refused before the host is asked for them',
  (size) => {
    const { memory } = open();
    const watcher = { beforeHostWrite() {}, frameFreed() {}, secondLevelChanged() {} };
    expect(() => new PhysicalMemory(size, watcher)).toThrow(
      expect.objectContaining({
        rule: 'memorySize',
        status: expect.objectContaining({ name: 'STATUS_INVALID_PARAMETER' }),
      }),
    );
    memory[Symbol.dispose]();
  },
);

describe('a frame', () => {
  test('lives as long as its references', () => {
    const { memory, events } = open();
    using _memory = memory;
    const frame = memory.allocate();
    memory.retain(frame);
    memory.release(frame);
    expect([memory.references(frame), events]).toEqual([1, []]);
    memory.release(frame);
    expect([memory.references(frame), events]).toEqual([0, [['freed', frame]]]);
  });

  test('has at most 65535 references', () => {
    const { memory } = open();
    using _memory = memory;
    const frame = memory.allocate();
    for (let references = 1; references < 0xffff; references++) memory.retain(frame);
    expect(() => memory.retain(frame)).toThrow(rule('frameShared'));
    expect(memory.references(frame)).toBe(0xffff);
  });

  test.each<[string, (memory: PhysicalMemory, frame: number) => unknown]>([
    ['looked at', (memory, frame) => memory.peek(frame)],
    ['written to', (memory, frame) => memory.write(frame, 0, Uint8Array.of(1))],
    ['changed in place', (memory, frame) => memory.bytes(frame)],
    ['shared', (memory, frame) => memory.retain(frame)],
    ['given back again', (memory, frame) => memory.release(frame)],
    [
      'limited',
      (memory, frame) => memory.setSecondLevel(frame, { vtl0: { read: true, write: true, execute: true } }),
    ],
  ])('that has been given back cannot be %s', (_, use) => {
    const { memory, events } = open();
    using _memory = memory;
    const frame = memory.allocate();
    memory.release(frame);
    expect(() => use(memory, frame)).toThrow(rule('frameNotInUse'));
    expect(() => use(memory, FRAMES + 1)).toThrow(rule('frameNotInUse'));
    expect(events).toEqual([['freed', frame]]);
  });

  test.each([
    [-1, 1],
    [PAGE, 1],
    [PAGE - 6, 8],
    [1, PAGE],
  ])('does not take bytes that reach over its ends: at %d, %d bytes', (offset, length) => {
    const { memory, events } = open();
    using _memory = memory;
    const frame = memory.allocate();
    expect(() => memory.write(frame, offset, new Uint8Array(length))).toThrow(rule('pageBounds'));
    expect(events).toEqual([]);
  });

  test.each([
    [0, PAGE],
    [PAGE - 1, 1],
    [PAGE, 0],
  ])('takes bytes up to its end: at %d, %d bytes', (offset, length) => {
    const { memory, events } = open();
    using _memory = memory;
    const frame = memory.allocate();
    memory.write(frame, offset, new Uint8Array(length).fill(7));
    expect(memory.peek(frame).filter((byte) => byte === 7).byteLength).toBe(length);
    expect(events).toEqual([['write', frame]]);
  });

  test.each([
    [{ read: true, write: true, execute: true }, READ | WRITE | EXECUTE],
    [{ read: true, write: false, execute: true }, READ | EXECUTE],
    [{ read: false, write: true, execute: false }, WRITE],
    [{ read: false, write: false, execute: false }, 0],
  ])('whose second level allows %j has exactly these permissions', (vtl0, permissions) => {
    const { memory, events } = open();
    using _memory = memory;
    const frame = memory.allocate();
    expect(memory.secondLevel(frame)).toBe(READ | WRITE | EXECUTE);
    memory.setSecondLevel(frame, { vtl0 });
    expect(memory.secondLevel(frame)).toBe(permissions);
    expect(events).toEqual(['second level']);
    memory.release(frame);
    expect(memory.allocate()).toBe(frame);
    expect(memory.secondLevel(frame)).toBe(READ | WRITE | EXECUTE);
  });
});

test.each<[string, (memory: PhysicalMemory, frame: number) => unknown]>([
  ['written', (memory, frame) => memory.write(frame, 0, Uint8Array.of(1))],
  ['written in place', (memory, frame) => memory.bytes(frame)],
  ['a copy', (memory, frame) => memory.copy(0, frame)],
  [
    'handed out again, hence zeroed',
    (memory, frame) => {
      memory.release(frame);
      memory.allocate();
    },
  ],
])('a frame that was %s is dirty, once, until that has been taken note of', (_, change) => {
  const { memory } = open();
  using _memory = memory;
  const frames = [memory.allocate(), memory.allocate()];
  const frame = frames[1] ?? 0;
  expect(memory.takeDirty()).toEqual([]);
  for (let round = 0; round < 2; round++) {
    change(memory, frame);
    change(memory, frame);
    expect(memory.takeDirty()).toEqual([frame]);
    expect(memory.takeDirty()).toEqual([]);
  }
});

describe('the state of the allocator', () => {
  const stateOf = (memory: PhysicalMemory) => ({
    references: Array.from({ length: FRAMES }, (_, frame) => memory.references(frame)),
    saved: Array.from({ length: FRAMES }, (_, frame) => memory.saveAllocator().references[frame] ?? 0),
    inUse: memory.framesInUse,
  });

  test.each<[string, (memory: PhysicalMemory, used: number) => unknown]>([
    ['nothing', () => {}],
    ['a frame was handed out', (memory) => memory.allocate()],
    ['a frame was shared', (memory, used) => memory.retain(used)],
    ['a frame was given back', (memory, used) => memory.release(used)],
    [
      'all frames were handed out',
      (memory) => {
        while (memory.framesInUse < FRAMES) memory.allocate();
      },
    ],
  ])('comes back after: %s', (_, change) => {
    const { memory } = open();
    using _memory = memory;
    const [used, freed] = [memory.allocate(), memory.allocate()];
    memory.release(freed);
    const saved = memory.saveAllocator();
    const before = stateOf(memory);
    change(memory, used);
    stateOf(memory);
    memory.loadAllocator(saved);
    expect(stateOf(memory)).toEqual(before);

    const handedOut = Array.from({ length: FRAMES - 1 }, () => memory.allocate());
    expect(handedOut[0]).toBe(freed);
    expect(new Set([used, ...handedOut]).size).toBe(FRAMES);
    expect(() => memory.allocate()).toThrow(rule('noMemory'));
  });

  test.each<[string, (memory: PhysicalMemory, frame: number) => unknown]>([
    ['a frame is handed out', (memory) => memory.allocate()],
    ['a frame is shared', (memory, frame) => memory.retain(frame)],
    ['a frame is given back', (memory, frame) => memory.release(frame)],
    [
      'a frame is limited',
      (memory, frame) => memory.setSecondLevel(frame, { vtl0: { read: true, write: false, execute: false } }),
    ],
  ])('is the same object until %s', (_, change) => {
    const { memory } = open();
    using _memory = memory;
    const frame = memory.allocate();
    const saved: AllocatorState = memory.saveAllocator();
    memory.loadAllocator(saved);
    expect(memory.saveAllocator()).toBe(saved);
    change(memory, frame);
    expect(memory.saveAllocator()).not.toEqual(saved);
  });
});

test('memory that has been disposed of has no frames, however often it is disposed of', () => {
  const { memory } = open();
  const frame = memory.allocate();
  memory[Symbol.dispose]();
  memory[Symbol.dispose]();
  expect(() => memory.peek(frame)).toThrow(rule('machineDisposed'));
  expect(() => memory.allocate()).toThrow(rule('machineDisposed'));
});
