import type { ServiceCall, SimulatedExport } from '../../dispatch/index.js';
import { endThread, type GuestProcedure } from '../../threads/index.js';
import { cdecl } from '../simulated-export.js';
import { invalidParameter } from './state.js';

const CREATE_SUSPENDED = 4;

const end = ({ thread }: ServiceCall, code: number): GuestProcedure => endThread(thread, BigInt(code >>> 0));

/** Threads (process.h). The handle of _beginthread is closed by the thread itself, which programs do not see here. */
export function threadExports(): SimulatedExport[] {
  return [
    cdecl('_beginthread', ['pointer', 'u32', 'pointer'], (call, start, _stack, argument) => {
      if (start === 0n)
        return invalidParameter(call, '_beginthread', BigInt.asUintN(8 * call.pointerSize, -1n));
      return call.process.handles.open(call.process.createThread(start, [argument]));
    }),
    cdecl(
      '_beginthreadex',
      ['pointer', 'u32', 'pointer', 'pointer', 'u32', 'pointer'],
      (call, _security, _stack, start, argument, flags, id) => {
        if (start === 0n || (flags & CREATE_SUSPENDED) !== 0)
          return invalidParameter(call, '_beginthreadex', 0n);
        if (id !== 0n) call.memory.probe(id, 4, 'write');
        const thread = call.process.createThread(start, [argument]);
        if (id !== 0n) call.memory.writeU32(id, thread.id);
        return call.process.handles.open(thread);
      },
    ),
    cdecl('_endthread', [], (call) => end(call, 0)),
    cdecl('_endthreadex', ['u32'], end),
  ];
}
