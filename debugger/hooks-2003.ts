import type { AppliedHook } from '../engine/index.js';
import type { LoadedImage } from '../loader/index.js';
import type { ThreadView } from './thread-view.js';

/** The hooks of hotpatches of Server 2003 whose bytes are in an image now, in the midst of an operation too, the newest first. */
export function hooksOf(view: ThreadView, image: LoadedImage): readonly AppliedHook[] {
  const { engine } = view.lab;
  if (engine.name !== 'server-2003') return [];
  return engine
    .patchList(image)
    .flatMap(({ hooks }) => hooks)
    .filter(({ location, bytes }) => Buffer.compare(view.read(location, bytes.length), bytes) === 0)
    .reverse();
}

/** Of an image that a hotpatch of Server 2003 has brought: are its hooks in force? */
export function patchState2003(
  { lab: { engine } }: ThreadView,
  image: LoadedImage,
): 'active' | 'inactive' | undefined {
  if (engine.name !== 'server-2003') return undefined;
  const application = engine.applications.find(({ loaded }) => loaded === image);
  return application && (application.active ? 'active' : 'inactive');
}

export function hookAt(view: ThreadView, image: LoadedImage, address: bigint): AppliedHook | undefined {
  return hooksOf(view, image).find(({ location }) => location === address);
}

/** `patched entry → pad jump`, `pad jump → shell_hp!CopyName`, `pad jump → pointer → shell_hp!CopyName`. */
export function describeHook(view: ThreadView, image: LoadedImage, address: bigint): string | undefined {
  const hook = hookAt(view, image, address);
  if (hook === undefined) return undefined;
  const place = { entry: 'patched entry', padding: 'pad jump', pointer: 'pointer' }[placeOf(hook)];
  return `${place} → ${wayFrom(view, hook)}`;
}

function wayFrom(view: ThreadView, hook: AppliedHook): string {
  if (placeOf(hook) === 'pointer') return view.describe(view.readPointer(hook.location));
  if (hook.bytes[0] === SHORT_JUMP) return 'pad jump';
  if (hook.bytes[0] === NEAR_JUMP)
    return view.describe(BigInt.asUintN(64, hook.location + 5n + displacement(hook, 1)));
  const pointer = BigInt.asUintN(64, hook.location + 6n + displacement(hook, 2));
  return `pointer → ${view.describe(view.readPointer(pointer))}`;
}

const placeOf = ({ target }: AppliedHook) =>
  target === 'entry' || target === 'padding' ? target : ('pointer' as const);

const SHORT_JUMP = 0xeb;
const NEAR_JUMP = 0xe9;

function displacement({ bytes }: AppliedHook, at: number): bigint {
  return BigInt(new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength).getInt32(at, true));
}
