import { expect, test } from 'vitest';
import { Machine } from '../../cpu/index.js';

const CODE = 0xfffff800_12340000n;
const STACK = 0xfffff800_20000000n;
const SERVICE = 0xfffff800_30000000n;

test('calls a function, serves a service call, and shows new code to the next call', () => {
  using machine = Machine.create({ architecture: 'x64' });
  const kernel = machine.createPageTable({
    start: 0xfffff800_00000000n,
    end: 0xfffff880_00000000n,
    mode: 'kernel',
    name: 'kernel',
  });
  const space = machine.createAddressSpace('system', [kernel]);
  kernel.commit(CODE, 1, 'PAGE_EXECUTE_READ');
  kernel.commit(STACK, 4, 'PAGE_READWRITE');
  kernel.service(SERVICE, 1);
  const { architecture } = machine;
  const processor = machine.processor(0);
  processor.addressSpace = space;
  const call = (target: bigint) => {
    architecture.prepareCall(processor, { target, arguments: [3n, 4n], stackTop: STACK + 0x4000n });
    return processor.run();
  };

  machine.writeCode(space, CODE, Uint8Array.of(0x48, 0x8d, 0x04, 0x11, 0xc3)); // lea rax, [rcx+rdx]; ret
  expect(call(CODE)).toEqual({ reason: 'returned', instructions: 2 });
  expect(architecture.result(processor)).toBe(7n);

  machine.writeCode(space, CODE, Uint8Array.of(0x48, 0x8d, 0x44, 0x11, 0x01, 0xc3)); // lea rax, [rcx+rdx+1]
  expect(call(CODE)).toEqual({ reason: 'returned', instructions: 2 });
  expect(architecture.result(processor)).toBe(8n);

  expect(call(SERVICE)).toEqual({ reason: 'serviceCall', address: SERVICE, instructions: 0 });
  expect(architecture.argument(processor, 1)).toBe(4n);
  architecture.setResult(processor, 77n);
  architecture.returnFromCall(processor);
  expect(processor.run()).toEqual({ reason: 'returned', instructions: 0 });
  expect(architecture.result(processor)).toBe(77n);
});
