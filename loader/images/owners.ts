import type { Machine, PageTable } from '../../cpu/index.js';
import type { BugCheckState, EventLog, SeededRandom } from '../common/index.js';
import type { Pool } from '../memory/index.js';
import type { HpatLayout } from './hpat.js';
import type { ImageDomain } from './image-domain.js';
import type { ImageSections } from './image-section.js';
import type { LdrTable } from './ldr-table.js';
import type { LoadedImage } from './loaded-image.js';
import type { LoadedModuleList } from './loaded-module-list.js';
import type { SystemFiles } from './system-files.js';

/** What the user-mode half of the loader keeps in a process for its images. */
export interface ImageEnvironment {
  readonly ldr: LdrTable;
  /** PEB.CrossProcessFlags.ProcessImagesHotPatched. */
  readonly imagesHotPatched: boolean;
  /** Sets it. */
  noteHotPatch(): void;
  setImageBase(dllBase: bigint): void;
  addTlsImage(loaded: LoadedImage): void;
  removeTlsImage(loaded: LoadedImage): void;
}

/** A process, as far as whoever has an image of it needs to know it. */
export interface ImageProcess {
  readonly id: number;
  readonly name: string;
  /** 32-bit code on a 64-bit kernel. */
  readonly wow64: boolean;
  readonly environment: ImageEnvironment | undefined;
  /** Of its token. */
  readonly userSid: string | undefined;
  readonly exitStatus: number | undefined;
  readonly terminated: boolean;
  terminate(exitStatus?: number): void;
}

/** A session, as far as whoever has an image of it needs to know it. */
export interface ImageSession {
  readonly id: number;
  /** What the root entry of the session leads to. */
  readonly table: PageTable;
}

/** The simulated exports that the images of a domain can import. */
export interface ExportSource {
  /** Shows them, those to come too, in a page table. */
  attach(table: PageTable): void;
  detach(table: PageTable): void;
  has(module: string): boolean;
  /** Address to bind an import to; undefined when nobody simulates it. */
  resolve(module: string, name: string): bigint | undefined;
  /** Address of an export that is known to exist. */
  address(module: string, name: string): bigint;
  /** An address that, when it is called, ends the call with an error naming what is missing. */
  trap(module: string, name: string): bigint;
  /** `importer` imports what a {@link trap} was made for. */
  noteImporter(module: string, name: string, importer: string): void;
  /** What was placed at an address. */
  at(address: bigint): { readonly module: string; readonly entry: { readonly name: string } } | undefined;
}

/** A place where guest functions are called. */
export interface GuestPlace {
  readonly domain: ImageDomain;
  readonly name?: string;
}

/** The driver objects of the I/O manager. */
export interface DriverObjects {
  /** What DriverEntry gets. */
  create(
    loaded: LoadedImage,
    entryPoint: bigint,
  ): { readonly driverObject: bigint; readonly registryPath: bigint };
  /** DriverEntry has returned. */
  entered(domain: ImageDomain, driverObject: bigint, registryPath: bigint): void;
  /** Calls DriverUnload, if the driver has one. */
  unload(domain: ImageDomain, driverObject: bigint): void;
  /** The image is gone. */
  forget(domain: ImageDomain, driverObject: bigint): void;
}

/** The kernel, as far as loading images needs it. */
export interface LoaderOwner {
  readonly machine: Machine;
  readonly events: EventLog;
  readonly bugChecks: BugCheckState;
  readonly system: ImageDomain;
  readonly pool: Pool;
  /** For addresses and cookies. */
  readonly layoutRandom: SeededRandom;
  readonly loadedModules: LoadedModuleList;
  readonly sections: ImageSections;
  readonly files: SystemFiles;
  readonly io: { readonly drivers: DriverObjects };
  /** Bytes reserved behind each image; 0 when hotpatching is off. */
  readonly hotPatchReserveSize: number;
  readonly hpatLayout: HpatLayout;
  readonly retpoline: boolean;
  readonly speculationControlPages: boolean;
  /** Calls a function on a thread of its own, alone. */
  callThread(
    address: bigint,
    parameters: readonly (bigint | number)[],
    place: GuestPlace,
  ): { readonly returnValue: bigint | undefined };
  /** An image has been mapped and bound, before its first instruction runs. */
  imageMapped(image: LoadedImage): void;
  imageUnmapped(image: LoadedImage): void;
}
