import { Lab, type WindowsBuild } from 'hotpatch-lab';
import {
  type HotPatchCaller,
  layoutOf,
  MANAGE_HOT_PATCH,
  type ManageHotPatchClass,
  manageHotPatch,
} from 'hotpatch-lab/engine';
import { readImage } from 'hotpatch-lab/image';
import { fixtureBytes } from '../support.js';

export const FIELD = {
  loadPatch: layoutOf('loadPatch', 8).offset,
  unloadPatch: layoutOf('unloadPatch', 8).offset,
  queryPatches: layoutOf('queryPatches', 8).offset,
  queryActivePatches: layoutOf('queryActivePatches', 8).offset,
  querySinglePatch: layoutOf('querySinglePatch', 8).offset,
  createPatchSection: layoutOf('createPatchSection', 8).offset,
};

export const PATH = '\\??\\C:\\Windows\\Hotpatch\\packets_hp.sys';

/** The hotpatch of another base, demo.dll. */
export const OTHER_PATH = '\\??\\C:\\Windows\\Hotpatch\\demo_hp.dll';

export const readPatch = (file: string) => readImage(fixtureBytes(`x64/patch/${file}`), { file });

export async function boot({
  openImage,
  ...options
}: {
  hotPatchTableSize?: number;
  windowsBuild?: WindowsBuild | undefined;
  /** Opens hotpatch files in place of the two that there are. */
  openImage?: () => never;
} = {}) {
  const lab = await Lab.boot({ architecture: 'x64', ...options });
  const { addressSpace } = lab.kernel.domain;
  const patch = readPatch('packets_hp.sys');
  const identity = patch.hotPatch?.bases[0];
  const host = {
    kernel: lab.kernel,
    engine: lab.engine,
    openImage:
      openImage ??
      ((path: string) =>
        path === PATH ? patch : path === OTHER_PATH ? readPatch('demo_hp.dll') : undefined),
  };
  const { domain } = lab.kernel;
  const { handles } = lab.kernel.systemProcess;
  const admin: HotPatchCaller = { addressSpace, domain, handles, canLoadDrivers: true, inHostSilo: true };

  /** Lays out a request of `size` bytes, fills it in, and makes the call. */
  const call = (
    name: ManageHotPatchClass | number,
    version: number,
    size: number,
    fill: (at: (offset: number) => bigint) => void = () => undefined,
    caller = admin,
  ) => {
    const buffer = lab.allocate(new Uint8Array(0x68));
    addressSpace.writeU32(buffer, version);
    fill((offset) => buffer + BigInt(offset));
    const status = manageHotPatch(
      host,
      caller,
      typeof name === 'number' ? name : MANAGE_HOT_PATCH[name],
      buffer,
      size,
    );
    return { status: status.name, at: (offset: number) => buffer + BigInt(offset) };
  };
  const unicode = (at: bigint, text: string, capacity = 0x100) => {
    const bytes = Buffer.alloc(capacity);
    bytes.write(text, 'utf16le');
    addressSpace.writeU16(at, text.length * 2);
    addressSpace.writeU16(at + 2n, capacity);
    addressSpace.writeU64(at + 8n, lab.allocate(bytes));
  };
  const load = (path = PATH, fill: (at: (offset: number) => bigint) => void = () => undefined) =>
    call('LoadPatch', 2, 0x68, (at) => {
      unicode(at(FIELD.loadPatch.patchPath), path);
      fill(at);
    }).status;
  return {
    lab,
    host,
    addressSpace,
    call,
    unicode,
    load,
    admin,
    identity,
    [Symbol.dispose]: () => lab[Symbol.dispose](),
  };
}
