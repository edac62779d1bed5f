import { refuse } from '../refuse.js';
import type { ExpectedResults } from '../subject.js';
import { LIMITS_CHANGES, mayChangeConcurrently } from './arm64-concurrency.js';
import type { EngineGraph, EngineNode } from './engine-graph.js';
import type { Executed, ExecutedInstruction, Executor, FetchView } from './executor.js';
import type { CallPhase } from './local-states.js';
import type { WholeCode } from './whole-code.js';

/** What must hold in every reachable state. */
export const PROPERTIES = {
  fault: 'no instruction faults, or is a breakpoint that nobody handles',
  torn: 'no processor executes an instruction that belongs neither to the code before nor to the code after',
  stale: 'after the operation no processor executes an instruction that is not in memory any more',
  concurrent:
    'no A64 instruction is replaced under a processor, or executed by one that was not synchronised since, unless the Arm ARM allows it',
  mixture: 'each call returns what the code before or the code after returns',
  committed: 'a call that begins after the operation returns what the code after it returns',
  balanced: 'each call leaves the stack pointer and the nonvolatile registers as it found them',
  restored: 'after a revert the bytes of the base are the original ones',
  stuck: 'every processor can finish its call',
  deadlock: 'a processor that waits can be woken',
} as const;

export type PropertyName = keyof typeof PROPERTIES;

export interface Broken {
  readonly rule: PropertyName;
  readonly text: string;
}

/** The call by itself, before and after the operation. */
export interface AloneResults {
  readonly before: number;
  readonly after: number;
}

/** How one instruction ended. */
export type StepOutcome =
  | { readonly kind: 'ran'; readonly interrupted?: boolean }
  | { readonly kind: 'returned' }
  | { readonly kind: 'fault'; readonly text: string };

/** The judge of the single steps of one call. */
export class Properties {
  readonly expected: ExpectedResults;

  constructor(
    /** By changed page: does the call see it? */
    private readonly seen: readonly boolean[],
    private readonly graph: EngineGraph,
    private readonly whole: WholeCode,
    alone: AloneResults,
    expected: ExpectedResults | undefined,
    private readonly allows: (result: number) => boolean = () => false,
  ) {
    this.expected = { ...expected, ...alone };
    if (expected === undefined) return;
    for (const moment of ['before', 'after'] as const)
      if (alone[moment] !== expected[moment])
        throw new RangeError(
          `the call alone returns ${alone[moment]} ${moment} the operation; expected ${expected[moment]}`,
        );
  }

  /** What is wrong with executing `instruction` at `node` with the outcome `executed`. */
  judge(
    node: EngineNode,
    phase: CallPhase,
    view: FetchView,
    instruction: ExecutedInstruction,
    executed: Executed,
  ): Broken | undefined {
    const broken = this.judgeStep(node, view, instruction, executed);
    if (broken !== undefined || executed.kind !== 'returned') return broken;
    return this.judgeReturn(phase, executed);
  }

  /** The same, whatever the call returns. */
  judgeStep(
    node: EngineNode,
    view: FetchView,
    instruction: ExecutedInstruction,
    executed: StepOutcome,
  ): Broken | undefined {
    if (executed.kind === 'fault') return { rule: 'fault', text: executed.text };
    const isHandled = executed.kind === 'ran' && executed.interrupted === true;
    if (!isHandled && this.#isTorn(instruction)) {
      const bytes = Buffer.from(instruction.bytes).toString('hex');
      return { rule: 'torn', text: `${bytes} is an instruction of neither the old nor the new code` };
    }
    if (this.#isUnsynchronised(view, node, instruction))
      return {
        rule: 'concurrent',
        text: 'the processor has not been synchronised since the instruction was replaced',
      };
    if (node.committed && this.#isStale(view, node, instruction))
      return { rule: 'stale', text: 'the processor still fetches what was there before' };
    return undefined;
  }

  /**
   * What is wrong with what a call returned.
   * @param expected what the code before and the code after return from where the call began
   * @param allows whether another result of a call that met the operation is right
   */
  judgeReturn(
    phase: CallPhase,
    { result, unbalanced }: Pick<Executed & { kind: 'returned' }, 'result' | 'unbalanced'>,
    expected: Partial<ExpectedResults> = this.expected,
    allows: (result: number) => boolean = this.allows,
  ): Broken | undefined {
    const { before, after } = expected;
    const { during = [] } = this.expected;
    if (unbalanced !== undefined) return { rule: 'balanced', text: unbalanced };
    if (phase === 'after')
      return result === after || after === undefined
        ? undefined
        : {
            rule: 'committed',
            text: `the call began after the operation and returned ${result}, not ${after}`,
          };
    return result === before || result === after || during.includes(result) || allows(result)
      ? undefined
      : {
          rule: 'mixture',
          text: `the call returned ${result}: the old code returns ${before ?? 'nothing'}, the new ${after ?? 'nothing'}`,
        };
  }

  #isTorn(instruction: ExecutedInstruction): boolean {
    const { address, bytes } = instruction;
    return this.#touchesChange(address, bytes.length) && !this.whole.isWhole(instruction);
  }

  #isStale(view: FetchView, node: EngineNode, { address, bytes }: ExecutedInstruction): boolean {
    const end = address + BigInt(bytes.length);
    return this.graph.pages.some(({ addresses }, page) => {
      if (this.seen[page] !== true) return false;
      const seen = view[page] ?? 0;
      const current = node.memory[page] ?? 0;
      if (seen === 0 || seen === current) return false;
      const [old, now] = [this.graph.contents(page, seen), this.graph.contents(page, current)];
      return addresses.some((at, index) => at >= address && at < end && old[index] !== now[index]);
    });
  }

  #isUnsynchronised(view: FetchView, node: EngineNode, { address }: ExecutedInstruction): boolean {
    if (!LIMITS_CHANGES[this.graph.architecture]) return false;
    return this.graph.pages.some(({ base, addresses }, page) => {
      if (this.seen[page] !== true) return false;
      const seen = view[page] ?? 0;
      const current = node.memory[page] ?? 0;
      if (base !== (address & ~0xfffn) || seen === 0 || seen === current || !addresses.includes(address))
        return false;
      const [old, now] = [this.graph.word(page, seen, address), this.graph.word(page, current, address)];
      return old !== now && !mayChangeConcurrently(old, now);
    });
  }

  #touchesChange(address: bigint, length: number): boolean {
    const end = address + BigInt(length);
    return this.graph.pages.some(
      ({ addresses }, page) => this.seen[page] === true && addresses.some((at) => at >= address && at < end),
    );
  }
}

/** First and last moment of a protocol. */
export function endsOf({ nodes }: EngineGraph): { readonly first: EngineNode; readonly last: EngineNode } {
  const [first] = nodes;
  const last = nodes.find(({ committed }) => committed);
  if (first === undefined || last === undefined)
    throw new RangeError('a protocol has a first and a last state');
  return { first, last };
}

const LONGEST_CALL = 100_000;

/** Runs the call by itself, one instruction at a time, at both ends of the protocol; what it executes is whole. */
export function runAlone(executor: Executor, graph: EngineGraph, whole: WholeCode): AloneResults {
  const { first, last } = endsOf(graph);
  return { before: resultAt(executor, graph, first, whole), after: resultAt(executor, graph, last, whole) };
}

function resultAt(executor: Executor, graph: EngineGraph, node: EngineNode, whole: WholeCode): number {
  const view = graph.pages.map(() => 0);
  let guest = executor.initial;
  let shared = executor.shared.first;
  for (let left = LONGEST_CALL; left > 0; left--) {
    whole.add(executor.instruction(guest, view, node));
    const executed = executor.execute(guest, view, node, shared);
    if (executed.kind === 'returned') return executed.result;
    if (executed.kind === 'fault')
      throw refuse('exploration.call', `the call does not return even when it runs alone: ${executed.text}`);
    guest = executed.guest;
    shared = executed.shared;
  }
  throw refuse('exploration.call', `the call does not return within ${LONGEST_CALL} instructions`);
}
