import type { Kernel, LoadedImage } from '../../loader/index.js';
import { HotPatchError } from '../core/index.js';
import type { TrampolineForm } from './trampoline.js';
import { arm64Trampoline } from './trampoline-arm64.js';
import {
  x64EarlierTrampoline,
  x64RetpolineTrampoline,
  x64Trampoline,
  x86Trampoline,
} from './trampoline-x86.js';

/** The trampoline form for an image: by its processor, the HPAT's layout, and whether it has a retpoline page. */
export function formFor(kernel: Kernel, image: LoadedImage): TrampolineForm {
  const { architecture } = image.image;
  if (kernel.hpatLayout === 'pointers') {
    if (architecture === 'x64') return x64EarlierTrampoline;
    throw new HotPatchError({
      rule: 'hpat.layout',
      status: 'STATUS_NOT_SUPPORTED',
      image: image.baseDllName,
      message: `an HPAT that is an array of pointers is for x64 images only, not ${architecture}`,
    });
  }
  switch (architecture) {
    case 'x64':
      return image.jumpHpat === undefined ? x64Trampoline : x64RetpolineTrampoline;
    case 'x86':
      return x86Trampoline;
    case 'arm64':
      return arm64Trampoline;
    default:
      throw new HotPatchError({
        rule: 'image.machine',
        status: 'STATUS_NOT_SUPPORTED',
        image: image.baseDllName,
        message: `${image.image.machine} images cannot be hotpatched`,
      });
  }
}
