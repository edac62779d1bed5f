import type { ArchitectureName } from '../../cpu/index.js';
import type { BuiltImage } from '../../image/index.js';
import { Lab } from '../../lab.js';
import { sameState, systemState } from '../faults/system-state.js';
import { buildDamaged, type Damage, damageBase } from './damage.js';

/** What became of a damaged hotpatch image. */
export interface Refusal {
  /** Undefined when it was not refused. */
  readonly rule: string | undefined;
  readonly status: string | undefined;
  readonly message: string;
  /** Memory and records are those from before. */
  readonly unchanged: boolean;
}

const bases = new Map<ArchitectureName, BuiltImage>();

function baseFor(architecture: ArchitectureName): BuiltImage {
  const known = bases.get(architecture);
  if (known !== undefined) return known;
  const built = damageBase(architecture);
  bases.set(architecture, built);
  return built;
}

/** Loads the damaged image into a fresh system that has its base. */
export async function tryDamage(damage: Damage): Promise<Refusal> {
  const { architecture = 'x64', boot = {}, after } = damage;
  const base = baseFor(architecture);
  using lab = await Lab.boot({ architecture, memorySize: 4 * 1024 * 1024, ...boot });
  lab.kernel.loadImage(base.image);
  if (after !== undefined) lab.engine.loadPatch(buildDamaged(base, undefined, after), { name: 'good.sys' });
  const before = systemState(lab);
  const told = (rule: string | undefined, status: string | undefined, message: string): Refusal => ({
    rule,
    status,
    message,
    unchanged: sameState(before, systemState(lab)),
  });
  try {
    const { state } = lab.engine.loadPatch(buildDamaged(base, damage));
    return told(undefined, undefined, state);
  } catch (error) {
    if (!(error instanceof Error) || !('rule' in error) || !('status' in error)) throw error;
    const { rule, status } = error;
    const name = typeof status === 'object' && status !== null && 'name' in status ? status.name : status;
    return told(String(rule), String(name), error.message);
  }
}
