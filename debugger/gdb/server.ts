import { type Disassembler, loadDisassembler } from '../../cpu/index.js';
import { visibleText } from '../../image/index.js';
import type { ScenarioResult } from '../../lab/index.js';
import type { LabEvent } from '../../loader/index.js';
import { traceBack } from '../backwards.js';
import type { BlockingEnd } from '../channel.js';
import { goBack } from '../commands/travel.js';
import { DebugError } from '../error.js';
import type { DebugSession, FrontEnd } from '../session.js';
import type { Goal, Stop, StopReason } from '../stop.js';
import { View } from '../view.js';
import type { GdbInput, GdbOutput } from './connection.js';
import { HostFiles } from './host-files.js';
import { toHex } from './packets.js';
import { type Answer, answerPacket } from './requests.js';
import { stopReply } from './stop-reply.js';

/** A lab behind GDB's remote serial protocol: answers packets while the run stands still. */
export class GdbServer implements FrontEnd {
  readonly stopsForModules = true;
  readonly files = new HostFiles();
  #isReady = false;
  /** GDB waits for a stop reply. */
  #isRunning = false;
  #isDetached = false;
  /** Threads that the next `g`, `m`… and the next `bs`, `bc` are about: `Hg`, `Hc`. */
  selected: number | undefined;

  static async create(channel: BlockingEnd<GdbInput, GdbOutput>): Promise<GdbServer> {
    return new GdbServer(channel, await loadDisassembler());
  }

  /** Why a way back ended, while it is gone on to where GDB wants to stand. */
  #found: StopReason | undefined;

  private constructor(
    private readonly channel: BlockingEnd<GdbInput, GdbOutput>,
    private readonly disassembler: Disassembler,
  ) {}

  stopped(stop: Stop, session: DebugSession): Goal {
    if (this.#isDetached) return { kind: 'go' };
    if (!this.#isReady) this.channel.send({ kind: 'ready' });
    this.#isReady = true;
    const first = new View(session, stop, stop.thread, this.disassembler);
    const beforeStore = this.#beforeStore(first);
    if (beforeStore !== undefined) return beforeStore;
    this.selected = stop.thread.id;
    if (this.#isRunning) this.#send(stopReply(first, this.#found ?? stop.reason));
    this.#found = undefined;
    this.#isRunning = false;
    for (;;) {
      const input = this.channel.receive();
      if (input.kind === 'closed') return this.#detach(session);
      const answer = this.#answer(input.data, first);
      if (answer.reply !== undefined) this.#send(answer.reply);
      if (answer.detach === true) return this.#detach(session);
      if (answer.goal !== undefined) {
        this.#isRunning = true;
        return answer.goal;
      }
    }
  }

  /**
   * The way back has come to what a watched store left: GDB wants to stand before the store, where the value is the old
   * one, or it takes nothing to have changed and goes on.
   */
  #beforeStore(view: View): Goal | undefined {
    const { reason } = view.stop;
    const found = reason.kind === 'position' ? reason.search?.found : undefined;
    if (!this.#isRunning || found?.kind !== 'watchpoint' || found.instruction === undefined) return undefined;
    this.#found = reason;
    return traceBack(view);
  }

  ended({ error }: ScenarioResult, session: DebugSession): Goal {
    if (!this.#isDetached && this.#isRunning) this.#send(error === undefined ? 'W00' : 'W01');
    session.breakpoints.clear();
    return { kind: 'quit' };
  }

  event({ text }: LabEvent): void {
    this.#show(text);
  }

  /** GDB shows output only while it waits for a stop. */
  #show(text: string): void {
    if (this.#isRunning && !this.#isDetached)
      this.#send(`O${toHex(`${Buffer.from(visibleText(text)).toString('latin1')}\n`)}`);
  }

  warn(text: string): void {
    this.#show(`warning: ${text}`);
  }

  interrupted(): boolean {
    return this.channel.interrupted();
  }

  /** The stop as the thread sees it that GDB has selected. */
  viewOf(first: View): View {
    const thread = first.kernel.threads.find(({ id }) => id === this.selected);
    return thread === undefined || thread === first.thread
      ? first
      : new View(first.session, first.stop, thread, this.disassembler);
  }

  #answer(packet: string, first: View): Answer {
    try {
      const view = this.viewOf(first);
      if (packet === 'bs') return { goal: traceBack(view) };
      if (packet === 'bc') return { goal: goBack(view) };
      return answerPacket(packet, view, this);
    } catch (error) {
      // Where a thread began, going back ends as at the beginning of a recording.
      if (packet === 'bs' && error instanceof DebugError)
        return { reply: stopReply(first, { kind: 'start' }) };
      if (!(error instanceof Error)) throw error;
      return { reply: `E.${error.message}` };
    }
  }

  #detach(session: DebugSession): Goal {
    this.#isDetached = true;
    session.breakpoints.clear();
    return { kind: 'go' };
  }

  #send(data: string): void {
    this.channel.send({ kind: 'packet', data });
  }
}
