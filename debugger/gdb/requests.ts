import { visibleText } from '../../image/index.js';
import type { BreakpointKind } from '../breakpoint.js';
import { trace } from '../commands/execution.js';
import { store } from '../commands/memory.js';
import type { Goal } from '../stop.js';
import { View } from '../view.js';
import { document, threadText } from './documents.js';
import type { HostFiles } from './host-files.js';
import { monitor } from './monitor.js';
import { fromHex, toHex } from './packets.js';
import { readRegister, readRegisters, writeRegister, writeRegisters } from './registers.js';
import { stopReply } from './stop-reply.js';

/** What a packet leads to: an answer, or the run going on (and the answer when it stops). */
export interface Answer {
  readonly reply?: string;
  readonly goal?: Goal;
  readonly detach?: boolean;
}

/** What requests remember between packets. */
export interface RequestState {
  readonly files: HostFiles;
  /** Thread that registers and memory are asked of. */
  selected: number | undefined;
}

interface Request {
  readonly pattern: RegExp;
  answer(match: readonly string[], view: View, state: RequestState): Answer;
}

const OK: Answer = { reply: 'OK' };
const BAD_THREAD: Answer = { reply: 'E.there is no such thread' };
const number = (hex: string | undefined): number => Number.parseInt(hex ?? '', 16);
const address = (hex: string | undefined): bigint => BigInt(`0x${hex || '0'}`);

const FEATURES = [
  'PacketSize=4000',
  'QStartNoAckMode+',
  'qXfer:features:read+',
  'qXfer:exec-file:read+',
  'qXfer:libraries:read+',
  'qXfer:memory-map:read+',
  'qXfer:threads:read+',
  'vContSupported+',
  'swbreak+',
  'hwbreak+',
  'ReverseStep+',
  'ReverseContinue+',
].join(';');

/** Kinds of the Z packets. */
const KINDS: Readonly<Record<string, { readonly kind: BreakpointKind; readonly hardware: boolean }>> = {
  '0': { kind: 'execute', hardware: false },
  '1': { kind: 'execute', hardware: true },
  '2': { kind: 'write', hardware: true },
  '3': { kind: 'access', hardware: true },
  '4': { kind: 'access', hardware: true },
};

/** The packets of "Packets" and "General Query Packets" in GDB's manual that a lab answers. */
const REQUESTS: readonly Request[] = [
  { pattern: /^qSupported/, answer: () => ({ reply: FEATURES }) },
  { pattern: /^\?$/, answer: (_, view) => ({ reply: stopReply(view, { kind: 'step' }) }) },
  { pattern: /^qC$/, answer: (_, { thread }) => ({ reply: `QC${thread.id.toString(16)}` }) },
  { pattern: /^qAttached/, answer: () => ({ reply: '1' }) },
  { pattern: /^qSymbol::$/, answer: () => OK },
  { pattern: /^H([gc])(-?[\da-f]+)$/, answer: selectThread },
  {
    pattern: /^T([\da-f]+)$/,
    answer: ([, id], view) =>
      view.kernel.threads.some((thread) => thread.id === number(id)) ? OK : BAD_THREAD,
  },
  {
    pattern: /^qfThreadInfo$/,
    answer: (_, view) => ({ reply: `m${view.kernel.threads.map(({ id }) => id.toString(16)).join(',')}` }),
  },
  { pattern: /^qsThreadInfo$/, answer: () => ({ reply: 'l' }) },
  {
    pattern: /^qThreadExtraInfo,([\da-f]+)$/,
    answer: ([, id], view) => {
      const thread = view.kernel.threads.find((candidate) => candidate.id === number(id));
      return thread === undefined ? BAD_THREAD : { reply: toHex(threadText(view, thread)) };
    },
  },
  { pattern: /^g$/, answer: (_, view) => ({ reply: readRegisters(view) }) },
  { pattern: /^G(.+)$/, answer: ([, hex = ''], view) => done(writeRegisters(view, hex)) },
  {
    pattern: /^p([\da-f]+)$/,
    answer: ([, index], view) => ({ reply: readRegister(view, number(index)) ?? 'E00' }),
  },
  {
    pattern: /^P([\da-f]+)=(.+)$/,
    answer: ([, index, hex = ''], view) => done(writeRegister(view, number(index), hex)),
  },
  {
    pattern: /^m([\da-f]+),([\da-f]+)$/,
    answer: ([, at, length], view) => {
      const bytes = readMemory(view, address(at), number(length));
      return { reply: bytes.length === 0 ? 'E14' : Buffer.from(bytes).toString('hex') };
    },
  },
  {
    pattern: /^M([\da-f]+),[\da-f]+:(.*)$/,
    answer: ([, at, hex = ''], view) => write(view, address(at), Buffer.from(hex, 'hex')),
  },
  {
    pattern: /^X([\da-f]+),[\da-f]+:(.*)$/s,
    answer: ([, at, data = ''], view) => write(view, address(at), Buffer.from(data, 'latin1')),
  },
  { pattern: /^Z([0-4]),([\da-f]+),([\da-f]+)/, answer: insertBreakpoint },
  { pattern: /^z([0-4]),([\da-f]+),([\da-f]+)/, answer: removeBreakpoint },
  { pattern: /^vCont\?$/, answer: () => ({ reply: 'vCont;c;C;s;S;r' }) },
  { pattern: /^vCont;(.+)$/, answer: ([, actions = ''], view) => ({ goal: resume(actions, view) }) },
  { pattern: /^c$|^C/, answer: () => ({ goal: { kind: 'go' } }) },
  { pattern: /^s$|^S/, answer: (_, view) => ({ goal: trace(view) }) },
  {
    pattern: /^qXfer:(\w[\w-]*):read:([^:]*):([\da-f]+),([\da-f]+)$/,
    answer: ([, object = '', annex = '', offset, length], view) =>
      slice(document(object, annex, view), number(offset), number(length)),
  },
  {
    pattern: /^vFile:.*/s,
    answer: ([packet = ''], view, { files }) => ({ reply: files.answer(packet, view) }),
  },
  { pattern: /^qRcmd,([\da-f]*)$/, answer: ([, hex = ''], view) => runMonitor(hex, view) },
  { pattern: /^D/, answer: () => ({ reply: 'OK', detach: true }) },
  { pattern: /^vKill/, answer: () => ({ reply: 'OK', goal: { kind: 'quit' } }) },
  { pattern: /^k$/, answer: () => ({ goal: { kind: 'quit' } }) },
];

/** The empty answer says that a packet is not known. */
export function answerPacket(packet: string, view: View, state: RequestState): Answer {
  for (const { pattern, answer } of REQUESTS) {
    const match = pattern.exec(packet);
    if (match !== null) return answer([...match], view, state);
  }
  return { reply: '' };
}

/** Where threads return to there is nothing; GDB unwinds on ARM64 only through code that it can read. */
function readMemory(view: View, at: bigint, length: number): Uint8Array {
  const { returnAddress, breakpoint } = view.architecture;
  return at === returnAddress ? breakpoint : view.readUpTo(at, length);
}

function done(isDone: boolean): Answer {
  return isDone ? OK : { reply: 'E.this register cannot be changed now' };
}

function selectThread([, , id = '']: readonly string[], view: View, state: RequestState): Answer {
  if (id === '0' || id === '-1') return OK;
  if (!view.kernel.threads.some((thread) => thread.id === number(id))) return BAD_THREAD;
  state.selected = number(id);
  return OK;
}

function write(view: View, at: bigint, bytes: Uint8Array): Answer {
  if (bytes.length === 0) return OK;
  view.read(at, bytes.length);
  view.session.act((lab, thread) => store(lab.kernel, thread, at, bytes), view.thread);
  return OK;
}

function insertBreakpoint([, type = '', at, size]: readonly string[], view: View): Answer {
  const how = KINDS[type];
  if (how === undefined) return { reply: '' };
  const isExecution = how.kind === 'execute';
  view.session.breakpoints.add({
    ...how,
    expression: view.describe(address(at)),
    address: address(at),
    size: isExecution ? 1 : number(size),
  });
  return OK;
}

function removeBreakpoint([, type = '', at, size]: readonly string[], view: View): Answer {
  const how = KINDS[type];
  const { breakpoints } = view.session;
  const breakpoint = breakpoints.all.find(
    (candidate) =>
      candidate.kind === how?.kind &&
      candidate.hardware === how.hardware &&
      candidate.address === address(at) &&
      (candidate.kind === 'execute' || candidate.size === number(size)),
  );
  if (breakpoint !== undefined) breakpoints.remove(breakpoint);
  return OK;
}

/** A step of one thread while all run is what this machine can do; so a step decides over what the others were told. */
function resume(actions: string, view: View): Goal {
  for (const action of actions.split(';')) {
    const [what = '', id] = action.split(':');
    if (!/^[sSr]/.test(what)) continue;
    const thread =
      id === undefined ? view.thread : view.kernel.threads.find((each) => each.id === number(id));
    if (thread !== undefined) return trace(new View(view.session, view.stop, thread, view.disassembler));
  }
  return { kind: 'go' };
}

function slice(text: string | undefined, offset: number, length: number): Answer {
  if (text === undefined) return { reply: 'E00' };
  const bytes = Buffer.from(text).toString('latin1');
  const part = bytes.slice(offset, offset + length);
  return { reply: `${offset + part.length < bytes.length ? 'm' : 'l'}${part}` };
}

function runMonitor(hex: string, view: View): Answer {
  const events: string[] = [];
  using _ = view.kernel.events.on(({ text }) => events.push(`${text}\n`));
  const shown = monitor(Buffer.from(fromHex(hex), 'latin1').toString(), view);
  return { reply: toHex(Buffer.from(visibleText(events.join('') + shown)).toString('latin1')) || 'OK' };
}
