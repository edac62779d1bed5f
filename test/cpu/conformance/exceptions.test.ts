import { describe, expect, test } from 'vitest';
import type { ArchitectureName, Exit } from '../../../cpu/index.js';
import { ARCHITECTURE_NAMES, Guest } from './guest.js';
import type { ExceptionProgram } from './programs.js';

/** `at`: offset of the instruction; `pc`: offset of pc afterwards. */
type Expected = Partial<Exit> & { readonly at?: number; readonly pc: number; readonly instructions: number };

const exception = (name: string, at: number, pc: number, instructions: number, code?: number) =>
  ({ reason: 'exception', name, at, pc, instructions, ...(code === undefined ? {} : { code }) }) as Expected;

const EXPECTED: Readonly<Record<ArchitectureName, Readonly<Record<ExceptionProgram, Expected>>>> = {
  x64: {
    breakpoint: exception('breakpoint', 0, 1, 1),
    fastFail: exception('fastFail', 5, 7, 2, 5),
    assertion: exception('assertion', 0, 2, 1),
    undefined: exception('invalidOpcode', 0, 0, 0),
    systemCall: { reason: 'systemCall', number: 42, via: 'syscall', at: 5, pc: 7, instructions: 2 },
    privileged: exception('generalProtection', 0, 0, 0),
    halt: { reason: 'halted', pc: 1, instructions: 1 },
  },
  arm64: {
    breakpoint: exception('breakpoint', 0, 0, 0, 0xf000),
    fastFail: exception('fastFail', 4, 4, 1, 5),
    assertion: exception('assertion', 0, 0, 0, 0xf001),
    undefined: exception('invalidOpcode', 0, 0, 0),
    systemCall: { reason: 'systemCall', number: 42, via: 'svc', at: 0, pc: 4, instructions: 1 },
    privileged: exception('invalidOpcode', 0, 0, 0),
    halt: { reason: 'halted', pc: 4, instructions: 1 },
  },
  x86: {
    breakpoint: exception('breakpoint', 0, 1, 1),
    fastFail: exception('fastFail', 5, 7, 2, 5),
    assertion: exception('assertion', 0, 2, 1),
    undefined: exception('invalidOpcode', 0, 0, 0),
    systemCall: { reason: 'systemCall', number: 42, via: 'int', at: 5, pc: 7, instructions: 2 },
    privileged: exception('generalProtection', 0, 0, 0),
    halt: exception('generalProtection', 0, 0, 0),
  },
};

const NAMES = Object.keys(EXPECTED.x64) as ExceptionProgram[];
/** Meaningful in user mode only. */
const USER: ReadonlySet<ExceptionProgram> = new Set(['privileged']);

describe.each(ARCHITECTURE_NAMES)('exceptions on %s', (architecture) => {
  test.each(NAMES)('%s, three times in a row', async (name) => {
    using guest = new Guest(architecture);
    const kernelCode = await guest.code(guest.programs.exceptions[name]);
    const { processor, machine } = guest;
    const user = 0x50_0000n;
    let target = kernelCode;
    if (USER.has(name) && architecture !== 'x86') {
      const table = machine.createPageTable({
        start: 0x1_0000n,
        end: 0x8000_0000n,
        mode: 'user',
        name: 'user',
      });
      guest.space.setTables([guest.table, table]);
      table.commit(user, 1, 'PAGE_EXECUTE_READ');
      machine.writeCode(guest.space, user, guest.space.read(kernelCode, 16));
      target = user;
      processor.ring = 3;
    }
    const { at, pc, ...exit } = EXPECTED[architecture][name];
    for (let time = 0; time < 3; time++) {
      guest.prepare(target);
      const actual = processor.run({ instructions: 10 });
      expect(actual).toMatchObject(exit);
      if (at !== undefined) expect(actual).toHaveProperty('instruction', target + BigInt(at));
      expect(processor.pc).toBe(target + BigInt(pc));
    }
  });

  // On ARM64 sdiv by 0 gives 0.
  test.skipIf(architecture === 'arm64')('a divide error can be repaired and restarted', async () => {
    using guest = new Guest(architecture);
    const target = await guest.code('mov eax, 100\nmov edx, 0\nmov ecx, 0\ndiv ecx\nret');
    const { processor } = guest;
    expect(guest.start(target)).toMatchObject({ reason: 'exception', name: 'divideError', instructions: 3 });
    processor.set(architecture === 'x86' ? 'ecx' : 'rcx', 7n);
    expect(processor.run()).toEqual({ reason: 'returned', instructions: 2 });
    expect(guest.architecture.result(processor)).toBe(14n);
  });

  test('go on behind a breakpoint that a debugger steps over', async () => {
    using guest = new Guest(architecture);
    const { exceptions, constant } = guest.programs;
    const target = await guest.code(`${exceptions.breakpoint}\n${constant(7)}`);
    guest.start(target);
    if (architecture === 'arm64') guest.processor.pc += 4n;
    expect(guest.processor.run()).toEqual({ reason: 'returned', instructions: 2 });
    expect(guest.architecture.result(guest.processor)).toBe(7n);
  });
});
