import { HOT_PATCH_RULES, hotPatchRule, isHotPatchRule, ntStatus } from 'hotpatch-lab/image';
import { describe, expect, it } from 'vitest';
import { DAMAGES, type Damage, tryDamage, tryDamageBySystemCall } from '../../proof/index.js';

/** The status that the damage, or else its rule, stands for. */
function statusOf({ status, rule }: Damage): string | undefined {
  return status ?? (isHotPatchRule(rule) ? hotPatchRule(rule).status.name : undefined);
}

describe('hotpatch images that must be refused', () => {
  it('are at least a hundred, each with a name of its own', () => {
    expect(DAMAGES.length).toBeGreaterThanOrEqual(100);
    expect(new Set(DAMAGES.map(({ name }) => name)).size).toBe(DAMAGES.length);
    for (const { status } of DAMAGES)
      if (status !== undefined) ntStatus(status as Parameters<typeof ntStatus>[0]);
  });

  it.each(DAMAGES)('$name: $rule', async (damage) => {
    const refusal = await tryDamage(damage);
    expect(refusal.rule).toBe(damage.rule);
    const status = statusOf(damage);
    if (status === undefined) expect(refusal.status).toMatch(/^STATUS_(?!SUCCESS)/);
    else expect(refusal.status).toBe(status);
    expect(refusal.unchanged).toBe(true);
  });

  it.each(DAMAGES.filter((_, index) => process.env.HOTPATCH_PROOF === 'all' || index % 4 === 0))(
    'NtManageHotPatch(LoadPatch) answers $name with the same status',
    async (damage) => {
      const { status } = await tryDamage(damage);
      expect(await tryDamageBySystemCall(damage)).toMatchObject({ status, unchanged: true });
    },
  );

  it.each(['originalCheckSum', 'originalTimeDateStamp'] as const)(
    'or wait when their %s is that of no base; an updater that names the base hears STATUS_REVISION_MISMATCH',
    async (field) => {
      const damage: Damage = {
        name: `another ${field}`,
        rule: 'identity',
        table: ({ table }) => ({
          ...table,
          bases: table.bases.map((base) => ({ ...base, [field]: base[field] + 1 })),
        }),
      };
      expect(await tryDamage(damage)).toMatchObject({ rule: undefined, message: 'deferred' });
      expect(await tryDamageBySystemCall(damage)).toMatchObject({ status: 'STATUS_PATCH_DEFERRED' });
      const named = await tryDamageBySystemCall(damage, { forBase: true });
      expect(named).toMatchObject({ status: 'STATUS_REVISION_MISMATCH', unchanged: true });
    },
  );

  it('include every rule of the table that a hotpatch image can break', () => {
    const damaged = new Set(DAMAGES.map(({ rule }) => rule));
    const elsewhere = [
      'image.machine',
      'loadConfig.bounds',
      'image.chpe',
      'chunk.header',
      'chunk.noExtent',
      'record.relocation',
      'identity.checkSum',
      'identity.timeDateStamp',
    ];
    expect(
      HOT_PATCH_RULES.map(({ id }) => id).filter((id) => !damaged.has(id) && !elsewhere.includes(id)),
    ).toEqual([]);
  });
});
