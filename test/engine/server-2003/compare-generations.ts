import { type EngineName, type HotPatch, Lab, type LoadedImage } from 'hotpatch-lab';
import { findSymbols, type PeImage, readImage } from 'hotpatch-lab/image';
import { buildHotPatch, buildHotPatch2003 } from '../../../builder/index.js';
import { fixture, fixtureBytes } from '../../support.js';

/** What is the same for both: one base, one fixed build, one call. */
const BASE = 'x64/base/packets.sys';
const FIXED = 'x64/fixed/packets.sys';
const PACKET = [1, 5, 10, 20, 30, 40, 50];

function source(path: string) {
  const image = readImage(fixtureBytes(path), { file: path });
  return { image, symbols: findSymbols({ image, path: fixture(path) }).table };
}

interface Measured {
  readonly name: string;
  readonly bytesOfTarget: number;
  readonly bytesOfPatch: number;
  readonly stores: number;
  readonly pages: number;
  readonly hops: number;
  readonly trampoline: string;
  readonly midFunction: number;
  readonly rollback: string;
  readonly gathered: string;
}

async function measure(name: string, engine: EngineName, hotpatch: PeImage): Promise<Measured> {
  using lab = await Lab.boot({ architecture: 'x64', engine });
  const base = source(BASE);
  const driver = lab.kernel.loadImage(base.image, { name: 'packets.sys', symbols: base.symbols });
  const target = driver.symbol('ReceivePacket');
  const packet = lab.allocate(Uint8Array.from(PACKET));
  const instructions = () => lab.kernel.callThread(driver.symbol('PacketsSeen')).instructions;
  const idle = instructions();
  const before = driver.codeBytes();
  const frames = lab.kernel.machine.memory.framesInUse;

  const inside = lab.startThread(target, [packet, 2]);
  lab.run({ until: inside.reaches(driver.symbol('Checksum')) });
  const events = lab.events.length;
  const patch: HotPatch = lab.engine.load(hotpatch);
  const steps = lab.events.slice(events);
  const stores = steps.filter(({ kind }) => kind === 'store');
  lab.run({ until: inside.returns() });
  const after = driver.codeBytes();
  const first = lab.kernel.domain.addressSpace.read(target, 2);
  const slot = trampolineOf(driver, target, first[1] ?? 0);
  const hops = hopsOf(lab, driver, target, packet);
  lab.engine.unload(patch);
  const restored = driver.codeBytes();
  if (instructions() !== idle) throw new Error('unpatched functions cost what they cost');
  const isIn = (line: string, module: string) => line.includes(`of ${module}`);
  return {
    name,
    bytesOfTarget: before.filter((byte, i) => byte !== after[i]).length,
    bytesOfPatch: stores.filter(({ text }) => isIn(text, 'packets_hp')).length,
    stores: stores.length,
    pages: lab.kernel.machine.memory.framesInUse - frames,
    hops,
    trampoline: slot,
    midFunction: inside.result ?? 0,
    rollback: restored.every((byte, i) => byte === before[i]) ? 'every byte' : 'not every byte',
    gathered: steps.some(({ kind }) => kind === 'rendezvous') ? 'held' : 'run on',
  };
}

/** How the entry's short jump goes on. */
function trampolineOf(driver: LoadedImage, entry: bigint, displacement: number): string {
  const space = driver.domain.addressSpace;
  const padding = entry + 2n + BigInt.asIntN(8, BigInt(displacement));
  const [opcode] = space.read(padding, 1);
  const distance = BigInt.asIntN(32, BigInt(space.readU32(padding + (opcode === 0xe9 ? 1n : 2n))));
  const next = padding + (opcode === 0xe9 ? 5n : 6n) + distance;
  const where =
    driver.hpat?.contains(next) === true ? 'HPAT behind the target' : 'a pointer in the target’s code page';
  return `${opcode === 0xe9 ? 'E9' : 'FF 25'} in the padding → ${where}`;
}

/** Instructions between the entry and the first one of the new function. */
function hopsOf(lab: Lab, driver: LoadedImage, target: bigint, packet: bigint): number {
  const thread = lab.startThread(target, [packet, 2]);
  let hops = 0;
  do {
    lab.run({ instructions: 1 });
    hops++;
  } while (driver.contains(thread.pc));
  lab.run({ until: thread.returns() });
  return hops;
}

export async function measureBoth(): Promise<readonly Measured[]> {
  const [base, fixed] = [source(BASE), source(FIXED)];
  const modern = readImage(buildHotPatch({ base, fixed }).bytes, { file: 'packets_hp.sys' });
  const old = readImage(buildHotPatch2003({ base, fixed, targetName: 'packets.sys' }).bytes, {
    file: 'packets_hp.sys',
  });
  return [await measure('2003', 'server-2003', old), await measure('modern', 'modern', modern)];
}

/** The table of docs/two-generations.md. */
export function tableOf(measured: readonly Measured[]): string {
  const row = (title: string, cell: (one: Measured) => string | number) =>
    `| ${title} | ${measured.map(cell).join(' | ')} |`;
  return [
    row('', ({ name }) => (name === '2003' ? 'Server 2003 SP1' : 'modern')),
    `|---|${measured.map(() => '---').join('|')}|`,
    row('bytes of functions and padding that change', ({ bytesOfTarget }) => bytesOfTarget),
    row('stores in all', ({ stores }) => stores),
    row('of them into the hotpatch image', ({ bytesOfPatch }) => bytesOfPatch),
    row('pages of memory more, hotpatch image and stack of the thread included', ({ pages }) => pages),
    row('the way of a call', ({ trampoline }) => trampoline),
    row('instructions until the new function begins', ({ hops }) => hops),
    row('processors during the stores', ({ gathered }) => gathered),
    row('a thread in mid-function returns', ({ midFunction }) => `${midFunction} (the old result)`),
    row('rollback brings back', ({ rollback }) => rollback),
  ].join('\n');
}
