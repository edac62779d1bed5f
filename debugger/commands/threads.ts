import type { Thread } from '../../loader/index.js';
import type { CommandContext, CommandResult, DebugCommand } from '../command.js';
import { DebugError } from '../error.js';
import { evaluate } from '../expression.js';
import { locationLines } from '../listing.js';
import { placeSuffix } from '../source-lines.js';
import { View } from '../view.js';

/** wdm.h, where they have names. */
const IRQLS: Readonly<Record<number, string>> = {
  0: 'PASSIVE_LEVEL',
  1: 'APC_LEVEL',
  2: 'DISPATCH_LEVEL',
  13: 'CLOCK_LEVEL',
  15: 'HIGH_LEVEL',
};

export const threadCommands: readonly DebugCommand[] = [
  {
    name: 'k',
    usage: 'k',
    help: 'call stack, through base and patch images',
    run: ({ view }) => [
      `${'Child-SP'.padEnd(view.format(0n).length)} ${'RetAddr'.padEnd(view.format(0n).length)} Call Site`,
      ...stackLines(view),
    ],
  },
  {
    name: 'r',
    usage: 'r [REGISTER[=VALUE]]',
    help: 'show registers, or change one',
    run: registers,
  },
  {
    name: '~',
    usage: '~ | ~NUMBERs | ~*k',
    help: 'list the threads; ~8s: make thread 8 the current one; ~*k: the stack of each',
    run: (context) => {
      const { view, args } = context;
      const { threads } = view.kernel;
      if (args === '') return threads.map((thread) => threadLine(view, thread));
      if (/^\*\s*k$/.test(args))
        return threads.flatMap((thread) => [threadLine(view, thread), ...stackOf(view, thread)]);
      const match = /^(\d+)\s*s$/.exec(args);
      const thread = view.kernel.threads.find(({ id }) => id === Number(match?.[1]));
      if (thread === undefined)
        throw new DebugError(`'~${args}': there is no such thread; ~ lists them, ~8s selects one`);
      const other = new View(view.session, view.stop, thread, view.disassembler);
      context.select(other);
      return locationLines(other);
    },
  },
  {
    name: '!thread',
    usage: '!thread [NUMBER]',
    help: 'a thread: state, processor, IRQL, stack, what it waits for',
    run: ({ view, args }) => threadDetails(view, args),
  },
  {
    name: '!process',
    usage: '!process',
    help: 'the processes with their sessions, modules and threads',
    run: ({ view }) =>
      view.kernel.processes.flatMap(
        ({ id, name, session, wow64, minimal, images, threads, addressSpace }) => [
          `PROCESS ${name}  Cid: ${id}${session === undefined ? '' : `  SessionId: ${session.id}`}${wow64 ? '  WOW64' : ''}${minimal ? '  minimal' : ''}`,
          `    address space ${addressSpace.name}: ${addressSpace.tables.map((table) => table.name).join(', ')}`,
          ...(images.length === 0
            ? []
            : [`    modules: ${images.map((image) => image.baseDllName).join(', ')}`]),
          ...threads.map((thread) => `    THREAD ${thread.id}  ${thread.name}  ${thread.state}`),
        ],
      ),
  },
  {
    name: '!irql',
    usage: '!irql',
    help: 'the IRQL of this thread',
    run: ({ view }) => {
      const { irql } = view.thread;
      return [
        `Debugger saved IRQL for processor ${view.thread.processor?.index ?? '-'} -- ${irql} (${IRQLS[irql] ?? 'DIRQL'})`,
      ];
    },
  },
  {
    name: '!pte',
    usage: '!pte ADDRESS',
    help: 'how a page is mapped: protection, physical page, copy-on-write',
    run: ({ view, args }) => pageLines(view, args === '' ? view.pc : evaluate(args, view)),
  },
];

function stackOf(view: View, thread: Thread): string[] {
  return stackLines(new View(view.session, view.stop, thread, view.disassembler)).map(
    (text) => `    ${text}`,
  );
}

export function stackLines(view: View): string[] {
  const frames = view.stack();
  return frames.map(({ pc, sp, text }, index) => {
    const caller = frames[index + 1]?.pc ?? view.architecture.returnAddress;
    // A frame that is in a call stands behind it: the line is that of the call.
    const code = index === 0 ? pc : pc - 1n;
    return `${view.format(sp)} ${view.format(caller)} ${text}${placeSuffix(view, code)}`;
  });
}

function threadLine(view: View, thread: Thread): string {
  const mark = thread === view.thread ? '.' : ' ';
  const where = thread.processor === undefined ? thread.state : `on processor ${thread.processor.index}`;
  return `${mark} ${thread.id}  ${thread.name.padEnd(8)} ${where.padEnd(14)} ${thread.describe(thread.pc)}`;
}

function threadDetails(view: View, args: string): string[] {
  const thread = args === '' ? view.thread : view.kernel.threads.find(({ id }) => id === Number(args));
  if (thread === undefined) throw new DebugError(`there is no thread ${args}; ~ lists them`);
  const { base, size } = thread.stack;
  return [
    `THREAD ${thread.id}  ${thread.name}  ${thread.state}${thread.processor === undefined ? '' : ` on processor ${thread.processor.index}`}`,
    `    process ${thread.process.name} (${thread.process.id}), IRQL ${thread.irql}, ${view.run.executed(thread)} instruction(s) executed`,
    `    start   ${thread.describe(thread.startAddress)}`,
    `    stack   ${view.format(base)} to ${view.format(base + BigInt(size))}, stack pointer ${view.format(thread.sp)}`,
    ...(thread.teb === undefined ? [] : [`    TEB     ${view.format(thread.teb)}`]),
    ...(thread.wait === undefined ? [] : [`    waits for ${thread.wait.reason}`]),
    ...(thread.crash === undefined ? [] : [`    ${thread.crash.text}`]),
  ];
}

function registers({ view, args }: CommandContext): CommandResult {
  const match = /^@?(\w+)(?:\s*=\s*(.+))?$/.exec(args);
  if (match === null) return [...registerLines(view), ...locationLines(view)];
  const [, name = '', value] = match;
  if (view.register(name) === undefined) throw new DebugError(`there is no register '${name}'`);
  if (value === undefined) return [`${name}=${hexRegister(view, name)}`];
  if (view.thread.processor === undefined)
    throw new DebugError(
      `thread ${view.thread.id} is on no processor; only the registers of one that is can be changed`,
    );
  const number = evaluate(value, view);
  view.session.act((_lab, thread) => thread.processor?.set(name, number), view.thread);
  return [];
}

/** As many registers in a line as fit in 80 characters. */
function registerLines(view: View): string[] {
  const cells = view.architecture.registers.map((name) => `${name.padStart(3)}=${hexRegister(view, name)}`);
  const perLine = Math.floor(80 / ((cells[0]?.length ?? 20) + 1));
  return Array.from({ length: Math.ceil(cells.length / perLine) }, (_, row) =>
    cells.slice(row * perLine, (row + 1) * perLine).join(' '),
  );
}

function hexRegister(view: View, name: string): string {
  const width = /flags|nzcv/.test(name) ? 8 : view.pointerSize * 2;
  return (view.register(name) ?? 0n).toString(16).padStart(width, '0');
}

function pageLines(view: View, address: bigint): string[] {
  const { state, protection, frame, copyOnWrite, guard, service } = view.space.query(address);
  const table = view.space.tableOfPage(Number(address >> 12n))?.name ?? 'no page table';
  const flags = [copyOnWrite && 'copy-on-write', guard && 'guard', service && 'simulated exports'].filter(
    Boolean,
  );
  const page = frame === undefined ? '' : `, physical page ${frame.toString(16)}`;
  return [
    `VA ${view.format(address)}  ${view.describe(address)}`,
    `    ${table}: ${state}${protection === undefined ? '' : `, ${protection}`}${page}${flags.length === 0 ? '' : `, ${flags.join(', ')}`}`,
  ];
}
