import {
  type ArchitectureName,
  arm64Encoder,
  instructionLength,
  type X86Encoder,
  x64Encoder,
  x86Encoder,
} from '../../cpu/index.js';
import { recogniseEntry } from '../../image/index.js';

/** Where a hook is put, and what it may use. */
export interface HookRequest {
  readonly architecture: ArchitectureName;
  /** The function that is to be hooked, as the caller of the library names it. */
  readonly function: bigint;
  read(address: bigint, length: number): Uint8Array;
  /** Executable memory in reach of a near jump: the handler, and behind it room for the trampoline. */
  readonly handler: bigint;
  readonly trampoline: bigint;
}

export interface CodeBytes {
  readonly address: bigint;
  readonly bytes: Uint8Array;
}

/** What an inline hook stores: its trampoline and handler, then the jumps in the order in which they are stored. */
export interface HookStores {
  readonly memory: readonly CodeBytes[];
  readonly jumps: readonly CodeBytes[];
}

/** A way in which hook libraries redirect a function; `undefined` from `stores`: the library refuses. */
export interface InlineHook {
  readonly name: string;
  readonly architectures: readonly ArchitectureName[];
  stores(request: HookRequest): HookStores | undefined;
}

const bytes = (...parts: (readonly number[] | Uint8Array)[]): Uint8Array =>
  Uint8Array.from(parts.flatMap((part) => [...part]));

const address64 = (value: bigint): Uint8Array => {
  const result = new Uint8Array(8);
  new DataView(result.buffer).setBigUint64(0, value, true);
  return result;
};

/** A jump that reaches everything and changes no register that a function gets. */
const FAR_JUMP: Readonly<Record<ArchitectureName, (from: bigint, to: bigint) => Uint8Array>> = {
  x64: (_, to) => bytes([0xff, 0x25, 0, 0, 0, 0], address64(to)),
  x86: (from, to) => x86Encoder.nearJump(from, to),
  arm64: (_, to) =>
    bytes(arm64Encoder.loadLiteral('x17', 0n, 8n), arm64Encoder.branchRegister('x17'), address64(to)),
};

function arm64JumpAt(read: HookRequest['read'], at: bigint): bigint | undefined {
  const branch = arm64Encoder.decode(read(at, 4), at);
  return branch?.form === 'branch' ? branch.target : undefined;
}

function x86JumpAt(read: HookRequest['read'], at: bigint): bigint | undefined {
  const code = read(at, 5);
  const view = new DataView(code.buffer, code.byteOffset, 5);
  if (code[0] === 0xeb) return at + 2n + BigInt(view.getInt8(1));
  return code[0] === 0xe9 ? at + 5n + BigInt(view.getInt32(1, true)) : undefined;
}

/** What hook libraries have for each architecture of their own. */
interface Dialect {
  /** Where the relative jump at `at` leads, if there is one. */
  jumpAt(read: HookRequest['read'], at: bigint): bigint | undefined;
  /** The shortest jump to the handler. */
  jump(at: bigint, to: bigint): Uint8Array;
  /** Where the jump goes into a function that the system has hotpatched; undefined: such a function is refused. */
  placeInHotPatched(entry: bigint): bigint | undefined;
  /** Are the bytes between the jump and the next whole instruction overwritten? */
  readonly fills: boolean;
}

const x86Dialect = (encoder: X86Encoder): Dialect => ({
  jumpAt: x86JumpAt,
  jump: encoder.nearJump,
  placeInHotPatched: (entry) => entry - 5n,
  fills: true,
});

const DIALECTS: Readonly<Record<ArchitectureName, Dialect>> = {
  x64: x86Dialect(x64Encoder),
  x86: x86Dialect(x86Encoder),
  arm64: {
    jumpAt: arm64JumpAt,
    jump: arm64Encoder.branch,
    placeInHotPatched: () => undefined,
    fills: false,
  },
};

/** The instructions that `size` bytes at `at` cut into, moved elsewhere, with a jump back behind them. */
function relocated(
  request: HookRequest,
  at: bigint,
  size: number,
  fixesJumps: boolean,
): CodeBytes & { length: number } {
  const { architecture, read, trampoline } = request;
  const parts: Uint8Array[] = [];
  let length = 0;
  let end = trampoline;
  while (length < size) {
    const from = at + BigInt(length);
    const count = instructionLength(architecture, read(from, 15), from);
    const target = fixesJumps ? DIALECTS[architecture].jumpAt(read, from) : undefined;
    const part = target === undefined ? read(from, count) : FAR_JUMP[architecture](end, target);
    parts.push(part);
    end += BigInt(part.length);
    length += count;
  }
  parts.push(FAR_JUMP[architecture](end, at + BigInt(length)));
  return { address: trampoline, bytes: bytes(...parts), length };
}

/** Overwrites the first bytes of the function, whatever they are. */
function overwriting(
  name: string,
  architectures: readonly ArchitectureName[],
  jump: (request: HookRequest, at: bigint) => Uint8Array,
  options: {
    readonly fixesJumps?: boolean;
    readonly place?: (request: HookRequest) => bigint | undefined;
  } = {},
): InlineHook {
  return {
    name,
    architectures,
    stores(request) {
      const at = options.place === undefined ? request.function : options.place(request);
      if (at === undefined) return undefined;
      const code = jump(request, at);
      const trampoline = relocated(request, at, code.length, options.fixesJumps ?? true);
      const filled = bytes(code, new Uint8Array(trampoline.length - code.length).fill(0xcc));
      const written = DIALECTS[request.architecture].fills ? filled : code;
      return {
        memory: [
          trampoline,
          {
            address: request.handler,
            bytes: FAR_JUMP[request.architecture](request.handler, request.trampoline),
          },
        ],
        jumps: [{ address: at, bytes: written }],
      };
    },
  };
}

const X86_FAMILY = ['x64', 'x86'] as const;

const shortestJump = ({ architecture, handler }: HookRequest, at: bigint): Uint8Array =>
  DIALECTS[architecture].jump(at, handler);

/** Copies bytes without a look at what they are: the way of many games' hooks. */
export const plainJump = overwriting('plain 5-byte jump', X86_FAMILY, shortestJump, { fixesJumps: false });

/** Disassembles, and moves relative jumps with their targets. */
export const relocatingJump = overwriting('SafetyHook-like', X86_FAMILY, shortestJump);

/** Knows functions that the system has hotpatched: hooks the jump in their padding, and refuses on ARM64. */
export const detoursLike = overwriting('Detours-like', ['x64', 'x86', 'arm64'], shortestJump, {
  place(request) {
    const found = recogniseEntry(request.architecture, request.read, request.function);
    if (found.kind !== 'hotpatch') return request.function;
    return DIALECTS[request.architecture].placeInHotPatched(request.function);
  },
});

/** Refuses a function that ends, by a jump, before its own jump would. */
export const minHookLike = overwriting('MinHook-like', X86_FAMILY, shortestJump, {
  place: (request) => (request.read(request.function, 1)[0] === 0xeb ? undefined : request.function),
});

export const absoluteJump = overwriting('14-byte absolute jump', ['x64'], ({ handler }) =>
  FAR_JUMP.x64(0n, handler),
);

export const branch4 = overwriting('4-byte branch', ['arm64'], ({ handler }, at) =>
  arm64Encoder.branch(at, handler),
);

export const literal16 = overwriting('16-byte literal', ['arm64'], ({ handler }) =>
  FAR_JUMP.arm64(0n, handler),
);

/** A jump in the padding, and a short one of two bytes at the entry: as old hot-patching libraries do. */
export const paddingJump: InlineHook = {
  name: '2 bytes and padding',
  architectures: X86_FAMILY,
  stores(request) {
    const at = request.function;
    const padding = at - 5n;
    const trampoline = relocated(request, at, 2, true);
    return {
      memory: [
        trampoline,
        {
          address: request.handler,
          bytes: FAR_JUMP[request.architecture](request.handler, request.trampoline),
        },
      ],
      jumps: [
        { address: padding, bytes: shortestJump(request, padding) },
        { address: at, bytes: bytes([0xeb, 0xf9]) },
      ],
    };
  },
};

export const INLINE_HOOKS: readonly InlineHook[] = [
  plainJump,
  relocatingJump,
  detoursLike,
  minHookLike,
  absoluteJump,
  paddingJump,
  branch4,
  literal16,
];
