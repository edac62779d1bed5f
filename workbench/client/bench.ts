import type { BuildOutcome, Program } from '../protocol.js';
import { log } from './console.js';
import { Facts } from './facts.js';
import { Machine, type MachineState } from './machine.js';
import type { WorkbenchServer } from './server.js';

export type Phase = 'none' | 'starting' | 'running' | 'stopped' | 'idle' | 'ended';

export interface BenchOwner {
  /** What the user has before them. */
  program(): Program;
  /** Something is to be shown anew; `before`: the state that was shown last. */
  changed(before?: MachineState): void;
  built(outcome: BuildOutcome): void;
  failed(error: unknown): void;
}

const PROCESSORS = 2;

/** One build and one machine that runs its base, and what the user does with them. */
export class Bench {
  readonly facts = new Facts();
  phase: Phase = 'none';
  /** What the machine is doing, in words. */
  why = '';
  state: MachineState | undefined;
  outcome: BuildOutcome | undefined;
  isBuilding = false;
  /** Where the current thread stood when the last patch was applied: `sensor!Scale+0x3`. */
  appliedAt: string | undefined;
  #machine: Machine | undefined;
  /** Sources of the last build, and the base that the machine runs. */
  #built: Program | undefined;
  #running: string | undefined;
  #thread: number | undefined;

  constructor(
    private readonly server: WorkbenchServer,
    private readonly owner: BenchOwner,
  ) {}

  /** The build whose hotpatch could be applied now; undefined: there is none. */
  get hotPatch(): number | undefined {
    return this.outcome?.verdict === 'patched' ? this.outcome.build : undefined;
  }

  /** Builds what is in the editors. */
  async build(): Promise<BuildOutcome> {
    this.isBuilding = true;
    this.owner.changed();
    try {
      const program = this.owner.program();
      const outcome = await this.server.post<BuildOutcome>('/api/build', program);
      this.#built = program;
      this.outcome = outcome;
      if (outcome.verdict === 'refused') this.facts.add('refused');
      if (outcome.verdict === 'patched') this.facts.add('patched');
      this.owner.built(outcome);
      return outcome;
    } finally {
      this.isBuilding = false;
      this.owner.changed(this.state);
    }
  }

  /** Builds, and applies the hotpatch where the threads stand; a machine with another base is started anew. */
  async buildAndApply(): Promise<void> {
    const { verdict, build } = await this.build();
    if (verdict === 'failed') return;
    const isAlive = this.#machine !== undefined && this.phase !== 'ended';
    if (!isAlive || this.#running !== this.#built?.base) await this.newMachine();
    if (verdict === 'patched') await this.apply(build);
  }

  /** Starts a machine with the base of the last build, and stops at the first instruction of the call. */
  async newMachine(): Promise<void> {
    this.#machine?.close();
    this.#machine = undefined;
    const outcome = this.outcome ?? (await this.build());
    if (outcome.verdict === 'failed') return;
    this.facts.newMachine();
    this.#running = this.#built?.base;
    this.#thread = undefined;
    this.#enter('starting', 'booting');
    const machine = await Machine.connect(this.server, (event, body) => {
      if (this.#machine === machine || this.#machine === undefined) this.#event(event, body);
    });
    this.#machine = machine;
    const { call } = this.owner.program();
    try {
      await machine.launch(outcome.build, call, PROCESSORS);
    } catch (error) {
      machine.close();
      this.#enter('ended', error instanceof Error ? error.message : String(error));
      throw error;
    }
    await this.refresh();
  }

  async call(text: string): Promise<void> {
    if (this.#machine === undefined || this.phase === 'ended') return this.newMachine();
    const isIdle = this.phase === 'idle';
    await this.#request('hotpatch/call', { call: text });
    if (!isIdle) await this.refresh();
  }

  async apply(build: number): Promise<void> {
    const standing = this.state?.threads.find(({ id }) => id === this.state?.thread);
    this.appliedAt = standing?.frames[0]?.text;
    await this.#request('hotpatch/apply', { build });
    await this.refresh();
    if (this.state !== undefined) this.facts.applied(this.state);
    this.owner.changed(this.state);
  }

  async revert(): Promise<void> {
    await this.#request('hotpatch/revert');
    await this.refresh();
    if (this.state !== undefined) this.facts.reverted(this.state);
    this.owner.changed(this.state);
  }

  /** `next`, `stepIn`, `stepOut`, `stepBack`, `continue`, `reverseContinue`. */
  async go(command: string, granularity: 'line' | 'instruction' = 'line'): Promise<void> {
    const back = command === 'stepBack' || command === 'reverseContinue';
    const threadId = this.#thread;
    this.#enter('running', back ? 'going back' : 'running');
    try {
      await this.#request(command, { granularity, ...(threadId === undefined ? {} : { threadId }) });
      if (back) this.facts.add('went-back');
    } catch (error) {
      await this.refresh();
      throw error;
    }
  }

  async pause(): Promise<void> {
    await this.#request('pause', { threadId: 0 });
  }

  /** A command of the console, or an expression. */
  async evaluate(expression: string): Promise<void> {
    log(`> ${expression}`, 'asked');
    try {
      const { result } = await this.#request<{ result: string }>('evaluate', { expression, context: 'repl' });
      if (result !== '') log(result, 'answer');
    } catch (error) {
      log(error instanceof Error ? error.message : String(error), 'wrong');
    }
  }

  /** Breakpoints of one of the two sources. */
  async setBreakpoints(source: 'base' | 'fixed', lines: readonly number[]): Promise<void> {
    if (this.#machine === undefined || this.#built === undefined) return;
    const { name } = this.#built;
    const module = source === 'base' ? name : `${name}_hp`;
    await this.#request('setBreakpoints', {
      source: { path: `${module}!${name}.c` },
      breakpoints: lines.map((line) => ({ line })),
    });
  }

  async select(thread: number): Promise<void> {
    this.#thread = thread;
    await this.refresh();
  }

  /** Asks for all that is shown. */
  async refresh(): Promise<void> {
    const machine = this.#machine;
    if (machine === undefined) return;
    const functions = [...new Set([...this.#called(), ...(this.outcome?.patched ?? [])])];
    const threadId = this.#thread;
    const ask = { functions, ...(threadId === undefined ? {} : { threadId }) };
    const state = await machine.request<MachineState>('hotpatch/state', ask).catch(() => {
      // The thread that was chosen has ended.
      this.#thread = undefined;
      return machine.request<MachineState>('hotpatch/state', { functions });
    });
    if (machine !== this.#machine) return;
    const before = this.state;
    this.state = state;
    this.facts.see(state);
    this.#enter(state.isIdle ? 'idle' : 'stopped', this.why, before);
  }

  #called(): string[] {
    const [name] = this.owner.program().call.trim().split(/\s+/);
    return name === undefined || name === '' ? [] : [name];
  }

  async #request<T>(command: string, args: object = {}): Promise<T> {
    if (this.#machine === undefined) throw new Error('There is no machine: press New machine.');
    return this.#machine.request<T>(command, args);
  }

  #event(event: string, body: Record<string, unknown>): void {
    switch (event) {
      case 'stopped':
        this.why = typeof body.description === 'string' ? body.description : '';
        if (typeof body.threadId === 'number') this.#thread = body.threadId;
        this.#refreshSoon();
        return;
      case 'hotpatch/idle':
        this.why = '';
        this.#refreshSoon();
        return;
      case 'continued':
        this.#enter('running', 'running');
        return;
      case 'hotpatch/event':
        log(String(body.text), 'event');
        return;
      case 'workbench/limit':
        log(String(body.text), 'wrong');
        return;
      case 'workbench/ended':
        this.why = String(body.text);
        return;
      case 'workbench/closed':
        this.#machine = undefined;
        this.#enter('ended', this.why === '' ? 'the machine has ended' : this.why);
        return;
      default:
    }
  }

  #refreshSoon(): void {
    this.refresh().catch((error: unknown) => this.owner.failed(error));
  }

  #enter(phase: Phase, why: string, before = this.state): void {
    this.phase = phase;
    this.why = why;
    this.owner.changed(before);
  }
}
