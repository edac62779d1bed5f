import { type HostProcessor, hostProcessor, hostWords, placeHostCode } from './host-code.js';
import { koffi } from './koffi.js';

/**
 * What is still done when SIGINT, SIGTERM or SIGHUP ends the process, also while a long run of machine code or a long
 * calculation keeps JavaScript from hearing of it: a text is written to stderr and a half-written file removed, and the
 * signal then ends the process as it would have without. Not everywhere: see {@link lastWords}.
 */
export interface LastWords {
  /** Replaces the text; what does not fit into a page is cut. */
  say(text: string): void;
  /** Replaces the file that is removed. */
  remove(path: string | undefined): void;
}

const SIGNALS = { SIGHUP: 1, SIGINT: 2, SIGTERM: 15 } as const;
const SA_RESTART = 0x1000_0000;
const SA_RESETHAND = 0x8000_0000;
/** struct sigaction of glibc and musl on both processors: handler, mask, flags. */
const SIGACTION_SIZE = 152;
const FLAGS_OFFSET = 136;

/** A handler that uses system calls only; behind it the address of its slot. Assembled from the sources in scripts/host-code. */
const CODE: Readonly<Record<HostProcessor, string>> = {
  x64:
    '5341544189fc488b1d43000000488b33488b164883c608bf02000000b8010000000f05488b7b084885ff7407b8570000' +
    '000f05b8270000000f0589c74489e6b83e0000000f05415c5bc3660f1f440000',
  arm64:
    'ea03002a69020058210140f9220040f921200091400080d2080880d2010000d4210540f9a10000b4600c8092020080d2' +
    '680480d2010000d4881580d2010000d4e1030a2a281080d2010000d4c0035fd6',
};

const WORDS_OF_PAGE = 512;
const MOST_BYTES = (WORDS_OF_PAGE - 1) * 8;

/**
 * Installs the handlers. The slot that they look at has two addresses: of the text (its length, then its bytes), and of
 * the name of the file or 0. Either is changed by one store, after what it leads to is whole.
 * @returns undefined where there can be none: other systems than Linux, other processors, memory that may not be executed
 */
export function lastWords(): LastWords | undefined {
  const host = hostProcessor();
  if (host === undefined) return undefined;
  try {
    const slot = hostWords(2);
    const words = new BigUint64Array(slot.buffer);
    const pages = () => {
      let [next, other] = [hostWords(WORDS_OF_PAGE), hostWords(WORDS_OF_PAGE)];
      return () => {
        [next, other] = [other, next];
        return next;
      };
    };
    const [nextText, nextName] = [pages(), pages()];
    const own: LastWords = {
      say(text) {
        const { address, buffer } = nextText();
        const { written } = new TextEncoder().encodeInto(text, new Uint8Array(buffer, 8, MOST_BYTES));
        new BigUint64Array(buffer)[0] = BigInt(written);
        words[0] = address;
      },
      remove(path) {
        if (path === undefined) {
          words[1] = 0n;
          return;
        }
        const { address, buffer } = nextName();
        const bytes = new Uint8Array(buffer);
        const { written, read } = new TextEncoder().encodeInto(path, bytes.subarray(0, MOST_BYTES));
        bytes[written] = 0;
        words[1] = read === path.length ? address : 0n;
      },
    };
    own.say('');
    const at = placeHostCode({ code: CODE[host], words: [slot.address] });
    if (at === undefined) return undefined;
    const action = koffi().load(null).func('sigaction', 'int', ['int', 'void *', 'void *']);
    for (const signal of Object.values(SIGNALS)) {
      const handler = Buffer.alloc(SIGACTION_SIZE);
      handler.writeBigUInt64LE(at, 0);
      handler.writeUInt32LE(SA_RESETHAND + SA_RESTART, FLAGS_OFFSET);
      if (action(signal, handler, null) !== 0) return undefined;
    }
    return own;
  } catch {
    return undefined;
  }
}
