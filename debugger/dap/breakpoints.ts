import * as v from 'valibot';
import type { Breakpoint, NewBreakpoint } from '../breakpoint.js';
import { evaluate } from '../expression.js';
import { addressOf, type DapContext, type DapHandler, handler, referenceTo } from './handler.js';

const condition = { condition: v.optional(v.string()) };

export const breakpointRequests: Readonly<Record<string, DapHandler>> = {
  setBreakpoints: handler(
    v.object({
      source: v.object({ path: v.optional(v.string()), name: v.optional(v.string()) }),
      breakpoints: v.optional(v.array(v.object({ line: v.number(), ...condition }))),
    }),
    ({ source, breakpoints = [] }, context) => {
      const file = source.path ?? source.name ?? '';
      const wanted = breakpoints.map(({ line, condition }) => execute(`\`${file}:${line}\``, condition));
      return answer(context, `source ${file}`, wanted);
    },
  ),
  setFunctionBreakpoints: handler(
    v.object({ breakpoints: v.array(v.object({ name: v.string(), ...condition })) }),
    ({ breakpoints }, context) =>
      answer(
        context,
        'function',
        breakpoints.map(({ name, condition }) => execute(name, condition)),
      ),
  ),
  setInstructionBreakpoints: handler(
    v.object({
      breakpoints: v.array(
        v.object({ instructionReference: v.string(), offset: v.optional(v.number()), ...condition }),
      ),
    }),
    ({ breakpoints }, context) =>
      answer(
        context,
        'instruction',
        breakpoints.map(({ instructionReference, offset, condition }) => {
          const address = addressOf(instructionReference, offset);
          return { ...execute(referenceTo(address), condition), address };
        }),
      ),
  ),
  dataBreakpointInfo: handler(
    v.object({
      name: v.string(),
      variablesReference: v.optional(v.number()),
      frameId: v.optional(v.number()),
      asAddress: v.optional(v.boolean()),
      bytes: v.optional(v.number()),
    }),
    ({ name, variablesReference, frameId, bytes }, { scope }) => {
      const view = scope.viewOf(frameId);
      const variable =
        variablesReference === undefined
          ? undefined
          : scope.variables(variablesReference).find((each) => each.name === name);
      const reference = variable?.memoryReference;
      const address = reference === undefined ? evaluate(name, view) : addressOf(reference);
      const size = bytes ?? view.pointerSize;
      return {
        body: {
          dataId: `${referenceTo(address)}:${size}`,
          description: `${size} bytes at ${view.describe(address)}`,
          accessTypes: ['write', 'readWrite'],
        },
      };
    },
  ),
  setDataBreakpoints: handler(
    v.object({
      breakpoints: v.array(
        v.object({ dataId: v.string(), accessType: v.optional(v.string()), ...condition }),
      ),
    }),
    ({ breakpoints }, context) =>
      answer(
        context,
        'data',
        breakpoints.map(({ dataId, accessType, condition }): NewBreakpoint => {
          const [reference = '', size = '8'] = dataId.split(':');
          return {
            kind: accessType === 'write' || accessType === undefined ? 'write' : 'access',
            expression: dataId,
            address: addressOf(reference),
            size: Number(size),
            hardware: true,
            condition,
          };
        }),
      ),
  ),
  setExceptionBreakpoints: () => ({ body: { breakpoints: [] } }),
};

function execute(expression: string, condition: string | undefined): NewBreakpoint {
  return { kind: 'execute', expression, address: undefined, condition };
}

/** Each request names all breakpoints of its kind: those of before go. */
function answer(context: DapContext, key: string, wanted: readonly NewBreakpoint[]) {
  const { session, breakpoints } = context;
  for (const old of breakpoints.get(key) ?? []) session.breakpoints.remove(old);
  const added = wanted.map((each) => session.breakpoints.add(each));
  breakpoints.set(key, added);
  session.resolveBreakpoints();
  return { body: { breakpoints: added.map((breakpoint) => describe(context, breakpoint)) } };
}

function describe({ scope }: DapContext, { id, address, expression }: Breakpoint): object {
  if (address === undefined)
    return { id, verified: false, message: `no loaded module has ${expression} yet`, reason: 'pending' };
  const image = scope.view.imageAt(address);
  const line = image?.symbols.lines?.framesAt(image.rva(address))[0]?.line;
  return {
    id,
    verified: true,
    instructionReference: referenceTo(address),
    ...(line === undefined || !expression.startsWith('`') ? {} : { line }),
  };
}
