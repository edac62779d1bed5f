import type { ImageDomain, ImageKind } from './image-domain.js';
import type { LoadedImage } from './loaded-image.js';
import type { ImageProcess, ImageSession } from './owners.js';

/** CheckSum and TimeDateStamp: what a hotpatch names its base by. */
export interface ImageIdentity {
  readonly checkSum: number;
  readonly timeDateStamp: number;
}

/** One place that holds an image. */
export interface ImageInstance {
  readonly kind: ImageKind;
  readonly image: LoadedImage;
  readonly domain: ImageDomain;
  readonly process: ImageProcess | undefined;
  readonly session: ImageSession | undefined;
}

/** Every place that holds an image with this checksum and timestamp; patch images are not counted. */
export function instancesOf(
  domains: readonly ImageDomain[],
  { checkSum, timeDateStamp }: ImageIdentity,
): ImageInstance[] {
  return domains.flatMap((domain) =>
    domain.images
      .filter(
        (image) =>
          image.loadReason !== 'PatchImage' &&
          image.checkSum === checkSum &&
          image.timeDateStamp === timeDateStamp,
      )
      .map((image) => ({
        kind: domain.kind,
        image,
        domain,
        process: domain.process,
        session: domain.session,
      })),
  );
}
