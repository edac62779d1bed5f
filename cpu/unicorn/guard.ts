import { type HostProcessor, hostProcessor, hostWords, placeHostCode } from './host-code.js';
import { koffi } from './koffi.js';
import type { HostPointer, UnicornFunctions } from './library.js';

/**
 * Keeps a failed assertion of Unicorn's translator from ending the process. Unicorn calls abort(), which raises SIGABRT
 * in the calling thread. The start of an engine notes the stack, and the handler goes back there: the start then returns
 * {@link ABORTED}, with the guest's registers as they were at the beginning of the block that could not be translated,
 * and the engine can be used again. On x64 the handler returns into a changed context, since the kernel runs handlers
 * with the default PKRU (pkeys(7)): after a jump, V8 could not read the code pages that it guards with a protection key.
 *
 * The handler acts only while an engine runs on its own thread and no callback is inside JavaScript; all other aborts go
 * where they went before.
 */
export interface Guard {
  start: UnicornFunctions['start'];
  /**
   * While a callback runs JavaScript, over whose frames nothing may jump, its first element is 0; afterwards what it was.
   */
  readonly state: Uint32Array;
}

/** What {@link Guard.start} returns in place of a `uc_err`. */
export const ABORTED = 126;

const SIGABRT = 6;
const SA_NODEFER = 0x4000_0000;
/** struct sigaction of glibc and musl on both processors: handler, mask, flags. */
const SIGACTION_SIZE = 152;
const FLAGS_OFFSET = 136;

/** Words of the slot that start and handler share. */
const FUNCTION = 2;
const THREAD = 3;
const WORDS = 4;

/**
 * `start(slot, …)`, then the handler at `handler`, then two words: the address of the slot and the handler before.
 * Assembled from the sources in scripts/host-code.
 */
const CODE: Readonly<Record<HostProcessor, { readonly code: string; readonly handler: number }>> = {
  x64: {
    code:
      '555341544155415641574883ec08488967084889fb48c70701000000488b47104889f74889d64889ca4c89c14d89c8ff' +
      'd048c703000000004883c408415f415e415d415c5b5dc34989d0b8ba0000000f054c8b0d500000004939411875324983' +
      '3901752c49c70102000000498b4108488982a0000000488d05bbffffff488982a800000048c782900000007e000000c3' +
      '4c89c2488b05160000004883f8017602ffe0c30f1f440000',
    handler: 0x47,
  },
  arm64: {
    code:
      'ff8302d1f35300a9f55b01a9f76302a9f96b03a9fb7304a9fd7b05a9e827066dea2f076dec37086dee3f096de6030091' +
      '060400f9f30300aa260080d2060000f9070840f9e00301aae10302aae20303aae30304aae40305aae0003fd67f0200f9' +
      'f35340a9f55b41a9f76342a9f96b43a9fb7344a9fd7b45a9e827466dea2f476dec37486dee3f496dff830291c0035fd6' +
      'e90300aa481680d2010000d4aa0200104a0140f94b0d40f97f0100eb410100544b0140f97f0500f1e10000544b0080d2' +
      '4b0100f94b0540f97f010091c00f8052e4ffff17e00309aa0a0100104a0140f95f0500f14900005440011fd6c0035fd6',
    handler: 0x90,
  },
};

let made: { readonly guard: Guard | undefined } | undefined;

/** The guard of this thread; undefined where there can be none. `function_`: the address of uc_emu_start. */
export function guardOf(function_: HostPointer): Guard | undefined {
  made ??= { guard: makeGuard(function_) };
  return made.guard;
}

function makeGuard(function_: HostPointer): Guard | undefined {
  const host = process.platform === 'linux' ? hostProcessor() : undefined;
  if (host === undefined) return undefined;
  try {
    const { decode, load, proto } = koffi();
    const system = load(null);
    const action = system.func('sigaction', 'int', ['int', 'void *', 'void *']);
    const thread = system.func('gettid', 'int', []);
    const shared = hostWords(WORDS);
    const slot = new BigUint64Array(shared.buffer);
    slot[FUNCTION] = function_;
    slot[THREAD] = BigInt(thread());
    const before = Buffer.alloc(SIGACTION_SIZE);
    if (action(SIGABRT, null, before) !== 0) return undefined;
    const { code, handler } = CODE[host];
    const at = placeHostCode({ code, words: [shared.address, before.readBigUInt64LE(0)] });
    if (at === undefined) return undefined;
    const own = Buffer.alloc(SIGACTION_SIZE);
    own.writeBigUInt64LE(at + BigInt(handler), 0);
    own.writeUInt32LE(SA_NODEFER, FLAGS_OFFSET);
    if (action(SIGABRT, own, null) !== 0) return undefined;
    const parameters = ['void *', 'void *', 'uint64_t', 'uint64_t', 'uint64_t', 'size_t'];
    const start = decode(at, proto('int', parameters));
    return {
      start: (...options) => start(shared.address, ...options),
      state: new Uint32Array(shared.buffer),
    };
  } catch {
    return undefined;
  }
}
