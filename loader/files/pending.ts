/** An entry of PendingFileRenameOperations; without `to` the file is deleted. */
export interface PendingRename {
  readonly from: string;
  readonly to?: string;
}

/** What a disk must do for a boot to make the replacements that wait. */
export interface PendingTarget {
  exists(path: string): boolean;
  rename(from: string, to: string): void;
  delete(path: string): void;
  clear(): void;
}

/**
 * The Session Manager's work on PendingFileRenameOperations, in the order of the entries. The value is cleared when all of
 * them are done: after a power failure the next boot does them again, and skips those whose file has gone where it should.
 */
export function makePendingRenames(pending: readonly PendingRename[], disk: PendingTarget): void {
  if (pending.length === 0) return;
  for (const { from, to } of pending) {
    if (!disk.exists(from)) continue;
    if (to === undefined) disk.delete(from);
    else disk.rename(from, to);
  }
  disk.clear();
}
