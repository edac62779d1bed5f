import { ByteMap } from './byte-map.js';
import { CHANGED } from './run.js';
import type { CallRunner } from './run-through.js';

/** Bytes of data that several processors use and at least one of them gives another value. */
export interface Conflicts {
  readonly size: number;
  /** Each byte once, as the call of a role sees it. */
  readonly bytes: readonly { readonly role: number; readonly address: bigint }[];
  /** The bytes that a role uses. */
  of(role: number): ByteMap;
}

export interface SavedConflicts {
  readonly bytes: Conflicts['bytes'];
  readonly byRole: readonly ReadonlyMap<number, Uint8Array>[];
}

export function saveConflicts(conflicts: Conflicts, roles: number): SavedConflicts {
  const byRole = Array.from({ length: roles }, (_, role) => conflicts.of(role).save());
  return { bytes: conflicts.bytes, byRole };
}

export function restoreConflicts({ bytes, byRole }: SavedConflicts): Conflicts {
  const maps = byRole.map((pages) => {
    const map = new ByteMap();
    map.restore(pages);
    return map;
  });
  return { size: bytes.length, bytes, of: (role) => maps[role] ?? new ByteMap() };
}

export const NO_CONFLICTS: Conflicts = { size: 0, bytes: [], of: () => new ByteMap() };

/** @param roles by processor */
export function conflictsOf(runners: readonly CallRunner[], roles: readonly number[]): Conflicts {
  const counts = runners.map((_, role) => roles.filter((one) => one === role).length);
  const users = new Map<object, Map<bigint, { role: number; flags: number }[]>>();
  for (const [role, runner] of runners.entries()) {
    const { addressSpace } = runner.options.processor;
    for (const [address, flags] of runner.data) {
      // What the engine changes is ordered with everything that uses it anyway.
      if (runner.options.visible.byteAt(address) !== undefined) continue;
      const table = addressSpace.tableOfPage(Number(address >> 12n));
      if (table === undefined) continue;
      const ofTable = users.get(table) ?? new Map<bigint, { role: number; flags: number }[]>();
      users.set(table, ofTable);
      const list = ofTable.get(address);
      if (list === undefined) ofTable.set(address, [{ role, flags }]);
      else list.push({ role, flags });
    }
  }
  const bytes: { role: number; address: bigint }[] = [];
  const byRole = runners.map(() => new ByteMap());
  for (const ofTable of users.values())
    for (const [address, list] of ofTable) {
      const processors = list.reduce((sum, { role }) => sum + (counts[role] ?? 0), 0);
      const isChanged = list.some(({ flags }) => (flags & CHANGED) !== 0);
      const [first] = list;
      if (processors < 2 || !isChanged || first === undefined) continue;
      bytes.push({ role: first.role, address });
      for (const { role } of list) byRole[role]?.add(address, 1, 1);
    }
  return { size: bytes.length, bytes, of: (role) => byRole[role] ?? new ByteMap() };
}
