import { FILE_OBJECT, KEVENT } from './layouts.js';
import type { Structure } from './structure.js';
import type { IoWorld } from './world.js';

export type FileObjectFields = Structure<Extract<keyof (typeof FILE_OBJECT)['fields'], string>>;

/** What a handle to an open device leads to: the FILE_OBJECT in guest memory, and what the handle allows. */
export class DeviceFile {
  constructor(
    readonly world: IoWorld,
    /** Of the FILE_OBJECT. */
    readonly address: bigint,
    /** ACCESS_MASK that was granted. */
    readonly grantedAccess: number,
  ) {}

  /** Has its last request ended? What a wait for the handle waits for. */
  get isSignalled(): boolean {
    return this.world.at(KEVENT, this.object.at('Event')).get('Header.SignalState') !== 0;
  }

  get object(): FileObjectFields {
    return this.world.at(FILE_OBJECT, this.address);
  }
}
