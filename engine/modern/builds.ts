import type { HotPatchVersion } from '../../image/index.js';
import type { WindowsBuild } from '../../loader/index.js';
import type { ManageHotPatchClass } from './manage-requests.js';

/** What the hotpatch engine of a build does differently (docs/fidelity.md#builds-of-windows). */
export interface EngineBuild {
  readonly enforcePatchSequenceNumbers: boolean;
  /** Are patches taken back at run time, and has ApplyImagePatch the flag for it? */
  readonly allowUndo: boolean;
  readonly ignoreRel32: boolean;
  /** The newest version of IMAGE_HOT_PATCH_INFO that it reads. */
  readonly newestTableVersion: HotPatchVersion;
  /** How QuerySinglePatch names the base: by CheckSum and TimeDateStamp, or where it is mapped. */
  readonly querySinglePatchBy: 'identity' | 'baseAddress';
  /** The versions of requests that it accepts; of classes that are not named, all that are known. */
  readonly versions: Readonly<Partial<Record<ManageHotPatchClass, readonly number[]>>>;
}

/** Whatever some build is known to accept. */
const ANY_BUILD: EngineBuild = {
  enforcePatchSequenceNumbers: true,
  allowUndo: true,
  ignoreRel32: false,
  newestTableVersion: 4,
  querySinglePatchBy: 'identity',
  versions: {},
};

const BUILD_22631: EngineBuild = {
  enforcePatchSequenceNumbers: true,
  allowUndo: true,
  ignoreRel32: true,
  newestTableVersion: 3,
  querySinglePatchBy: 'identity',
  versions: {
    LoadPatch: [2],
    LoadPatchForUser: [2],
    QueryPatches: [2],
    QueryPatchesForUser: [2],
    QueryActivePatches: [2, 3],
    ApplyImagePatch: [1],
  },
};

const EARLIER: EngineBuild = { ...BUILD_22631, enforcePatchSequenceNumbers: false };

const ENGINE_BUILDS: Readonly<Record<WindowsBuild, EngineBuild>> = {
  17763: EARLIER,
  20348: EARLIER,
  22631: BUILD_22631,
  26100: {
    enforcePatchSequenceNumbers: true,
    allowUndo: false,
    ignoreRel32: true,
    newestTableVersion: 4,
    querySinglePatchBy: 'baseAddress',
    versions: { ApplyImagePatch: [2] },
  },
};

/** What the engine of a build is like; without a build, what any of them accepts. */
export function engineBuild(build: WindowsBuild | undefined): EngineBuild {
  return build === undefined ? ANY_BUILD : ENGINE_BUILDS[build];
}
