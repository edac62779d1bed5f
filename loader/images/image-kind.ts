import { IMAGE_FILE, type PeImage } from '../../image/index.js';

/** An EXE or a driver: anything but a DLL. */
export function isProgram(image: PeImage): boolean {
  return (image.fileHeader.characteristics & IMAGE_FILE.DLL) === 0;
}
