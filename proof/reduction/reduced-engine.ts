import type { EngineEdge, EngineGraph, EngineNode } from '../explore/engine-graph.js';
import type { PlacedRange } from '../recording.js';

/** Steps of the engine that a processor notices as one, or not at all. */
export interface EngineMove {
  readonly to: number;
  /** Number of each step among those that are possible where it is done. */
  readonly choices: readonly number[];
  /** So many of them can be noticed; the others are done because nobody can. */
  readonly noticed: number;
  /** The steps. */
  readonly edges: readonly EngineEdge[];
}

/** What of the engine's work can be noticed by the calls, as far as is known. */
export interface Noticed {
  /** Is the changed byte ever fetched, read or written by a call? */
  isUsed(page: number, index: number): boolean;
  /** Does a call ever stand in the range? */
  isStoodIn(range: PlacedRange): boolean;
  /** Weak instruction fetch. */
  readonly isWeak: boolean;
}

/**
 * The engine's moments, less those that no call can tell from the moment before: steps that nobody notices are done at
 * once. What is done while no processor runs is one move.
 */
export class ReducedEngine {
  readonly #moves = new Map<number, readonly EngineMove[]>();
  /** By page and byte: the last step that changes it. */
  readonly #lastChange: readonly (readonly number[])[];
  readonly #used: readonly (readonly number[])[];
  /** By page and contents: the first contents with the same used bytes. */
  readonly #classes: Map<number, number>[];

  constructor(
    readonly graph: EngineGraph,
    private readonly noticed: Noticed,
  ) {
    this.#used = graph.pages.map(({ addresses }, page) =>
      addresses.flatMap((_, index) => (noticed.isUsed(page, index) ? [index] : [])),
    );
    this.#lastChange = lastChanges(graph);
    this.#classes = graph.pages.map((_, page) => this.#classesOf(page));
  }

  /** Where the engine is before its first noticeable step, and the steps that nobody notices until then. */
  get first(): EngineMove {
    return this.#goOn({ to: 0, choices: [], noticed: 0, edges: [] });
  }

  /** Pages of code with bytes that calls use. */
  isTelling(page: number): boolean {
    return (this.#used[page]?.length ?? 0) > 0 && this.graph.pages[page]?.executable === true;
  }

  /** Does no step from here on change the byte? */
  isSettled({ step }: EngineNode, page: number, index: number): boolean {
    return step > (this.#lastChange[page]?.[index] ?? -1);
  }

  /** The number that stands for all contents of the page in which the same used bytes are. */
  classOf(page: number, content: number): number {
    return this.#classes[page]?.get(content) ?? content;
  }

  /** What the engine may do next. */
  moves(from: number): readonly EngineMove[] {
    const known = this.#moves.get(from);
    if (known !== undefined) return known;
    const moves = this.#movesFrom(from).map((move) => this.#goOn(move));
    this.#moves.set(from, moves);
    return moves;
  }

  #goOn(move: EngineMove): EngineMove {
    let at = move;
    for (;;) {
      const next = this.#movesFrom(at.to);
      const [only] = next.filter(({ edges }) => edges.every((edge) => edge.condition?.occupied !== true));
      if (only === undefined || next.some((one) => this.#isNoticed(at.to, one))) return at;
      at = {
        to: only.to,
        choices: [...at.choices, ...only.choices],
        noticed: at.noticed,
        edges: [...at.edges, ...only.edges],
      };
    }
  }

  /** One step, or all until the processors run again. Conditions that no call can fulfil are not met. */
  #movesFrom(from: number): EngineMove[] {
    const found: EngineMove[] = [];
    const visit = (node: number, choices: readonly number[], edges: readonly EngineEdge[]): void => {
      const possible = [...this.graph.node(node).edges.entries()].filter(
        ([, { condition }]) =>
          condition === undefined || !condition.occupied || this.#isAnyStoodIn(condition.ranges),
      );
      if (possible.length === 0 && node !== from)
        found.push({ to: node, choices, noticed: choices.length, edges });
      for (const [choice, edge] of possible) {
        const [all, done] = [
          [...choices, choice],
          [...edges, edge],
        ];
        if (this.graph.node(edge.to).gathered) visit(edge.to, all, done);
        else found.push({ to: edge.to, choices: all, noticed: all.length, edges: done });
      }
    };
    visit(from, [], []);
    return found;
  }

  #isAnyStoodIn(ranges: readonly PlacedRange[]): boolean {
    return ranges.some((range) => this.noticed.isStoodIn(range));
  }

  #isNoticed(from: number, { edges }: EngineMove): boolean {
    let node = this.graph.node(from);
    for (const edge of edges) {
      const to = this.graph.node(edge.to);
      if (this.#isStepNoticed(node, edge, to)) return true;
      node = to;
    }
    return node.gathered && node.edges.length === 0;
  }

  #isStepNoticed(from: EngineNode, edge: EngineEdge, to: EngineNode): boolean {
    const { noticed } = this;
    const { condition, hazards = [], serialises, refetched = [] } = edge;
    if (from.committed !== to.committed) return true;
    if (condition !== undefined && this.#isAnyStoodIn(condition.ranges)) return true;
    if (this.#isAnyStoodIn(hazards)) return true;
    if (from.unmapped.length !== to.unmapped.length && to.unmapped.some((range) => noticed.isStoodIn(range)))
      return true;
    if (noticed.isWeak) {
      if (serialises && this.graph.pages.some((_, page) => this.isTelling(page))) return true;
      if (refetched.some((page) => this.isTelling(page))) return true;
    }
    return from.memory.some((content, page) => {
      const after = to.memory[page] ?? content;
      return content !== after && this.classOf(page, content) !== this.classOf(page, after);
    });
  }

  #classesOf(page: number): Map<number, number> {
    const used = this.#used[page] ?? [];
    const first = new Map<string, number>();
    const classes = new Map<number, number>();
    for (let content = 1; content < this.graph.contentCount(page); content++) {
      const bytes = this.graph.contents(page, content);
      const key = used.map((index) => bytes[index]).join();
      const representative = first.get(key) ?? content;
      first.set(key, representative);
      classes.set(content, representative);
    }
    return classes;
  }
}

function lastChanges(graph: EngineGraph): number[][] {
  const last = graph.pages.map(({ addresses }) => addresses.map(() => -1));
  for (const { step, memory, edges } of graph.nodes)
    for (const { to } of edges)
      for (const [page, content] of graph.node(to).memory.entries()) {
        const before = memory[page] ?? 0;
        const ofPage = last[page];
        if (content === before || ofPage === undefined) continue;
        const [old, now] = [graph.contents(page, before), graph.contents(page, content)];
        for (const [index, at] of ofPage.entries())
          if (old[index] !== now[index]) ofPage[index] = Math.max(at, step);
      }
  return last;
}
