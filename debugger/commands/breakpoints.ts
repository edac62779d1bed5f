import { isExecutable } from '../../cpu/index.js';
import { insideInstruction } from '../../loader/index.js';
import type { Breakpoint, BreakpointKind } from '../breakpoint.js';
import type { DebugCommand } from '../command.js';
import { DebugError } from '../error.js';
import { evaluate } from '../expression.js';
import { parseSourcePlace } from '../source.js';
import type { View } from '../view.js';
import { symbolsLike } from './symbols.js';

const ACCESS: Readonly<Record<string, BreakpointKind>> = { e: 'execute', w: 'write', r: 'access' };

export const breakpointCommands: readonly DebugCommand[] = [
  {
    name: 'bp',
    aliases: ['bu'],
    usage: 'bp [/1] [/w "EXPRESSION"] ADDRESS ["COMMANDS"]',
    help: 'stop before the instruction at ADDRESS, which may be in a module that is loaded later; `demo.c:42` is a source line; /1: once, /w: where EXPRESSION is not 0; COMMANDS are performed at each hit',
    run: ({ view, args }) => {
      const { place, ...options } = breakpointArguments(args);
      if (place === '') throw new DebugError('bp needs an address, such as demo!dispatch+0x9');
      const address = resolve(place, view);
      view.session.breakpoints.add({ kind: 'execute', expression: place, address, ...options });
      view.session.resolveBreakpoints();
      return address === undefined ? [] : warnings(address, view);
    },
  },
  {
    name: 'bm',
    usage: 'bm [MODULE!]PATTERN ["COMMANDS"]',
    help: 'a breakpoint at each function whose name fits: bm packets!Receive*',
    run: ({ view, args }) => {
      const { place, ...options } = breakpointArguments(args);
      const found = symbolsLike(view, place).filter(({ address }) => isCode(view, address));
      if (found.length === 0) throw new DebugError(`no function fits '${place}'; x searches all symbols`);
      return found.map(({ address, name }) => {
        const { id } = view.session.breakpoints.add({
          kind: 'execute',
          expression: name,
          address,
          ...options,
        });
        return `${id}: ${view.format(address)} ${name}`;
      });
    },
  },
  {
    name: 'ba',
    usage: 'ba e|r|w SIZE ADDRESS ["COMMANDS"]',
    help: 'stop when SIZE bytes are executed, accessed or written, by the guest or by the engine: ba w4 demo!g_counter; with /1 and /w as bp',
    run: ({ view, args }) => {
      const { place, ...options } = breakpointArguments(args);
      const match = /^([erw])\s*(\d+)\s+(.+)$/.exec(place);
      const kind = ACCESS[match?.[1] ?? ''];
      const [, , size = '', expression = ''] = match ?? [];
      if (kind === undefined)
        throw new DebugError('ba needs an access, a size and an address: ba w4 demo!g_counter');
      const address = resolve(expression, view);
      view.session.breakpoints.add({
        kind,
        expression,
        address,
        hardware: true,
        ...options,
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

/** `/1 /w "@rcx == 2" demo!dispatch "k; g"` */
function breakpointArguments(args: string): {
  readonly place: string;
  readonly isOneShot: boolean;
  readonly condition?: string;
  readonly commands?: string;
} {
  let [rest, isOneShot] = [args, false];
  let condition: string | undefined;
  for (;;) {
    const [option = '', once, expression] = /^\/(?:(1)(?:\s+|$)|w\s*"([^"]*)"\s*)/.exec(rest) ?? [];
    if (option === '') break;
    isOneShot ||= once !== undefined;
    condition = expression ?? condition;
    rest = rest.slice(option.length);
  }
  const [, place = '', commands] = /^([^"]*?)\s*(?:"([^"]*)"\s*)?$/.exec(rest) ?? [];
  if (place === '' && rest !== '')
    throw new DebugError(`'${rest}': an address, and commands in one pair of quotes`);
  return {
    place,
    isOneShot,
    ...(condition === undefined ? {} : { condition }),
    ...(commands === undefined ? {} : { commands }),
  };
}

function isCode(view: View, address: bigint): boolean {
  const { protection } = view.space.query(address);
  return protection !== undefined && isExecutable(protection);
}

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
function line(view: View, breakpoint: Breakpoint): string {
  const { id, enabled, kind, size, address, expression, hits, condition, commands, isOneShot } = breakpoint;
  const state = enabled ? 'e' : 'd';
  const access = kind === 'execute' ? '  ' : `${KIND[kind]}${size}`;
  const options = [
    isOneShot ? '  /1' : '',
    condition === undefined ? '' : `  /w "${condition}"`,
    commands === undefined ? '' : `  "${commands}"`,
  ].join('');
  if (address === undefined) return `${id} ${state} ${access} (not loaded yet) ${expression}${options}`;
  return `${id} ${state} ${access} ${view.format(address)}  ${hits} hit(s)  ${view.describe(address)}${options}`;
}
