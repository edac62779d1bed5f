import type { ImageArchitecture } from '../../image/index.js';
import { LibraryProcess, tell } from './caller.js';
import { CASES, type KnownCase } from './cases.js';
import type { Evaluated, Made } from './evaluate.js';

/** What a fix does to running code, on one architecture. */
export interface Ran {
  readonly architecture: string;
  /** What the crafted input does in the base, in the fixed build alone, and in the base with its hotpatch. */
  readonly base: string;
  readonly fixed: string;
  readonly patched: string;
  /** An ordinary input does the same in all three. */
  readonly ordinary: boolean;
  /** A call that was under way when the hotpatch came ends as in the base. Undefined: it reaches no patched function. */
  readonly midExecution?: boolean;
  /** After the hotpatch is taken back, every byte of code is the base's, and the crafted input does what it did. */
  readonly rolledBack: boolean;
  /** Host microseconds of applying it. */
  readonly microseconds: number;
}

/** Does the base misbehave, and the patched base not, and as the fixed build? */
export function isShown({ base, fixed, patched, ordinary, rolledBack, midExecution }: Ran): boolean {
  return base !== fixed && patched === fixed && ordinary && rolledBack && midExecution !== false;
}

/** Runs the crafted inputs of a fix, on each architecture that has a hotpatch. */
export function runCase(
  { package: name, patch, made }: Evaluated,
  architectures?: readonly ImageArchitecture[],
): Ran[] {
  const known = CASES[name]?.[patch.file];
  if (known === undefined) return [];
  return made.flatMap((one) =>
    one.verdict === 'patched' && (architectures?.includes(one.architecture) ?? true) ? runOn(known, one) : [],
  );
}

function runOn(known: KnownCase, { architecture, base, fixed, hotPatch, functions }: Made): Ran[] {
  if (base === undefined || fixed === undefined || hotPatch === undefined) return [];
  const fresh = (image: string, story: KnownCase['crafted'], patch?: string): string => {
    using process = new LibraryProcess(image);
    if (patch !== undefined) process.patch(patch);
    return tell(process, story);
  };
  const ordinary = known.ordinary ?? known.crafted;
  const expected = known.ordinary === undefined ? '' : fresh(base, ordinary);
  const sameOrdinary =
    known.ordinary === undefined ||
    (!expected.startsWith('fault') &&
      fresh(fixed, ordinary) === expected &&
      fresh(base, ordinary, hotPatch) === expected);
  const middle =
    known.ordinary === undefined ? undefined : midExecution(base, hotPatch, ordinary, functions, expected);
  const back = rollBack(base, hotPatch, known.crafted);
  const before = fresh(base, known.crafted);
  return [
    {
      architecture,
      base: before,
      fixed: fresh(fixed, known.crafted),
      patched: fresh(base, known.crafted, hotPatch),
      ordinary: sameOrdinary,
      ...(middle === undefined ? {} : { midExecution: middle }),
      rolledBack: back.isSame && back.outcome === before,
      microseconds: back.microseconds,
    },
  ];
}

/** Applies the hotpatch when the story has just entered a function that it changes. */
function midExecution(
  base: string,
  hotPatch: string,
  story: KnownCase['crafted'],
  functions: readonly string[],
  expected: string,
): boolean | undefined {
  using process = new LibraryProcess(base);
  const starts = process.entries(functions);
  let isPatched = false;
  type Arguments = Parameters<LibraryProcess['start']> extends [string, ...infer A] ? A : never;
  const call = (name: string, args: Arguments): bigint => {
    const thread = process.start(name, ...args);
    if (!isPatched) {
      const isEntry = functions.includes(name);
      if (!isEntry)
        process.kernel.run({
          until: [...starts.map((address) => thread.reaches(address)), thread.returns()],
        });
      if (!thread.finished) {
        // Past the entry, in the middle of the old function.
        process.kernel.run({ until: thread.returns(), instructions: isEntry ? 12 : 4 });
        if (!thread.finished) {
          process.patch(hotPatch);
          isPatched = true;
        }
      }
    }
    return process.finish(thread);
  };
  const watching = new Proxy(process, {
    get(target, key) {
      if (key === 'call') return (name: string, ...args: Arguments) => call(name, args);
      if (key === 'int')
        return (name: string, ...args: Arguments) => Number(BigInt.asIntN(32, call(name, args)));
      const value: unknown = Reflect.get(target, key, target);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
  const outcome = tell(watching, story);
  return isPatched ? outcome === expected : undefined;
}

function rollBack(base: string, hotPatch: string, story: KnownCase['crafted']) {
  using process = new LibraryProcess(base);
  const before = process.code();
  const microseconds = process.patch(hotPatch);
  process.unpatch();
  const isSame = Buffer.compare(before, process.code()) === 0;
  return { isSame, microseconds, outcome: tell(process, story) };
}
