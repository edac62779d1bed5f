import type { WriteProtocol } from '../protocols/write-protocol.js';
import { isCode, type Recording, record } from '../recording.js';
import type { Subject, SubjectSource } from '../subject.js';
import { EngineGraph } from './engine-graph.js';
import { Executor } from './executor.js';
import { Properties } from './properties.js';
import { Transitions } from './transitions.js';

/** The steps of a protocol and of the processors, ready to be taken in any order. */
export interface Model {
  readonly recording: Recording;
  readonly graph: EngineGraph;
  readonly executor: Executor;
  readonly properties: Properties;
  readonly transitions: Transitions;
  readonly isWeak: boolean;
  /** Calls that each processor makes; -1: without end. */
  readonly calls: number;
}

export interface ModelOptions {
  readonly protocol: WriteProtocol;
  /** Default `coherent`. */
  readonly fetch?: 'coherent' | 'weak';
  /** Default: without end; two when the call changes data that the processors share. */
  readonly calls?: number;
}

const CALLS_THAT_CHANGE_DATA = 2;

/** Records the operation, which is then over on the subject's machine. Undefined when the protocol means nothing for it. */
export function modelOf(
  subject: Subject,
  { expected }: Pick<SubjectSource, 'expected'>,
  { protocol, fetch = 'coherent', calls: wanted }: ModelOptions,
): Model | undefined {
  const recording = record(subject);
  const steps = protocol.operations.includes(recording.operation) ? protocol.steps(recording) : undefined;
  if (steps === undefined) return undefined;
  const { addressSpace } = subject.lab.kernel.domain;
  const graph = new EngineGraph({
    architecture: recording.architecture,
    steps,
    before: (address) => recording.before.get(address) ?? addressSpace.readU8(address),
    copiedOnWrite: recording.copiedOnWrite,
    isExecutable: (address) => isCode(subject, address),
  });
  const executor = new Executor(subject, recording, graph, protocol.breakpoints?.(recording));
  const properties = new Properties(executor, graph, expected);
  const isWeak = fetch === 'weak';
  const calls = wanted ?? (executor.shared.count > 1 ? CALLS_THAT_CHANGE_DATA : -1);
  const transitions = new Transitions(executor, graph, properties, isWeak, calls);
  return { recording, graph, executor, properties, transitions, isWeak, calls };
}
