import { basename } from 'node:path';
import type { HotPatch, Patch, Patch2003, StoreTarget } from '../../engine/index.js';
import { findSymbols, moduleIdText, readImage, readNamedFile } from '../../image/index.js';
import { formatBytes, hex, type LoadedImage } from '../../loader/index.js';
import type { DebugCommand } from '../command.js';
import { DebugError } from '../error.js';
import { slotTarget } from '../hops.js';
import type { View } from '../view.js';

export const hotpatchCommands: readonly DebugCommand[] = [
  {
    name: '!hpat',
    usage: '!hpat [MODULE]',
    help: 'the Hotpatch Address Tables: slots, who owns them, where they lead',
    run: ({ view, args }) => {
      const images = args === '' ? view.images : [view.image(args)];
      return images.flatMap((image) => hpatLines(view, image));
    },
  },
  {
    name: '!hotpatch',
    usage: '!hotpatch',
    help: 'the patches: state, base, records, and the undo table',
    run: ({ view }) => {
      const patches: readonly (Patch | Patch2003)[] = view.lab.engine.patches;
      return patches.length === 0
        ? ['no patch is loaded']
        : patches.flatMap((patch) =>
            patch.engine === 'modern' ? patchLines(view, patch) : patchLines2003(view, patch),
          );
    },
  },
  {
    name: '.patch',
    usage: '.patch FILE',
    help: 'apply a hotpatch image, here and now',
    run: ({ view, args }) => {
      const image = readImage(readNamedFile(args), { file: args });
      const symbols = findSymbols({ image, path: args }).table;
      view.session.act(({ engine }) => engine.load(image, { name: basename(args), symbols }), view.thread);
      return [];
    },
  },
  {
    name: '.unpatch',
    usage: '.unpatch [PATCH]',
    help: 'take a patch back; default: the newest one in force',
    run: ({ view, args }) => {
      const { name } = patchNamed(view, args);
      view.session.act(({ engine }) => {
        const patches: readonly HotPatch[] = engine.patches;
        const patch = patches.findLast((candidate) => candidate.name === name);
        if (patch !== undefined) engine.unload(patch);
      }, view.thread);
      return [];
    },
  },
];

function patchNamed(view: View, name: string): HotPatch {
  const patches: readonly HotPatch[] = view.lab.engine.patches;
  const patch = patches.findLast((candidate) =>
    name === ''
      ? candidate.state === 'applied'
      : candidate.name.replace(/\.[^.]*$/, '') === name || candidate.name === name,
  );
  if (patch === undefined)
    throw new DebugError(`there is no patch ${name === '' ? 'in force' : `'${name}'`}; !hotpatch lists them`);
  return patch;
}

function hpatLines(view: View, image: LoadedImage): string[] {
  const { hpat } = image;
  const record = view.recordOf(image);
  if (hpat === undefined || record === undefined) return [];
  const end = hpat.base + BigInt(hpat.reserveSize);
  const { usedSlots } = record;
  const memory = hpat.committed ? `${usedSlots} of ${hpat.capacity} slots used` : 'reserved, without memory';
  const lines = [`HPAT of ${image.baseDllName}: ${view.format(hpat.base)} to ${view.format(end)}, ${memory}`];
  if (!hpat.committed) return lines;
  for (let slot = 0; slot < usedSlots; slot++) {
    const rva = record.slotOwner(slot);
    const name = rva === undefined ? '(no function)' : image.describe(image.address(rva));
    // Only base images have an undo table: a function that is not in it runs its original code again.
    const isReverted = image.loadReason !== 'PatchImage' && record.undo.get(slot) === undefined;
    const owner = isReverted ? `${name} (reverted)` : name;
    const target = slotTarget(view, image, slot) ?? 0n;
    const code = hpat.codeSlot(slot);
    lines.push(
      `  slot ${slot}  ${code === undefined ? '' : `code ${view.format(code)}  `}data ${view.format(hpat.dataSlot(slot))}  ${owner} → ${view.describe(target)}`,
    );
  }
  return lines;
}

function patchLines(view: View, patch: Patch): string[] {
  const lines = [
    `${patch.name}  sequence ${patch.sequenceNumber}  ${patch.state}  ${patch.status.name}`,
    `    for the image with checksum ${hex(patch.originalCheckSum)}, timestamp ${hex(patch.originalTimeDateStamp)}`,
    ...patch.description.chunks.map(
      ({ direction, type, records }) => `    ${direction} ${type}: ${records.length} record(s)`,
    ),
  ];
  for (const { base, loaded, functions } of patch.applications) {
    const { image, undo } = base;
    lines.push(
      `    ${image.baseDllName} (${image.hotPatchState}) → ${loaded.baseDllName} at ${view.format(loaded.dllBase)} (${loaded.hotPatchState}), ${functions} function(s)`,
    );
    for (const [slot, { rva, entryBytes, paddingBytes }] of undo)
      lines.push(
        `    undo ${slot}: ${image.describe(image.address(rva))} was ${formatBytes(entryBytes)}${paddingBytes.length === 0 ? '' : `, padding ${formatBytes(paddingBytes)}`}`,
      );
  }
  return lines;
}

/** Where a hook of 2003 is. */
const PLACE_TEXT: Readonly<Partial<Record<StoreTarget, string>>> = { padding: 'jump in the padding' };

function patchLines2003(view: View, patch: Patch2003): string[] {
  const { hotp1, applications } = patch;
  const lines = [
    `${patch.name}  Server 2003 (.hotp1)  ${patch.state}  ${patch.status.name}`,
    `    for ${hotp1.targetName}, identified by ${moduleIdText(hotp1)}`,
    `    ${hotp1.hooks.length} hook(s), ${hotp1.validations.length} validation(s), ${hotp1.fixupRegions.length} fixup region(s)`,
  ];
  for (const { target, loaded, functions, active, hooks } of applications) {
    lines.push(
      `    ${target.baseDllName} in ${target.domain.name} (${active ? 'active' : 'inactive'}) → ${loaded.baseDllName} at ${view.format(loaded.dllBase)}, ${functions} function(s)`,
    );
    for (const { place, type, target: kind, symbol, location, pristine, dataBefore, bytes, left } of hooks)
      lines.push(
        `    ${place}: ${type}, ${PLACE_TEXT[kind] ?? kind} of ${symbol} at ${view.format(location)}, ${formatBytes(bytes)}, originally ${formatBytes(pristine ?? dataBefore ?? new Uint8Array())}${left ? ', left because a thread stood in it' : ''}`,
      );
  }
  return lines;
}
