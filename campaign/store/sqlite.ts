import { createRequire } from 'node:module';
import { CampaignError } from '../error.js';

export type SqlValue = string | number | bigint | null | Uint8Array;
export type Row = Readonly<Record<string, SqlValue>>;

export interface Statement {
  run(...values: SqlValue[]): unknown;
  get(...values: SqlValue[]): unknown;
  all(...values: SqlValue[]): unknown[];
}

/** What `node:sqlite` and `better-sqlite3` have in common, which is all that is needed. */
export interface Database {
  exec(text: string): unknown;
  prepare(text: string): Statement;
  close(): void;
}

interface NodeSqlite {
  readonly DatabaseSync: new (path: string) => Database;
}
type BetterSqlite = new (path: string) => Database;

const require = createRequire(import.meta.url);

/**
 * Opens an SQLite database: by Node's own SQLite where Node has it (22.13 and later without a flag), else by the optional
 * peer dependency better-sqlite3.
 * @throws CampaignError `sqlite.missing`
 */
export function openDatabase(path: string): Database {
  const own = attempt<NodeSqlite>('node:sqlite');
  if (own !== undefined) return new own.DatabaseSync(path);
  const better = attempt<BetterSqlite>('better-sqlite3');
  if (better !== undefined) return new better(path);
  throw new CampaignError(
    'sqlite.missing',
    `Node ${process.versions.node} has no SQLite, and better-sqlite3 cannot be loaded`,
    {
      hint: 'npm install better-sqlite3, which needs a compiler where it has no binary; or use Node 22.13 or later',
    },
  );
}

function attempt<T>(name: string): T | undefined {
  try {
    return require(name) as T;
  } catch {
    return undefined;
  }
}
