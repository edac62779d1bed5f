import { openDatabase } from '../../campaign/store/sqlite.js';

/** Node has SQLite from 22.13 on; elsewhere better-sqlite3 does when it is installed: an optional peer dependency. */
export const hasSqlite = (() => {
  try {
    openDatabase(':memory:').close();
    return true;
  } catch (error) {
    console.warn(`SKIPPED: ${error instanceof Error ? error.message : String(error)}`);
    return false;
  }
})();
