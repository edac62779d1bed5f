import { isExecutable } from '../../../image/index.js';
import type { GuestCall, Thread } from '../../threads/index.js';
import { DISPOSITION, EXCEPTION_UNWINDING } from './codes.js';
import type { GuestExceptionFrame } from './guest-frame.js';
import type { Outcome } from './table-dispatch.js';

/** End of the chain at fs:[0] (EXCEPTION_CHAIN_END). */
export const CHAIN_END = 0xffff_ffff;
const IMAGE_DLLCHARACTERISTICS_NO_SEH = 0x400;

/** The EXCEPTION_REGISTRATION_RECORDs of a 32-bit thread, the newest first; those that cannot be one end the chain. */
export function* registrations(thread: Thread): Generator<{ node: bigint; handler: bigint }> {
  const { memory, stack, teb } = thread;
  if (teb === undefined) return;
  let node = memory.readU32(teb);
  while (node !== CHAIN_END) {
    const address = BigInt(node);
    // RtlDispatchException gives up on a record that is not on the stack, or not aligned.
    if (node % 4 !== 0 || address < stack.limit || address + 8n > stack.end) return;
    const next = memory.readU32(address);
    yield { node: address, handler: BigInt(memory.readU32(address + 4n)) };
    if (next !== CHAIN_END && next <= node) return;
    node = next;
  }
}

/** Calls the handlers that x86 functions have chained at fs:[0], the newest first, until one wants execution to continue. */
export function* dispatchByChain(
  thread: Thread,
  frame: GuestExceptionFrame,
): Generator<GuestCall, Outcome, bigint> {
  for (const { node, handler } of registrations(thread)) {
    if (!isValidHandler(thread, handler)) return 'unhandled';
    const disposition = yield {
      target: handler,
      arguments: [frame.record, node, frame.context, frame.area.dispatcherContext],
    };
    if ((disposition & 0xffff_ffffn) === DISPOSITION.continueExecution) return 'continue';
  }
  return 'unhandled';
}

/**
 * RtlUnwind: lets every handler above `target` clean up and takes it off the chain. The handler at `target` stays.
 * `target` 0 unwinds all.
 */
export function* unwindChain(
  thread: Thread,
  target: bigint,
  record: bigint,
  context: bigint,
  dispatcherContext: bigint,
): Generator<GuestCall, void, bigint> {
  const { memory, teb } = thread;
  if (teb === undefined) return;
  const flags = memory.readU32(record + 4n);
  memory.writeU32(record + 4n, flags | EXCEPTION_UNWINDING);
  for (const { node, handler } of [...registrations(thread)]) {
    if (node === target) return;
    yield { target: handler, arguments: [record, node, context, dispatcherContext] };
    memory.writeU32(teb, memory.readU32(node));
  }
}

/** SafeSEH: an image that lists its handlers has no others, and one marked NO_SEH has none (RtlIsValidHandler). */
export function isValidHandler(thread: Thread, handler: bigint): boolean {
  const loaded = thread.domain.imageAt(handler);
  if (loaded === undefined) {
    const page = thread.addressSpace.query(handler);
    return page.service || page.protection?.startsWith('PAGE_EXECUTE') === true;
  }
  const { image } = loaded;
  const rva = loaded.rva(handler);
  const section = image.sectionAt(rva);
  if (section === undefined || !isExecutable(section)) return false;
  if ((image.optionalHeader.dllCharacteristics & IMAGE_DLLCHARACTERISTICS_NO_SEH) !== 0) return false;
  const { seHandlerTable = 0n, seHandlerCount = 0n } = image.loadConfig ?? {};
  if (seHandlerTable === 0n) return true;
  const table = image.vaToRva(seHandlerTable, 'load config, SEHandlerTable');
  for (let index = 0; index < Number(seHandlerCount); index++)
    if (image.u32At(table + 4 * index, 'SEHandlerTable') === rva) return true;
  return false;
}
