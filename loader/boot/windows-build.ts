import type { HpatLayout } from '../images/index.js';

/** Builds whose hotpatching differs: Server 2019, Server 2022, Windows 11 23H2, 24H2 with Server 2025. */
export const WINDOWS_BUILDS = [17763, 20348, 22631, 26100] as const;

/** Number of a build whose hotpatching is known to differ. */
export type WindowsBuild = (typeof WINDOWS_BUILDS)[number];

/** What the boot loader and the image loader of a build do differently (docs/fidelity.md#builds-of-windows). */
export interface LoaderBuild {
  readonly hpatLayout: HpatLayout;
  /** Views of x64 images end with a page of speculation control: KSCP behind drivers, SCP behind images of processes. */
  readonly speculationControlPages: boolean;
}

const PAIRS: LoaderBuild = { hpatLayout: 'pairs', speculationControlPages: false };

const LOADER_BUILDS: Readonly<Record<WindowsBuild, LoaderBuild>> = {
  17763: { hpatLayout: 'pointers', speculationControlPages: false },
  20348: PAIRS,
  22631: PAIRS,
  26100: { hpatLayout: 'pairs', speculationControlPages: true },
};

/** What the loaders of a build are like; without a build, what all of them have in common. */
export function loaderBuild(build: WindowsBuild | undefined): LoaderBuild {
  return build === undefined ? PAIRS : LOADER_BUILDS[build];
}
