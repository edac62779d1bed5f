import { POINTER_SIZE } from '../recording/architecture.js';
import { CodeBook, type CodeRange } from '../recording/code-book.js';
import type { Recording, RecordingHead, ThreadFacts } from '../recording/format.js';
import { formatAddress, type KnownTrampoline, Names } from '../recording/names.js';
import { Replay } from '../recording/replay.js';
import { Story } from '../recording/story.js';
import { Trampolines } from '../recording/trampolines.js';

/** What all panels show: the recording at a moment, seen by the thread that acts. */
export class Scene {
  readonly head: RecordingHead;
  readonly replay: Replay;
  readonly names: Names;
  readonly code: CodeBook;
  readonly trampolines: Trampolines;
  readonly story: Story;
  /** Chosen by the user; undefined: the one that acts. */
  chosenProcessor: number | undefined;
  /** Chosen by the user; undefined: the one that the run touched last. */
  chosenTrampoline: KnownTrampoline | undefined;
  #touched: KnownTrampoline | undefined;

  constructor(recording: Recording) {
    this.head = recording.head;
    this.replay = new Replay(recording);
    this.names = new Names(recording.head);
    this.code = new CodeBook(recording.head);
    this.trampolines = new Trampolines(this.replay, this.names, this.code);
    this.story = new Story(this.replay, this.names, this.code, this.trampolines);
    this.#touched = this.#first;
  }

  goTo(moment: number): void {
    this.replay.goTo(moment);
    const { trampolines } = this;
    this.#touched = trampolines.touched()?.trampoline ?? trampolines.lastTouched() ?? this.#first;
  }

  get actingProcessor(): number {
    return this.replay.slice()?.processor ?? 0;
  }

  get processor(): number {
    return this.chosenProcessor ?? this.actingProcessor;
  }

  /** Of the processor that is shown. */
  get thread(): ThreadFacts | undefined {
    return this.replay.threadOn(this.processor);
  }

  get domain(): number {
    return this.thread?.domain ?? 0;
  }

  get space(): number {
    return this.thread?.space ?? 0;
  }

  /** Bytes of a pointer of the code that runs. */
  get pointerSize(): 4 | 8 {
    return POINTER_SIZE[this.head.domains[this.domain]?.architecture ?? 'x64'];
  }

  get trampoline(): KnownTrampoline | undefined {
    return this.chosenTrampoline ?? this.#touched;
  }

  /** Address of the instruction that the last step executed; undefined when it was none. */
  get executed(): bigint | undefined {
    const { moment, addresses } = this.replay;
    const address = moment === 0 ? 0n : addresses[moment - 1];
    return address === undefined || address === 0n ? undefined : address;
  }

  get pc(): bigint {
    return this.replay.register(this.processor, 'pc');
  }

  get sp(): bigint {
    return this.replay.register(this.processor, 'sp');
  }

  /** The function that the last step was in. */
  get runningCode(): CodeRange | undefined {
    const { executed } = this;
    return executed === undefined ? undefined : this.code.at(this.domain, executed);
  }

  isPatch(range: CodeRange | undefined): boolean {
    const { image } = range?.facts ?? {};
    return image !== undefined && this.head.images[image]?.isPatch === true;
  }

  nameOf(address: bigint): string | undefined {
    return this.names.nameOf(this.domain, address, this.replay.moment);
  }

  format(address: bigint): string {
    return formatAddress(this.head.domains[this.domain], address);
  }

  /** Of the base, if there is one: the patch image has trampolines too. */
  get #first(): KnownTrampoline | undefined {
    const { all } = this.trampolines;
    return all.find(({ image }) => this.head.images[image]?.isPatch === false) ?? all[0];
  }
}
