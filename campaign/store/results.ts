import { existsSync, readFileSync } from 'node:fs';
import { CampaignError } from '../error.js';
import { kindNamed } from '../kinds/index.js';
import { type Plan, type PlannedUnit, planId } from '../plan.js';
import {
  canonicalJson,
  type Finding,
  type FindingInput,
  findingId,
  type Json,
  type Outcome,
  sha256,
  type Unit,
} from '../unit.js';
import { type Database, openDatabase, type Row, type SqlValue } from './sqlite.js';

/** An outcome with how long it took, which no two runs have in common. */
export interface Performed {
  readonly outcome: Outcome;
  readonly seconds: number;
  /** Which process, on which machine. */
  readonly worker: string;
}

/** A finding as it is kept. */
export interface StoredFinding {
  readonly id: string;
  readonly rule: string;
  readonly message: string;
  /** The smallest unit that shows it. */
  readonly unit: Unit;
  /** By name, the SHA-256 of each. */
  readonly inputs: readonly { readonly name: string; readonly sha256: string; readonly size: number }[];
}

export interface UnitState {
  readonly id: string;
  readonly position: number;
  readonly kind: string;
  readonly row: string;
  readonly column: string;
  readonly done: boolean;
  readonly cases: number;
  readonly counts: Readonly<Record<string, number>>;
  readonly seconds: number;
  /** Milliseconds since 1970. */
  readonly finishedAt: number;
  readonly worker: string;
}

const FORMAT = '1';

const SCHEMA = `
CREATE TABLE IF NOT EXISTS campaign (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS units (
  id TEXT PRIMARY KEY, position INTEGER NOT NULL, kind TEXT NOT NULL, matrix_row TEXT NOT NULL,
  matrix_column TEXT NOT NULL, unit TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS units_by_position ON units (position);
CREATE TABLE IF NOT EXISTS outcomes (
  id TEXT PRIMARY KEY REFERENCES units (id), cases INTEGER NOT NULL, counts TEXT NOT NULL, findings TEXT NOT NULL,
  seconds REAL NOT NULL, worker TEXT NOT NULL, finished_at INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS findings (
  id TEXT PRIMARY KEY, rule TEXT NOT NULL, message TEXT NOT NULL, unit TEXT NOT NULL, inputs TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS inputs (sha256 TEXT PRIMARY KEY, bytes BLOB NOT NULL) WITHOUT ROWID;
`;

const SQLITE_MAGIC = 'SQLite format 3\0';

/** The results of a campaign in one SQLite file. What is once in it stays: a unit that is done twice counts once. */
export class Results implements Disposable {
  readonly #database: Database;

  private constructor(database: Database) {
    this.#database = database;
  }

  /**
   * The file of a campaign that is going to be run; made if there is none.
   * @throws CampaignError `results.format`, `results.campaign`, `sqlite.missing`
   */
  static create(path: string, plan: Pick<Plan, 'name'>): Results {
    const results = Results.#open(path);
    const known = results.#property('name');
    if (known !== undefined && known !== plan.name) {
      results[Symbol.dispose]();
      throw new CampaignError(
        'results.campaign',
        `it holds the results of '${known}', not of '${plan.name}'`,
        {
          place: path,
          hint: 'name another file with --results',
        },
      );
    }
    results.#set('format', FORMAT);
    results.#set('name', plan.name);
    return results;
  }

  /** @throws CampaignError `results.format` when the file is not there, or no campaign has written it */
  static open(path: string): Results {
    if (!existsSync(path))
      throw new CampaignError('results.format', 'there is no such file', { place: path });
    const results = Results.#open(path);
    if (results.#property('format') === FORMAT) return results;
    results[Symbol.dispose]();
    throw new CampaignError('results.format', 'no campaign has written this file', { place: path });
  }

  static #open(path: string): Results {
    if (existsSync(path)) {
      const start = readFileSync(path).subarray(0, SQLITE_MAGIC.length).toString('latin1');
      if (start !== '' && start !== SQLITE_MAGIC)
        throw new CampaignError('results.format', 'it is no SQLite database', { place: path });
    }
    const database = openDatabase(path);
    try {
      // A journal beside the file: what is committed outlives the process and the machine.
      database.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA busy_timeout = 10000;');
      database.exec(SCHEMA);
    } catch (error) {
      database.close();
      const message = error instanceof Error ? error.message : String(error);
      throw new CampaignError('results.format', message, { place: path, cause: error });
    }
    return new Results(database);
  }

  get name(): string {
    return this.#property('name') ?? '';
  }

  /** Notes the units of a plan. What an earlier plan of the same campaign had is kept. */
  plan(plan: Plan, units: Iterable<PlannedUnit>): void {
    const insert = this.#database.prepare('INSERT OR IGNORE INTO units VALUES (?, ?, ?, ?, ?, ?)');
    this.#inTransaction(() => {
      this.#set(`plan ${planId(plan)}`, canonicalJson(plan as unknown as Json));
      const { most } = this.#one('SELECT coalesce(max(position), -1) AS most FROM units') ?? {};
      const start = this.count.units === 0 ? 0 : Number(most) + 1;
      for (const { id, position, unit } of units) {
        const { row, column } = kindNamed(unit.kind).cell(unit);
        insert.run(id, start + position, unit.kind, row, column, canonicalJson(unit));
      }
    });
  }

  /** Those that have no outcome yet, in the order of the plan. With a share: every so-manyeth of all. */
  remaining(share?: { readonly index: number; readonly of: number }): { id: string; unit: Unit }[] {
    const rows = this.#all(
      `SELECT units.id AS id, unit FROM units LEFT JOIN outcomes ON outcomes.id = units.id
       WHERE outcomes.id IS NULL AND (position % ?) = ? ORDER BY position`,
      share?.of ?? 1,
      share?.index ?? 0,
    );
    return rows.map(({ id, unit }) => ({ id: String(id), unit: JSON.parse(String(unit)) as Unit }));
  }

  isDone(id: string): boolean {
    return this.#one('SELECT id FROM outcomes WHERE id = ?', id) !== undefined;
  }

  /**
   * Keeps what a unit has come to. A second outcome of the same unit changes nothing when it is the same; when it is not,
   * that is a finding: units are pure.
   * @returns whether it is the first one
   */
  add(id: string, unit: Unit, { outcome, seconds, worker }: Performed): boolean {
    const found = outcome.findings.map((finding) => ({ finding, id: findingId(finding) }));
    const [counts, findings] = [canonicalJson(outcome.counts), canonicalJson(found.map((one) => one.id))];
    return this.#inTransaction(() => {
      const known = this.#one('SELECT cases, counts, findings FROM outcomes WHERE id = ?', id);
      if (known !== undefined) {
        const isSame =
          known.cases === outcome.cases && known.counts === counts && known.findings === findings;
        if (!isSame) this.#addFinding(unlikeItself(unit, String(known.counts), counts));
        return false;
      }
      for (const { finding } of found) this.#addFinding(finding);
      this.#database
        .prepare('INSERT INTO outcomes VALUES (?, ?, ?, ?, ?, ?, ?)')
        .run(id, outcome.cases, counts, findings, seconds, worker, Date.now());
      return true;
    });
  }

  #addFinding(finding: Finding): void {
    const { rule, message, unit, inputs } = finding;
    const kept = inputs.map((input) => this.#keep(input));
    this.#database
      .prepare('INSERT OR IGNORE INTO findings VALUES (?, ?, ?, ?, ?)')
      .run(findingId(finding), rule, message, canonicalJson(unit), canonicalJson(kept));
  }

  #keep({ name, bytes }: FindingInput): { name: string; sha256: string; size: number } {
    const hash = sha256(bytes);
    this.#database.prepare('INSERT OR IGNORE INTO inputs VALUES (?, ?)').run(hash, Buffer.from(bytes));
    return { name, sha256: hash, size: bytes.length };
  }

  /** Takes over what another file of the same campaign has: units, outcomes, findings, inputs. */
  merge(other: Results): void {
    const tables = ['campaign', 'units', 'outcomes', 'findings', 'inputs'];
    this.#inTransaction(() => {
      for (const table of tables)
        for (const row of other.#all(`SELECT * FROM ${table}`)) {
          const values = Object.values(row);
          const places = values.map(() => '?').join();
          this.#database.prepare(`INSERT OR IGNORE INTO ${table} VALUES (${places})`).run(...values);
        }
    });
  }

  /** Every unit, in the order of the plan. */
  units(): UnitState[] {
    return this.#all(
      `SELECT units.id AS id, position, kind, matrix_row, matrix_column, cases, counts, seconds, worker, finished_at
       FROM units LEFT JOIN outcomes ON outcomes.id = units.id ORDER BY position, units.id`,
    ).map((row) => ({
      id: String(row.id),
      position: Number(row.position),
      kind: String(row.kind),
      row: String(row.matrix_row),
      column: String(row.matrix_column),
      done: row.counts !== null,
      cases: Number(row.cases ?? 0),
      counts: JSON.parse(String(row.counts ?? '{}')) as Record<string, number>,
      seconds: Number(row.seconds ?? 0),
      worker: String(row.worker ?? ''),
      finishedAt: Number(row.finished_at ?? 0),
    }));
  }

  /** In the order of their rules and names. */
  findings(): StoredFinding[] {
    return this.#all('SELECT * FROM findings ORDER BY rule, id').map(findingOf);
  }

  /**
   * The finding whose name begins with these digits.
   * @throws CampaignError `results.finding`
   */
  finding(name: string): StoredFinding {
    const all = this.findings().filter(({ id }) => id.startsWith(name));
    const [only, ...others] = all;
    if (only !== undefined && others.length === 0 && name !== '') return only;
    throw new CampaignError(
      'results.finding',
      only === undefined ? `there is no finding '${name}'` : `'${name}' may be any of ${all.length} findings`,
      { hint: 'hotpatch campaign status lists them' },
    );
  }

  /** The bytes of an input of a finding. */
  input(hash: string): Uint8Array {
    const bytes = this.#one('SELECT bytes FROM inputs WHERE sha256 = ?', hash)?.bytes;
    if (bytes instanceof Uint8Array) return bytes;
    throw new CampaignError('results.finding', `the input ${hash} is not in the file`);
  }

  get count(): { readonly units: number; readonly done: number; readonly findings: number } {
    const number = (table: string) => Number(this.#one(`SELECT count(*) AS n FROM ${table}`)?.n);
    return { units: number('units'), done: number('outcomes'), findings: number('findings') };
  }

  #property(name: string): string | undefined {
    const value = this.#one('SELECT value FROM campaign WHERE name = ?', name)?.value;
    return value === undefined ? undefined : String(value);
  }

  #set(name: string, value: string): void {
    this.#database.prepare('INSERT OR REPLACE INTO campaign VALUES (?, ?)').run(name, value);
  }

  #one(text: string, ...values: SqlValue[]): Row | undefined {
    return this.#database.prepare(text).get(...values) as Row | undefined;
  }

  #all(text: string, ...values: SqlValue[]): Row[] {
    return this.#database.prepare(text).all(...values) as Row[];
  }

  #inTransaction<T>(action: () => T): T {
    this.#database.exec('BEGIN IMMEDIATE');
    try {
      const result = action();
      this.#database.exec('COMMIT');
      return result;
    } catch (error) {
      this.#database.exec('ROLLBACK');
      throw error;
    }
  }

  [Symbol.dispose](): void {
    this.#database.close();
  }
}

function findingOf(row: Row): StoredFinding {
  return {
    id: String(row.id),
    rule: String(row.rule),
    message: String(row.message),
    unit: JSON.parse(String(row.unit)) as Unit,
    inputs: JSON.parse(String(row.inputs)) as StoredFinding['inputs'],
  };
}

const unlikeItself = (unit: Unit, first: string, second: string): Finding => ({
  rule: 'unit.notPure',
  message: `it came to ${first} at first, to ${second} when it was done again`,
  unit,
  inputs: [],
});
