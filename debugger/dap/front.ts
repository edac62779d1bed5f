import { type Disassembler, loadDisassembler } from '../../cpu/index.js';
import { visibleText } from '../../image/index.js';
import type { ScenarioResult } from '../../lab/index.js';
import type { LabEvent } from '../../loader/index.js';
import type { Breakpoint } from '../breakpoint.js';
import type { BlockingEnd } from '../channel.js';
import { reasonLine } from '../listing.js';
import type { LiveCall, LiveMachine } from '../live-machine.js';
import type { DebugSession, FrontEnd } from '../session.js';
import type { Goal, Stop, StopReason } from '../stop.js';
import { View } from '../view.js';
import type { DapAnswer } from './handler.js';
import type { DapInput, DapOutput, DapRequest } from './messages.js';
import { DAP_REQUESTS } from './requests.js';
import { StopScope } from './scope.js';

/** `stopped` reasons of the protocol. */
const REASONS: Readonly<Record<StopReason['kind'], string>> = {
  start: 'entry',
  step: 'step',
  breakpoint: 'breakpoint',
  watchpoint: 'data breakpoint',
  position: 'step',
  threadEnded: 'step',
  interrupted: 'pause',
  idle: 'step',
  modules: 'step',
};

/** Goals that lead on need a thread that runs; these lead elsewhere. */
const FROM_IDLE: ReadonlySet<Goal['kind']> = new Set(['travel', 'searchBack', 'start', 'quit']);

/** A scenario behind the Debug Adapter Protocol: answers requests while the run stands still. */
export class DapFront implements FrontEnd {
  readonly stopsForModules = true;
  #isReady = false;
  #isClosed = false;
  readonly #breakpoints = new Map<string, readonly Breakpoint[]>();
  /** Moments of the run that the client knows as frames, variables and so on. */
  #scope: StopScope | undefined;
  /** What goes on when a stop was only for a request. */
  #goal: Goal = { kind: 'go' };
  /** Between two calls of a live machine. */
  #isIdle = false;

  /** `live`: what is debugged, if it is a machine that is asked for its calls. */
  static async create(channel: BlockingEnd<DapInput, DapOutput>, live?: LiveMachine): Promise<DapFront> {
    return new DapFront(channel, await loadDisassembler(), live);
  }

  private constructor(
    private readonly channel: BlockingEnd<DapInput, DapOutput>,
    private readonly disassembler: Disassembler,
    private readonly live: LiveMachine | undefined,
  ) {}

  stopped(stop: Stop, session: DebugSession): Goal {
    if (this.#isClosed) return { kind: 'quit' };
    const view = new View(session, stop, stop.thread, this.disassembler);
    this.#scope = new StopScope(view);
    if (stop.reason.kind === 'modules') {
      if (this.#isReady) this.#modules(view);
      return this.#goal;
    }
    if (!this.#isReady) this.channel.send({ kind: 'ready', thread: view.thread.id });
    const isQuiet = stop.reason.kind === 'interrupted';
    if (!isQuiet) this.channel.send({ kind: 'running', isRunning: false });
    if (!isQuiet && this.#isReady) this.#tell(view, stop.reason);
    this.#isReady = true;
    return this.#serve(view, isQuiet);
  }

  idle(stop: Stop, machine: LiveMachine, session: DebugSession): LiveCall | Goal {
    if (this.#isClosed) return { kind: 'quit' };
    const view = new View(session, stop, stop.thread, this.disassembler);
    this.#scope = new StopScope(view);
    this.channel.send({ kind: 'running', isRunning: false });
    this.#event('hotpatch/idle', { results: machine.results });
    this.#isIdle = true;
    try {
      return this.#serveIdle(view);
    } finally {
      this.#isIdle = false;
    }
  }

  ended({ title, expectations, error }: ScenarioResult, session: DebugSession): Goal {
    const text =
      error === undefined
        ? `${title}: held ${expectations} expectation(s)`
        : `${title}: ${error instanceof Error ? error.message : String(error)}`;
    this.#output(error === undefined ? 'console' : 'stderr', text);
    session.breakpoints.clear();
    return { kind: 'quit' };
  }

  event({ kind, text }: LabEvent): void {
    this.#output('stdout', text);
    this.#event('hotpatch/event', { kind, text });
  }

  warn(text: string): void {
    this.#output('important', `warning: ${text}`);
  }

  /** Consoles of editors obey the sequences of terminals. */
  #output(category: string, text: string): void {
    this.#event('output', { category, output: `${visibleText(text)}\n` });
  }

  interrupted(): boolean {
    return this.channel.interrupted();
  }

  /** Answers until something is to happen. `isQuiet`: the stop is for a request that came while the run went on. */
  #serve(view: View, isQuiet: boolean): Goal {
    let quiet = isQuiet;
    for (;;) {
      const input = this.channel.receive();
      // It was sent before its sender knew of this stop: the run that follows is not to stop for it.
      if (!quiet && input.kind === 'request' && input.whileRunning) this.channel.interrupted();
      if (input.kind === 'closed') {
        this.#isClosed = true;
        return { kind: 'quit' };
      }
      const answer = this.#answer(input, view);
      if (answer?.goal !== undefined) {
        this.#goal = answer.goal;
        this.channel.send({ kind: 'running', isRunning: true });
        // The protocol wants to be told where a request does not say so by its name.
        if (input.command === 'evaluate')
          this.#event('continued', { threadId: view.thread.id, allThreadsContinued: true });
        this.#respond(input, answer);
        return answer.goal;
      }
      if (answer !== undefined) this.#respond(input, answer);
      if (quiet && input.command === 'pause') {
        quiet = false;
        this.channel.send({ kind: 'running', isRunning: false });
        this.#tell(view, { kind: 'interrupted' });
      }
      if (quiet && input.whileRunning) return this.#goal;
    }
  }

  /** Answers until a call is asked for, or a moment in the past. */
  #serveIdle(view: View): LiveCall | Goal {
    for (;;) {
      const input = this.channel.receive();
      if (input.kind === 'request' && input.whileRunning) this.channel.interrupted();
      if (input.kind === 'closed') {
        this.#isClosed = true;
        return { kind: 'quit' };
      }
      const answer = this.#answer(input, view);
      if (answer === undefined) continue;
      const { goal, call } = answer;
      if (goal !== undefined && !FROM_IDLE.has(goal.kind)) {
        this.#fail(input, 'no call runs: make one');
        continue;
      }
      const next = call ?? goal;
      if (next !== undefined) {
        this.#goal = { kind: 'go' };
        this.channel.send({ kind: 'running', isRunning: true });
      }
      this.#respond(input, answer);
      if (next !== undefined) return next;
    }
  }

  #answer(request: DapRequest, view: View): DapAnswer | undefined {
    try {
      const handler = DAP_REQUESTS[request.command];
      if (handler === undefined) throw new Error(`'${request.command}' is not supported`);
      const scope = this.#scope ?? new StopScope(view);
      return handler({
        scope,
        session: view.session,
        arguments: request.arguments ?? {},
        breakpoints: this.#breakpoints,
        live: this.live,
        isIdle: this.#isIdle,
      });
    } catch (error) {
      this.#fail(request, error instanceof Error ? error.message : String(error));
      return undefined;
    }
  }

  #fail({ id }: DapRequest, message: string): void {
    this.channel.send({ kind: 'failure', id, message });
  }

  #respond({ id }: DapRequest, { body, isChanged }: DapAnswer): void {
    this.channel.send({ kind: 'response', id, body });
    if (isChanged === true) this.#event('invalidated', { areas: ['all'] });
  }

  #tell(view: View, reason: StopReason): void {
    const found = reason.kind === 'position' ? (reason.search?.found ?? reason) : reason;
    const description = reasonLine(view, reason);
    this.#event('stopped', {
      reason: REASONS[found.kind],
      threadId: view.thread.id,
      allThreadsStopped: true,
      ...(description === undefined ? {} : { description, text: description }),
      ...(found.kind === 'breakpoint' ? { hitBreakpointIds: [found.breakpoint.id] } : {}),
    });
  }

  /** Breakpoints may have found their place. */
  #modules(view: View): void {
    for (const breakpoint of view.session.breakpoints.all) {
      if (breakpoint.address === undefined) continue;
      this.#event('breakpoint', { reason: 'changed', breakpoint: { id: breakpoint.id, verified: true } });
    }
  }

  #event(event: string, body: unknown): void {
    this.channel.send({ kind: 'event', event, body });
  }
}
