import { resolve } from 'node:path';
import { DebugSession, Event, InitializedEvent, OutputEvent, TerminatedEvent } from '@vscode/debugadapter';
import type { DebugProtocol } from '@vscode/debugprotocol';
import * as v from 'valibot';
import type { DapInput, DapOutput, WakingEnd } from '../debugger/index.js';
import { type DebugWorkerData, startDebugThread } from './debug-thread.js';
import { describeReport } from './errors.js';

/** What `launch.json` says: a scenario, or an image with a call of one of its functions. */
const COMMON = {
  cwd: v.optional(v.string()),
  seed: v.optional(v.number()),
  stopOnEntry: v.optional(v.boolean()),
  sourcePaths: v.optional(v.array(v.string())),
};
const LAUNCH = v.union([
  v.object({ ...COMMON, program: v.string() }),
  v.object({
    ...COMMON,
    image: v.string(),
    /** `Total 3 4`, as for `hotpatch call`; more come with `hotpatch/call`. */
    call: v.string(),
    processors: v.optional(v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(64)), 2),
  }),
]);

const CAPABILITIES: DebugProtocol.Capabilities = {
  supportsConfigurationDoneRequest: true,
  supportsFunctionBreakpoints: true,
  supportsConditionalBreakpoints: true,
  supportsInstructionBreakpoints: true,
  supportsDataBreakpoints: true,
  supportsStepBack: true,
  supportsSteppingGranularity: true,
  supportsDisassembleRequest: true,
  supportsReadMemoryRequest: true,
  supportsWriteMemoryRequest: true,
  supportsSetVariable: true,
  supportsModulesRequest: true,
  supportsEvaluateForHovers: true,
  supportsTerminateRequest: true,
};

const STDERR = v.object({ category: v.literal('stderr'), output: v.string() });

function targetOf(launch: v.InferOutput<typeof LAUNCH>): Pick<DebugWorkerData, 'file' | 'live'> {
  if ('program' in launch) return { file: resolve(launch.program) };
  const { image, call, processors } = launch;
  return { live: { image: resolve(image), call, processors } };
}

/**
 * The adapter's side of the protocol. The scenario runs in a thread of its own, which answers what is about the machine;
 * requests that come while it runs stop it for a moment.
 */
export class HotpatchAdapter extends DebugSession {
  readonly ended: Promise<void>;
  #finish: () => void = () => undefined;
  #channel: WakingEnd<DapOutput, DapInput> | undefined;
  #isRunning = true;
  #stopOnEntry = false;
  /** Requests that came before the thread was ready, and those it has not answered yet. */
  readonly #early: DebugProtocol.Request[] = [];
  readonly #open = new Map<number, DebugProtocol.Request>();
  #launch: DebugProtocol.Request | undefined;
  #isReady = false;
  /** What the debuggee has said last of what went wrong. */
  #lastError: string | undefined;
  #firstThread = 0;

  constructor() {
    super();
    this.ended = new Promise((finish) => {
      this.#finish = finish;
    });
  }

  /** The client is gone. */
  abandon(): void {
    if (this.#isRunning) this.#channel?.interrupt();
    this.#channel?.send({ kind: 'closed' });
    this.#finish();
  }

  protected override dispatchRequest(request: DebugProtocol.Request): void {
    switch (request.command) {
      case 'initialize':
        this.#respond(request, CAPABILITIES);
        return;
      case 'launch':
        this.#start(request);
        return;
      case 'disconnect':
      case 'terminate':
        this.#respond(request);
        this.abandon();
        if (request.command === 'terminate') this.sendEvent(new TerminatedEvent());
        return;
      default:
        this.#forward(request);
    }
  }

  #start(request: DebugProtocol.Request): void {
    const parsed = v.safeParse(LAUNCH, request.arguments);
    if (!parsed.success) {
      const why = parsed.issues.map(({ message }) => message).join('; ');
      this.#fail(request, `launch: give program, or image and call: ${why}`);
      return;
    }
    const { cwd, seed, stopOnEntry = false, sourcePaths } = parsed.output;
    this.#launch = request;
    this.#stopOnEntry = stopOnEntry;
    if (cwd !== undefined) process.chdir(cwd);
    const { channel, done } = startDebugThread<DapOutput, DapInput>(
      { ...targetOf(parsed.output), seed, sourceFolders: sourcePaths, frontEnd: 'dap' },
      (message) => this.#receive(message),
    );
    this.#channel = channel;
    done
      .then(({ report }) => {
        if (report !== undefined) this.#output(describeReport(report));
        this.#terminated(report === undefined ? undefined : describeReport(report));
      })
      .catch((error: Error) => this.#terminated(error.message));
  }

  #receive(message: DapOutput): void {
    switch (message.kind) {
      case 'ready':
        this.#isReady = true;
        this.#firstThread = message.thread;
        this.#isRunning = false;
        this.sendEvent(new InitializedEvent());
        for (const request of this.#early.splice(0)) this.#forward(request);
        return;
      case 'running':
        this.#isRunning = message.isRunning;
        return;
      case 'event':
        if (v.is(STDERR, message.body)) this.#lastError = message.body.output.trim();
        this.sendEvent(new Event(message.event, message.body));
        return;
      case 'response':
      case 'failure': {
        const request = this.#open.get(message.id);
        this.#open.delete(message.id);
        if (request === undefined) return;
        if (message.kind === 'failure') this.#fail(request, message.message);
        else this.#respond(request, message.body);
        if (request.command === 'configurationDone') this.#configured();
      }
    }
  }

  #configured(): void {
    if (this.#launch !== undefined) this.#respond(this.#launch);
    this.#launch = undefined;
    if (this.#stopOnEntry)
      this.sendEvent(
        new Event('stopped', { reason: 'entry', threadId: this.#firstThread, allThreadsStopped: true }),
      );
  }

  #forward(request: DebugProtocol.Request): void {
    if (this.#channel === undefined) this.#fail(request, `'${request.command}' before launch`);
    else if (!this.#isReady) this.#early.push(request);
    else {
      this.#open.set(request.seq, request);
      const args =
        request.command === 'configurationDone' ? { stopOnEntry: this.#stopOnEntry } : request.arguments;
      // First, so that whoever takes the request can take this back.
      if (this.#isRunning) this.#channel.interrupt();
      this.#channel.send({
        kind: 'request',
        id: request.seq,
        command: request.command,
        arguments: args,
        whileRunning: this.#isRunning,
      });
    }
  }

  #terminated(problem: string | undefined): void {
    const why = problem ?? this.#lastError ?? 'the scenario has ended';
    for (const request of [...this.#early.splice(0), ...this.#open.values()]) this.#fail(request, why);
    this.#open.clear();
    if (this.#launch !== undefined) this.#fail(this.#launch, why);
    this.#launch = undefined;
    this.sendEvent(new TerminatedEvent());
    this.#channel = undefined;
    this.#finish();
  }

  #output(text: string): void {
    this.sendEvent(new OutputEvent(`${text}\n`, 'stderr'));
  }

  #respond(request: DebugProtocol.Request, body?: unknown): void {
    this.sendResponse({
      type: 'response',
      seq: 0,
      request_seq: request.seq,
      command: request.command,
      success: true,
      ...(body === undefined ? {} : { body }),
    });
  }

  #fail(request: DebugProtocol.Request, message: string): void {
    this.sendResponse({
      type: 'response',
      seq: 0,
      request_seq: request.seq,
      command: request.command,
      success: false,
      message,
      body: { error: { id: 1, format: message.replaceAll('{', '(').replaceAll('}', ')'), showUser: true } },
    });
  }
}
