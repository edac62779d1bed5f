import type { ImageWriter, MakeRegion } from '../memory/index.js';
import type { ImageDomain } from './image-domain.js';

/** What every place that images are loaded into is fitted with. */
export interface DomainFittings {
  readonly region: MakeRegion;
  /** What stores into the images of a place: its own writer, or something that stands before it. */
  writer(own: ImageWriter, place: Pick<ImageDomain, 'name' | 'kind'>): ImageWriter;
}
