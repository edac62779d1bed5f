import type { BreakpointHandler, WriteProtocol } from '../protocols/write-protocol.js';
import { isCode, type Recording, record } from '../recording.js';
import { type Mixture, placeOf, type Subject, type SubjectSource } from '../subject.js';
import { CodeMemory } from './code-memory.js';
import { EngineGraph } from './engine-graph.js';
import { Executor } from './executor.js';
import { Properties, runAlone } from './properties.js';
import { SharedData } from './shared-data.js';
import { Transitions } from './transitions.js';
import { WholeCode } from './whole-code.js';

/** The steps of a protocol and of the processors, ready to be taken in any order. */
export interface Model {
  readonly recording: Recording;
  readonly graph: EngineGraph;
  /** By role: which of the subject's calls a processor makes. */
  readonly executors: readonly Executor[];
  readonly properties: readonly Properties[];
  readonly shared: SharedData;
  readonly transitions: Transitions;
  readonly isWeak: boolean;
  /** Calls that each processor makes; -1: without end. */
  readonly calls: number;
}

export interface ModelOptions {
  readonly protocol: WriteProtocol;
  /** Default 1. With fewer processors than calls the last calls are not made. */
  readonly processors?: number;
  /** Default `coherent`. */
  readonly fetch?: 'coherent' | 'weak';
  /** Default: without end; two when the call changes data that the processors share. */
  readonly calls?: number;
}

export const CALLS_THAT_CHANGE_DATA = 2;

/**
 * The subject on whose machine single instructions are executed: a processor for each of the calls that it makes.
 * @param each a processor for each of the explored ones, also where some make the same call
 */
export async function createModelled(
  source: SubjectSource,
  { processors = 1, protocol: { hpatForm } }: ModelOptions,
  each = false,
): Promise<Subject> {
  const roles = each ? processors : Math.min(source.roles ?? 1, processors);
  return source.create({
    ...(roles === 1 ? {} : { processors: roles }),
    ...(hpatForm === undefined ? {} : { hpatForm }),
  });
}

/** A protocol for the operation of a subject, as it was recorded. */
export interface PreparedProtocol {
  readonly recording: Recording;
  readonly graph: EngineGraph;
  readonly handleBreakpoint: BreakpointHandler | undefined;
}

/** Records the operation, which is then over on the subject's machine. Undefined when the protocol means nothing for it. */
export function prepareProtocol(subject: Subject, protocol: WriteProtocol): PreparedProtocol | undefined {
  const recording = record(subject);
  const steps = protocol.operations.includes(recording.operation) ? protocol.steps(recording) : undefined;
  if (steps === undefined) return undefined;
  const { architecture, before, isCopiedOnWrite } = recording;
  const graph = new EngineGraph({
    architecture,
    steps,
    before,
    isCopiedOnWrite,
    isExecutable: (place, address) => isCode(subject, place, address),
  });
  return { recording, graph, handleBreakpoint: protocol.breakpoints?.(recording) };
}

export function mixtureOf({ mixture, expected }: Pick<SubjectSource, 'expected' | 'mixture'>): Mixture {
  return mixture ?? (expected === undefined ? 'per-activation' : 'none');
}

/** Whatever the single activations may come to: which results those are is not known here. */
function mixtureAllows(source: Pick<SubjectSource, 'expected' | 'mixture'>): (result: number) => boolean {
  const mixture = mixtureOf(source);
  return typeof mixture === 'function' ? mixture : () => mixture === 'per-activation';
}

/** As {@link prepareProtocol}, with a processor that executes single instructions for each of the calls. */
export function modelOf(
  subject: Subject,
  source: Pick<SubjectSource, 'expected' | 'mixture'>,
  { protocol, processors = 1, fetch = 'coherent', calls: wanted }: ModelOptions,
): Model | undefined {
  const { expected } = source;
  const prepared = prepareProtocol(subject, protocol);
  if (prepared === undefined) return undefined;
  const { recording, graph, handleBreakpoint } = prepared;
  const used = subject.calls.slice(0, processors);
  const places = used.map((call) => placeOf(subject.lab, call));
  const memory = new CodeMemory(subject.lab, graph);
  const shared = new SharedData(places, graph.pages);
  const parts = { subject, memory, shared, handleBreakpoint };
  const executors = used.map((_, role) => new Executor(parts, role));
  const whole = new WholeCode(graph, recording);
  const properties = executors.map((executor) => {
    const alone = runAlone(executor, graph, whole);
    return new Properties(executor.seen, graph, whole, alone, expected, mixtureAllows(source));
  });
  const isWeak = fetch === 'weak';
  const calls = wanted ?? (shared.count > 1 ? CALLS_THAT_CHANGE_DATA : -1);
  const transitions = new Transitions(executors, graph, properties, isWeak, calls);
  return { recording, graph, executors, properties, shared, transitions, isWeak, calls };
}
