import type { ImageArchitecture } from '../../image/index.js';
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
    const earlier = EARLIER[architecture];
    if (earlier !== undefined) return earlier;
    throw new HotPatchError({
      rule: 'hpat.layout',
      status: 'STATUS_NOT_SUPPORTED',
      image: image.baseDllName,
      message: `an HPAT that is an array of pointers is for x64 images only, not ${architecture}`,
    });
  }
  return CURRENT[architecture](image.jumpHpat !== undefined);
}

/** Of an HPAT that is an array of pointers. */
const EARLIER: Readonly<Record<ImageArchitecture, TrampolineForm | undefined>> = {
  x64: x64EarlierTrampoline,
  x86: undefined,
  arm64: undefined,
};

const CURRENT: Readonly<Record<ImageArchitecture, (hasRetpolinePage: boolean) => TrampolineForm>> = {
  x64: (hasRetpolinePage) => (hasRetpolinePage ? x64RetpolineTrampoline : x64Trampoline),
  x86: () => x86Trampoline,
  arm64: () => arm64Trampoline,
};
