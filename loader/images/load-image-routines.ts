import type { EventLog } from '../common/index.js';
import type { ImageDomain } from './image-domain.js';
import type { LoadedImage } from './loaded-image.js';

type Routine = (image: LoadedImage) => void;

/** Who wants to know of images that come and go (PsSetLoadImageNotifyRoutine). */
export class LoadImageRoutines {
  readonly #load: Routine[] = [];
  readonly #unload: Routine[] = [];

  constructor(private readonly events: EventLog) {}

  onLoad(routine: Routine): void {
    this.#load.push(routine);
  }

  onUnload(routine: Routine): void {
    this.#unload.push(routine);
  }

  mapped(image: LoadedImage): void {
    for (const routine of this.#load) routine(image);
  }

  unmapped(image: LoadedImage, system: ImageDomain): void {
    for (const routine of this.#unload) routine(image);
    const { domain } = image;
    const where = domain === system ? '' : ` from ${domain.name}`;
    this.events.emit({ kind: 'imageUnloaded', text: `unloaded ${image.baseDllName}${where}` });
  }
}
