import { type CodeBook, type CodeLine, hexBytes, plainText } from './code-book.js';
import type { Entry } from './entry.js';
import type { EventFacts } from './format.js';
import type { Names } from './names.js';
import type { Replay } from './replay.js';
import { storeStory } from './store-story.js';
import type { PartKind, Trampolines } from './trampolines.js';

/** What a step is, in words. */
export interface Telling {
  /** A few words. */
  readonly title: string;
  /** A sentence or two for somebody who sees it for the first time. */
  readonly text: string;
  /** The instruction that was executed. */
  readonly code?: string;
  /** The event's own line, or what the debugger says of the place. */
  readonly detail?: string;
}

/** Registers of which the new values are told. */
const MOST_VALUES = 3;
const FLAGS = new Set(['rflags', 'eflags', 'nzcv']);
const FLAG_BITS: Readonly<Record<string, number>> = { CF: 0, PF: 2, AF: 4, ZF: 6, SF: 7, DF: 10, OF: 11 };
/** Branches that may not be taken. */
const CONDITIONAL = /^(?:j(?!mp)\w+|b\.\w+|cbn?z|tbn?z|loop\w*)\s/;

/** Tells what each step of a recording is. */
export class Story {
  readonly #events: ReadonlyMap<number, EventFacts>;

  constructor(
    private readonly replay: Replay,
    private readonly names: Names,
    private readonly code: CodeBook,
    private readonly trampolines: Trampolines,
  ) {
    this.#events = new Map(replay.head.events.map((event) => [event.entry, event]));
  }

  event(entry: number): EventFacts | undefined {
    return this.#events.get(entry);
  }

  /** The step that led to the replay's moment. */
  tell(): Telling {
    const { replay } = this;
    const { moment, last } = replay;
    if (last === undefined)
      return {
        title: 'Before the first step',
        text: 'Nothing has happened yet. Step forward, play, or jump to an event of the list.',
      };
    const note = last.note === undefined ? undefined : replay.head.strings[last.note];
    if (last.kind === 'instruction') return this.#tellInstruction(note);
    const event = this.#events.get(moment - 1);
    if (event !== undefined) return tellEvent(event, this.#isOfPatchImage(event));
    return { title: 'The kernel model', text: sentence(note ?? 'the kernel model changed the machine') };
  }

  #tellInstruction(note: string | undefined): Telling {
    const { replay } = this;
    const executed = this.trampolines.executed(replay.moment - 1);
    const line = this.#executedLine();
    const detail = note === undefined ? {} : { detail: note };
    const hop = executed === undefined ? undefined : this.#tellHop(executed.part, executed.trampoline, line);
    const code = line === undefined ? {} : { code: plainText(line.text) };
    if (hop !== undefined) return { ...hop, ...code, ...detail };
    return { title: this.#executedPlace(), ...code, text: this.#effect(line), ...detail };
  }

  #tellHop(
    part: PartKind,
    trampoline: ReturnType<Names['trampolines']['at']>,
    line: CodeLine | undefined,
  ): Telling | undefined {
    if (trampoline === undefined) return undefined;
    const { symbol, slot, paddingSize, entrySize, retpoline } = trampoline.facts;
    const bytes = line === undefined ? '' : ` ${hexBytes(line.bytes)}`;
    const target = this.trampolines.state(trampoline).target;
    const replacement = target === undefined ? 'its target' : this.#describe(target);
    const slotWords = `slot ${slot} of the Hotpatch Address Table (HPAT), which lies behind the image`;
    switch (part) {
      case 'entry':
        return {
          title: 'Hop 1: the patched entry',
          text:
            paddingSize > 0
              ? `Someone called ${symbol}. Its first ${entrySize} bytes are${bytes} now: a short jump, ${paddingSize} bytes back, into the padding before the function.`
              : `Someone called ${symbol}. Its first instruction is${bytes} now: a branch to code ${slotWords}.`,
        };
      case 'padding':
        return {
          title: 'Hop 2: the jump in the padding',
          text:
            trampoline.codeSlot === undefined
              ? `The padding holds${bytes}: a jump through the pointer in ${slotWords}. The pointer leads to ${replacement}.`
              : `The ${paddingSize} bytes of padding hold${bytes}: a jump with room for a far target. It leads to code ${slotWords}.`,
        };
      case 'codeSlot':
        return {
          title: `Hop ${paddingSize > 0 ? 3 : 2}: HPAT code slot ${slot}`,
          text: retpoline
            ? `The code slot calls the image's retpoline page, which finds data slot ${slot} by the return address and goes on without an indirect branch that could be mistrained.`
            : `The code slot goes through data slot ${slot}, one page further. The pointer there says where: ${replacement}. A later patch only changes this pointer.`,
        };
      case 'retpoline':
        return {
          title: 'The retpoline page',
          text: `It reads data slot ${slot} and returns to the address that it found there: ${replacement}.`,
        };
      default:
        return this.#tellArrival(part, trampoline);
    }
  }

  /** The first instruction of the new function, right behind the trampoline. */
  #tellArrival(
    part: PartKind,
    trampoline: NonNullable<ReturnType<Names['trampolines']['at']>>,
  ): Telling | undefined {
    if (part !== 'target') return undefined;
    const state = this.trampolines.state(trampoline);
    const isFirst = this.replay.addresses[this.replay.moment - 1] === state.target;
    if (!isFirst || state.parts.get('dataSlot')?.isOnTrail !== true) return undefined;
    if (state.isBackward)
      return {
        title: 'Arrived: the function of the base',
        text: `The patch does not change ${trampoline.facts.symbol}, so its copy leads back: ${this.#describe(state.target ?? 0n)} runs, and there is only one of it.`,
      };
    return {
      title: 'Arrived: the new function',
      text: `${this.#describe(state.target ?? 0n)} runs in place of ${trampoline.facts.symbol}, with the arguments and the stack as the caller left them.`,
    };
  }

  #executedLine(): CodeLine | undefined {
    const address = this.replay.addresses[this.replay.moment - 1] ?? 0n;
    const range = this.code.at(this.#domain(), address);
    return range === undefined ? undefined : this.code.line(range, address, this.replay);
  }

  #executedPlace(): string {
    return this.#describe(this.replay.addresses[this.replay.moment - 1] ?? 0n);
  }

  #isOfPatchImage({ store }: EventFacts): boolean {
    const module = store?.symbol.split('!')[0];
    return this.names.images.some(({ facts: { isPatch }, module: name }) => isPatch && name === module);
  }

  /** What the instruction changed, and where the processor goes on when that is not the next instruction. */
  #effect(line: CodeLine | undefined): string {
    const { last, head } = this.replay;
    const facts = head.processors[last?.processor ?? 0];
    if (last === undefined || facts === undefined) return '';
    const changed = [...new Set(last.registers.map(({ half }) => facts.registers[half >> 1] ?? ''))].filter(
      (name) => name !== facts.programCounter && !FLAGS.has(name),
    );
    const values = changed.map(
      (name) => `${name} becomes ${this.#value(this.replay.register(last.processor, name))}`,
    );
    const next = this.replay.register(last.processor, 'pc');
    const isJump = line !== undefined && next !== line.address + BigInt(line.bytes.length);
    const isConditional = line !== undefined && CONDITIONAL.test(plainText(line.text));
    const goesOn = `it goes on at ${this.#describe(next)}`;
    const jump = isConditional
      ? [
          isJump
            ? `the condition holds: ${goesOn}`
            : 'the condition does not hold: the next instruction follows',
        ]
      : isJump
        ? [goesOn]
        : [];
    const parts = [
      ...(values.length <= MOST_VALUES ? values : [`${list(changed)} change`]),
      ...this.#stored(last.memory),
      ...this.#flags(last),
      ...jump,
    ];
    return parts.length === 0 ? 'No register and no memory is different.' : `${sentence(list(parts))}.`;
  }

  /** Which bytes are others than before, and what they are now. */
  #stored(changes: Entry['memory']): string[] {
    const space = this.replay.head.threads[this.replay.slice()?.thread ?? 0]?.space ?? 0;
    return changes.map(({ frame, offset, difference }) => {
      const page = this.#pageOf(space, frame);
      if (page === undefined) return 'memory is written';
      const address = (BigInt(page) << 12n) + BigInt(offset);
      const bytes = this.replay.read(space, address, difference.length);
      const what = bytes.length === 1 ? 'the byte' : `${bytes.length} bytes`;
      return `${what} at ${this.#describe(address)} ${bytes.length === 1 ? 'becomes' : 'become'} ${hexBytes(bytes)}`;
    });
  }

  /** Number of the page (address / 4096) by which the space sees a page of memory. */
  #pageOf(space: number, frame: number): number | undefined {
    for (const table of this.replay.tablesOf(space)) {
      const found = this.replay.pages(table).find(([, page]) => page.frame === frame);
      if (found !== undefined) return found[0];
    }
    return undefined;
  }

  /** Flags of x64 and x86 that have changed, by their names in the processor manuals. */
  #flags({ processor, registers }: Entry): string[] {
    const names = this.replay.head.processors[processor]?.registers ?? [];
    const changed = registers.find(
      ({ half }) => half % 2 === 0 && /^[re]flags$/.test(names[half >> 1] ?? ''),
    );
    if (changed === undefined) return [];
    const now = this.replay.registerAt(processor, changed.half >> 1);
    return Object.entries(FLAG_BITS).flatMap(([name, bit]) =>
      ((changed.difference >>> bit) & 1) === 0 ? [] : [`${name} becomes ${(now >> BigInt(bit)) & 1n}`],
    );
  }

  #value(value: bigint): string {
    if (value < 10n) return String(value);
    return this.names.nameOf(this.#domain(), value, this.replay.moment) ?? `0x${value.toString(16)}`;
  }

  #describe(address: bigint): string {
    return this.names.describe(this.#domain(), address, this.replay.moment);
  }

  /** Of the thread that acts. */
  #domain(): number {
    const { head } = this.replay;
    return head.threads[this.replay.slice()?.thread ?? 0]?.domain ?? 0;
  }
}

function tellEvent(event: EventFacts, isOfPatchImage: boolean): Telling {
  const detail = event.text.trim();
  if (event.store !== undefined) return { ...storeStory(event.store, isOfPatchImage), detail };
  if (event.kind === 'narration') return { title: 'The scenario says', text: detail };
  // A system of 2003 reserves none.
  if (event.kind === 'imageLoaded' && !detail.includes('HPAT'))
    return { title: 'An image is loaded', text: sentence(detail) };
  const known = EVENTS[event.kind];
  if (known === undefined) return { title: 'Event', text: sentence(detail) };
  const [title, text] = known;
  return text === undefined ? { title, text: sentence(detail) } : { title, text, detail };
}

/** What the events of the kernel and the engine mean. */
const EVENTS: Readonly<Record<string, readonly [title: string, text?: string]>> = {
  debugPrint: ['The guest prints'],
  booted: ['Boot'],
  secureKernelStarted: ['Boot'],
  hotPatchProcessCreated: ['Boot'],
  imageLoaded: [
    'An image is loaded',
    'Behind it, addresses are reserved for its Hotpatch Address Table (HPAT). They have no memory before the first patch.',
  ],
  imageUnloaded: ['An image is unloaded'],
  hpatCommitted: [
    'The HPAT gets memory',
    'Pages in pairs: one with code slots that can be executed, one with data slots that only hold pointers.',
  ],
  undoEntrySaved: [
    'The undo table remembers',
    'The bytes that are about to be overwritten are kept, so that the function can be brought back byte for byte.',
  ],
  undoEntryCleared: [
    'The undo table forgets',
    'The function has its own bytes again; nothing is left to undo.',
  ],
  rendezvous: ['All processors are gathered or let go'],
  serialised: [
    'Every processor is serialised',
    'From now on no processor executes an old copy of the changed bytes.',
  ],
  callout: [
    'The patch image is asked',
    'A function of the patch image runs before or after it is applied, and may refuse.',
  ],
  applyBegun: ['A hotpatch is applied'],
  applied: ['The hotpatch is applied'],
  revertBegun: ['A hotpatch is taken back'],
  reverted: ['The hotpatch is taken back'],
  threadInjected: [
    'A thread is injected',
    'It begins at ntdll!LdrHotPatchRoutine of the process that has the module, and loads the hotpatch there.',
  ],
  kernelPath: ['The kernel patches a driver'],
  validated: [
    'The hotpatch fits',
    'What the module holds in memory is compared with what the hotpatch expects, without the changes of other hotpatches.',
  ],
  systemCall: [
    'A system call',
    'NtSetSystemInformation(SystemHotpatchInformation): the kernel alone stores into code.',
  ],
  swapBegun: ['A hotpatch is enabled or disabled'],
  hookLeft: ['A hook stays', 'A thread stands in it: it is left until nobody does.'],
  hotfix: ['A hotfix is installed'],
  hotfixDone: ['The hotfix is installed'],
  ntdllReloaded: ['New processes get another ntdll'],
  callTargetsSet: [
    'Control Flow Guard',
    'Nothing of the patch image may be called through a pointer unless it is listed.',
  ],
};

function sentence(text: string): string {
  const trimmed = text.trim();
  // Names of files and symbols keep their letters.
  if (/^[\w-]+[.!]\w/.test(trimmed)) return trimmed;
  return trimmed === '' ? '' : `${trimmed.slice(0, 1).toUpperCase()}${trimmed.slice(1)}`;
}

function list(words: readonly string[]): string {
  return words.length < 2 ? words.join('') : `${words.slice(0, -1).join(', ')} and ${words.at(-1)}`;
}
