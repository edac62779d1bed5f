import type { Ring } from './architecture/architecture.js';
import type { FaultAccess, FaultCause } from './exit.js';
import type { PageEntry, PageTable } from './page-table.js';
import type { PhysicalMemory } from './physical-memory.js';
import { EXECUTE, type Permissions, READ, WRITE } from './protection.js';

/** Who accesses memory: the ring and the virtual trust level of the code that runs, or that something is done for. */
export interface Accessor {
  readonly ring: Ring;
  readonly vtl: 0 | 1;
}

/** What a page allows in a trust level: its own protection, and below VTL1 what the second level leaves of it. */
export function permissionsIn(entry: PageEntry, vtl: 0 | 1, memory: PhysicalMemory): Permissions {
  const { frame } = entry;
  if (frame === undefined || vtl === 1) return entry.permissions;
  return entry.permissions & memory.secondLevel(frame);
}

/** Why a committed page refuses an access; undefined: it is allowed. The one rule for instructions and for the kernel model. */
export function forbidden(
  table: PageTable,
  entry: PageEntry,
  access: FaultAccess,
  { ring, vtl }: Accessor,
  memory: PhysicalMemory,
): FaultCause | undefined {
  if (table.range.vtl === 1 && vtl === 0) return 'secondLevel';
  const isUser = ring === 3;
  if (isUser ? table.range.mode === 'kernel' : table.range.mode === 'user' && access === 'execute')
    return 'ring';
  const bit = access === 'execute' ? EXECUTE : access === 'write' ? WRITE : READ;
  if ((entry.permissions & bit) === 0) return 'protection';
  if (entry.guard) return 'guard';
  return (permissionsIn(entry, vtl, memory) & bit) === 0 ? 'secondLevel' : undefined;
}
