import { insideInstruction } from '../../loader/index.js';
import type { Breakpoint, BreakpointKind } from '../breakpoint.js';
import type { DebugCommand } from '../command.js';
import { DebugError } from '../error.js';
import { evaluate } from '../expression.js';
import { parseSourcePlace } from '../source.js';
import type { View } from '../view.js';

const ACCESS: Readonly<Record<string, BreakpointKind>> = { e: 'execute', w: 'write', r: 'access' };

export const breakpointCommands: readonly DebugCommand[] = [
  {
    name: 'bp',
    aliases: ['bu'],
    usage: 'bp ADDRESS',
    help: 'stop before the instruction at ADDRESS, which may be in a module that is loaded later; `demo.c:42` is a source line',
    run: ({ view, args }) => {
      if (args === '') throw new DebugError('bp needs an address, such as demo!dispatch+0x9');
      const address = resolve(args, view);
      view.session.breakpoints.add({ kind: 'execute', expression: args, address });
      view.session.resolveBreakpoints();
      return address === undefined ? [] : warnings(address, view);
    },
  },
  {
    name: 'ba',
    usage: 'ba e|r|w SIZE ADDRESS',
    help: 'stop when SIZE bytes are executed, accessed or written: ba w4 demo!g_counter',
    run: ({ view, args }) => {
      const match = /^([erw])\s*(\d+)\s+(.+)$/.exec(args);
      const kind = ACCESS[match?.[1] ?? ''];
      const [, , size = '', expression = ''] = match ?? [];
      if (kind === undefined)
        throw new DebugError('ba needs an access, a size and an address: ba w4 demo!g_counter');
      const address = evaluate(expression, view);
      view.session.breakpoints.add({
        kind,
        expression,
        address,
        hardware: true,
        ...(kind === 'execute' ? {} : { size: Number(size) }),
      });
      return [];
    },
  },
  {
    name: 'bl',
    usage: 'bl',
    help: 'list the breakpoints',
    run: ({ view }) => view.session.breakpoints.all.map((breakpoint) => line(view, breakpoint)),
  },
  {
    name: 'bc',
    usage: 'bc NUMBER…|*',
    help: 'clear breakpoints',
    run: (context) => forEach(context, (breakpoint, view) => view.session.breakpoints.remove(breakpoint)),
  },
  {
    name: 'bd',
    usage: 'bd NUMBER…|*',
    help: 'disable breakpoints',
    run: (context) => forEach(context, (breakpoint) => setEnabled(breakpoint, false)),
  },
  {
    name: 'be',
    usage: 'be NUMBER…|*',
    help: 'enable breakpoints',
    run: (context) => forEach(context, (breakpoint) => setEnabled(breakpoint, true)),
  },
];

/** Code may jump there all the same: it is a warning. */
function warnings(address: bigint, view: View): string[] {
  const image = view.imageAt(address);
  const inside = image === undefined ? undefined : insideInstruction(image, address);
  return inside === undefined ? [] : [`warning: ${view.describe(address)} lies ${inside}`];
}

/** Undefined for a symbol that is not there yet; everything else that is wrong is said. */
function resolve(expression: string, view: View): bigint | undefined {
  try {
    return evaluate(expression, view);
  } catch (error) {
    const [module] = expression.split('!');
    const isSource = parseSourcePlace(expression) !== undefined;
    if (error instanceof DebugError && isSource) return undefined;
    const isLater = expression.includes('!') && !view.images.some((image) => image.moduleName === module);
    if (error instanceof DebugError && isLater) return undefined;
    throw error;
  }
}

function setEnabled(breakpoint: Breakpoint, enabled: boolean): void {
  breakpoint.enabled = enabled;
}

function forEach(
  { view, args }: { readonly view: View; readonly args: string },
  action: (breakpoint: Breakpoint, view: View) => void,
): readonly string[] {
  const { breakpoints } = view.session;
  const wanted =
    args === '*'
      ? [...breakpoints.all]
      : args.split(/[\s,]+/).map((id) => breakpoints.get(Number(id || Number.NaN)));
  for (const breakpoint of wanted) action(breakpoint, view);
  return [];
}

const KIND: Readonly<Record<BreakpointKind, string>> = { execute: 'e', write: 'w', access: 'r' };

/** ` 0 e fffff800``100010a0 1  demo!dispatch` */
function line(view: View, { id, enabled, kind, size, address, expression, hits }: Breakpoint): string {
  const state = enabled ? 'e' : 'd';
  const access = kind === 'execute' ? '  ' : `${KIND[kind]}${size}`;
  if (address === undefined) return `${id} ${state} ${access} (not loaded yet) ${expression}`;
  return `${id} ${state} ${access} ${view.format(address)}  ${hits} hit(s)  ${view.describe(address)}`;
}
