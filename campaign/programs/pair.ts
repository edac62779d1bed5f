import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  attemptHotPatch,
  type BuildReport,
  type BuildSource,
  cacheFolder,
  MakeError,
  SingleBuilder,
} from '../../builder/index.js';
import type { ArchitectureName } from '../../cpu/index.js';
import { findSymbols, readImage } from '../../image/index.js';
import { compareBehaviour } from '../../proof/index.js';
import { CampaignError } from '../error.js';
import { Random } from '../random.js';
import { fixProgram } from './fix.js';
import { type ProgramCall, ProgramMaker } from './generate.js';
import { type CProgram, changedFunctions, textOfProgram } from './program.js';

/** A program, its fix, and how both are compiled and called. */
export interface Pair {
  readonly base: CProgram;
  readonly fixed: CProgram;
  readonly calls: readonly ProgramCall[];
  readonly isReset: boolean;
  readonly flags: readonly string[];
  readonly linkerFlags: readonly string[];
}

/** Of one program, until one changes it. */
const MOST_FIXES = 8;

const LEVELS = ['-O0', '-O1', '-O2', '-O2', '-O3', '-Os'] as const;

/** The pair of a number. */
export function pairOf(number: number): Pair {
  const random = new Random(number);
  const flags = [random.pick(LEVELS), ...(random.once(5) ? ['-fno-inline'] : [])];
  const linkerFlags = random.once(4) ? ['/opt:icf'] : [];
  const maker = new ProgramMaker(random);
  const { program, scope, calls, isReset } = maker.make();
  const text = textOfProgram(program);
  let fixed = program;
  for (let tries = 0; tries < MOST_FIXES && textOfProgram(fixed) === text; tries++)
    fixed = fixProgram(maker, program, scope);
  return { base: program, fixed, calls, isReset, flags, linkerFlags };
}

export interface PairOutcome {
  /** `right`, `refused`, `same`, `wrong`, `not compiled`. */
  readonly verdict: string;
  /** Rules that refused it. */
  readonly rules: readonly string[];
  readonly places: number;
  /** Calls in flight that were a mixture of both, which several activations in one call may be. */
  readonly mixtures: number;
  readonly problem?: { readonly rule: string; readonly message: string };
}

/** Places at which the patch lands in each call. */
const PLACES = 4;
/** Bytes of memory of a machine: a process with a small DLL. */
const MEMORY = 16 * 1024 * 1024;
/** How often the fixed build is made anew with more functions marked. */
const ROUNDS = 3;

/** Builds pairs for one architecture, makes hotpatches of them and compares what they do with what the fix does. */
export class PairTester implements Disposable {
  readonly #folder = mkdtempSync(join(tmpdir(), 'hotpatch-pairs-'));

  private constructor(private readonly builder: SingleBuilder) {}

  /** @throws CampaignError `tool.missing` */
  static async create(architecture: ArchitectureName): Promise<PairTester> {
    try {
      return new PairTester(await SingleBuilder.create(architecture, cacheFolder()));
    } catch (error) {
      if (!(error instanceof MakeError)) throw error;
      throw new CampaignError(
        'tool.missing',
        error.message,
        error.hint === undefined ? {} : { hint: error.hint },
      );
    }
  }

  async try(pair: Pair): Promise<PairOutcome> {
    const nothing = { rules: [], places: 0, mixtures: 0 };
    const { flags, linkerFlags } = pair;
    const build = async (of: 'base' | 'fixed', marked: readonly string[]): Promise<BuildSource> => {
      const text = textOfProgram(pair[of]);
      const folder = join(this.#folder, of);
      const built = await this.builder.build({
        image: 'program.dll',
        text,
        flags,
        linkerFlags,
        marked,
        folder,
      });
      const found = findSymbols(built.image);
      return {
        image: readImage(new Uint8Array(readFileSync(built.image)), { file: 'program.dll' }),
        symbols: found.table,
        pdb: found.pdb,
      };
    };
    let base: BuildSource;
    let fixed: BuildSource;
    let marked = changedFunctions(pair.base, pair.fixed);
    let attempt: ReturnType<typeof attemptHotPatch>;
    try {
      base = await build('base', []);
      fixed = await build('fixed', marked);
      attempt = attemptHotPatch({ base, fixed });
      for (let round = 1; round < ROUNDS && attempt.built === undefined; round++) {
        const more = attempt.report.suggestion.functions.filter((name) => !marked.includes(name));
        if (more.length === 0) break;
        marked = [...marked, ...more].sort();
        fixed = await build('fixed', marked);
        attempt = attemptHotPatch({ base, fixed });
      }
    } catch (error) {
      if (error instanceof MakeError)
        return {
          ...nothing,
          verdict: 'not compiled',
          problem: { rule: 'pair.notCompiled', message: error.message },
        };
      throw error;
    }
    const { built } = attempt;
    if (built === undefined) {
      const rules = refusals(attempt.report);
      return { ...nothing, verdict: rules.includes('patch.empty') ? 'same' : 'refused', rules };
    }
    const report = await compareBehaviour({
      base,
      fixed,
      patch: readImage(built.bytes, { file: 'program_hp.dll' }),
      patched: built.chunks
        .filter(({ direction, type }) => direction === 'forward' && type === 'FUNCTION')
        .flatMap(({ records }) => records.map(({ rva }) => rva)),
      calls: pair.calls.map((call) => ({ function: call.function, arguments: call.arguments.map(BigInt) })),
      places: PLACES,
      memorySize: MEMORY,
    });
    const { places, disagreements, mixtures } = report;
    // A call in flight may leave variables as neither program would: what later calls return is then nobody's.
    const wrong = disagreements.filter(({ kind }) => kind !== 'later' || pair.isReset);
    const [first] = wrong;
    const counts = { places, mixtures: mixtures.length, rules: [] };
    if (first === undefined) return { ...counts, verdict: 'right' };
    const { kind, call, at, observed, right } = first;
    const message = `${call}: ${observed} instead of ${right} (${kind}${at === undefined ? '' : ` at ${at}`}); ${flags.join(' ')} ${linkerFlags.join(' ')}`;
    return { ...counts, verdict: 'wrong', problem: { rule: `pair.${kind}`, message: message.trim() } };
  }

  [Symbol.dispose](): void {
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

const refusals = ({ findings }: BuildReport): string[] => [
  ...new Set(findings.filter(({ severity }) => severity === 'refusal').map(({ rule }) => rule)),
];
