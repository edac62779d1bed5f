import * as v from 'valibot';
import type { Breakpoint } from '../breakpoint.js';
import type { LiveCall, LiveMachine } from '../live-machine.js';
import type { DebugSession } from '../session.js';
import type { Goal } from '../stop.js';
import type { StopScope } from './scope.js';

/** What a request is answered with; `goal`: what is to happen next. */
export interface DapAnswer {
  readonly body?: unknown;
  readonly goal?: Goal;
  /** Between two calls of a live machine: the next one. */
  readonly call?: LiveCall;
  /** The machine was changed: what the client shows is old. */
  readonly isChanged?: boolean;
}

export interface DapContext {
  readonly scope: StopScope;
  readonly session: DebugSession;
  readonly arguments: unknown;
  /** What each `set…Breakpoints` request has set, by the request and what it is about. */
  readonly breakpoints: Map<string, readonly Breakpoint[]>;
  /** What is debugged, if it is a machine that is asked for its calls. */
  readonly live: LiveMachine | undefined;
  /** It has done all that it was asked for: no thread runs. */
  readonly isIdle: boolean;
}

export type DapHandler = (context: DapContext) => DapAnswer;

/** A handler whose arguments are checked first. */
export function handler<Schema extends v.GenericSchema>(
  schema: Schema,
  handle: (args: v.InferOutput<Schema>, context: DapContext) => DapAnswer,
): DapHandler {
  return (context) => handle(v.parse(schema, context.arguments), context);
}

const HEXADECIMAL = /^(?:0x)?[\da-f]+$/i;

/** A `memoryReference` or `instructionReference`: an address as text. */
export function addressOf(reference: string, offset = 0): bigint {
  if (!HEXADECIMAL.test(reference)) throw new Error(`'${reference}' is no address`);
  return BigInt.asUintN(
    64,
    BigInt(reference.startsWith('0x') ? reference : `0x${reference}`) + BigInt(offset),
  );
}

export function referenceTo(address: bigint): string {
  return `0x${address.toString(16)}`;
}
