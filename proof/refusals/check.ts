import type { ArchitectureName } from '../../cpu/index.js';
import { layoutOf, MANAGE_HOT_PATCH, manageHotPatch } from '../../engine/index.js';
import type { BuiltImage, PeImage } from '../../image/index.js';
import { Lab } from '../../lab/index.js';
import { type SystemState, sameState, systemState } from '../faults/system-state.js';
import { buildDamaged, type Damage, damageBase } from './damage.js';

/** What became of a damaged hotpatch image. */
export interface Refusal {
  /** Undefined when it was not refused, and where only the status is told. */
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

/** A fresh system that has the base, and the image that is to be loaded into it. */
async function prepare(damage: Damage): Promise<{ lab: Lab<'modern'>; base: BuiltImage; image: PeImage }> {
  const { architecture = 'x64', boot = {}, after, baseAt } = damage;
  const base = baseFor(architecture);
  const lab = await Lab.boot({ architecture, memorySize: 4 * 1024 * 1024, ...boot });
  try {
    lab.kernel.loadImage(base.image, baseAt === undefined ? {} : { dllBase: baseAt });
    if (after !== undefined) lab.engine.load(buildDamaged(base, undefined, after), { name: 'good.sys' });
    return { lab, base, image: buildDamaged(base, damage) };
  } catch (error) {
    lab[Symbol.dispose]();
    throw error;
  }
}

/** Loads the damaged image into a fresh system that has its base. */
export async function tryDamage(damage: Damage): Promise<Refusal> {
  const prepared = await prepare(damage);
  using lab = prepared.lab;
  const before = systemState(lab);
  const told = (rule: string | undefined, status: string | undefined, message: string): Refusal => ({
    rule,
    status,
    message,
    unchanged: isUnchanged(lab, before),
  });
  try {
    const { state } = lab.engine.load(prepared.image);
    return told(undefined, undefined, state);
  } catch (error) {
    if (!(error instanceof Error) || !('rule' in error) || !('status' in error)) throw error;
    const { rule, status } = error;
    const name = typeof status === 'object' && status !== null && 'name' in status ? status.name : status;
    return told(String(rule), String(name), error.message);
  }
}

const PATH = '\\??\\C:\\patch.sys';
const POINTER_SIZE = 8;
const VERSION = 1;

/**
 * Asks NtManageHotPatch(LoadPatch) for it instead, as an updater does. With `forBase` the request names the identity of
 * the base that the updater means.
 */
export async function tryDamageBySystemCall(
  damage: Damage,
  options: { readonly forBase?: boolean } = {},
): Promise<Refusal> {
  const { lab: opened, base, image } = await prepare(damage);
  using lab = opened;
  const { system, systemProcess } = lab.kernel;
  const { addressSpace } = system;
  const { size, offset } = layoutOf('loadPatch', POINTER_SIZE);
  const path = Buffer.from(PATH, 'utf16le');
  const text = lab.allocate(path, { domain: system });
  const request = lab.allocate(new Uint8Array(size), { domain: system });
  const field = (name: keyof typeof offset, by = 0) => request + BigInt((offset[name] ?? 0) + by);
  addressSpace.writeU32(request, VERSION);
  addressSpace.writeU16(field('patchPath'), path.length);
  addressSpace.writeU16(field('patchPath', 2), path.length);
  addressSpace.writeU64(field('patchPath', POINTER_SIZE), text);
  if (options.forBase === true) {
    addressSpace.writeU32(field('checkSum'), base.image.optionalHeader.checkSum);
    addressSpace.writeU32(field('timeDateStamp'), base.image.fileHeader.timeDateStamp);
  }
  const before = systemState(lab);
  const { name } = manageHotPatch(
    { kernel: lab.kernel, engine: lab.engine, openImage: (wanted) => (wanted === PATH ? image : undefined) },
    { addressSpace, domain: system, handles: systemProcess.handles, canLoadDrivers: true, inHostSilo: true },
    MANAGE_HOT_PATCH.LoadPatch,
    request,
    size,
  );
  return { rule: undefined, status: name, message: name, unchanged: isUnchanged(lab, before) };
}

function isUnchanged(lab: Lab, before: SystemState): boolean {
  return sameState(before, systemState(lab));
}
