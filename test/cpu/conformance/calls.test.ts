import { describe, expect, test } from 'vitest';
import { ARCHITECTURE_NAMES, Guest } from './guest.js';

describe.each(ARCHITECTURE_NAMES)('calls on %s', (architecture) => {
  test.each([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 11])('pass %i integers in order', async (count) => {
    using guest = new Guest(architecture);
    const args = Array.from({ length: count }, (_, index) => BigInt(index * index + 1));
    const expected = args.reduce((total, argument) => total * 3n + argument, 0n);
    expect(guest.call(await guest.code(guest.programs.fold(count)), args)).toBe(expected);
  });

  test('pass doubles and return one', async () => {
    using guest = new Guest(architecture);
    guest.call(await guest.code(guest.programs.multiplyAdd), [
      { double: 1.5 },
      { double: -4 },
      { double: 0.25 },
    ]);
    expect(guest.architecture.floatResult(guest.processor)).toBe(-5.75);
  });

  test('pass singles and return one', async () => {
    using guest = new Guest(architecture);
    guest.call(await guest.code(guest.programs.subtractSingles), [{ float: 2.5 }, { float: 0.75 }]);
    expect(guest.architecture.floatResult(guest.processor, 'single')).toBe(1.75);
  });

  test('recurse', async () => {
    using guest = new Guest(architecture);
    expect(guest.call(await guest.code(guest.programs.fibonacci), [15n])).toBe(610n);
  });

  test('end in a service page, whose handler reads arguments, answers and returns', async () => {
    using guest = new Guest(architecture);
    const service = guest.base + 0x8_0000n;
    guest.table.service(service, 1);
    const { architecture: convention, processor } = guest;
    const args = Array.from({ length: 10 }, (_, index) => BigInt(100 + index));
    guest.prepare(service + 0x10n, args);
    expect(processor.run()).toEqual({ reason: 'serviceCall', address: service + 0x10n, instructions: 0 });
    expect(args.map((_, index) => convention.argument(processor, index))).toEqual(args);
    expect(convention.returnAddressAtEntry(processor)).toBe(convention.returnAddress);
    convention.setResult(processor, 99n);
    convention.returnFromCall(processor);
    expect(processor.run()).toEqual({ reason: 'returned', instructions: 0 });
    expect(convention.result(processor)).toBe(99n);
  });

  test('give a service floating-point arguments and take its result', async () => {
    using guest = new Guest(architecture);
    const service = guest.base + 0x8_0000n;
    guest.table.service(service, 1);
    const { architecture: convention, processor } = guest;
    guest.prepare(service, [{ double: 6.25 }]);
    processor.run();
    expect(convention.floatArgument(processor, 0)).toBe(6.25);
    convention.setFloatResult(processor, -0.5);
    convention.returnFromCall(processor);
    processor.run();
    expect(convention.floatResult(processor)).toBe(-0.5);
  });
});
