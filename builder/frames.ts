import {
  type FunctionTableEntry,
  isX64Entry,
  type PeImage,
  readUnwindInfoArm64,
  readUnwindInfoX64,
} from '../image/index.js';
import type { CodeFunction, Program } from './program.js';

/** What the unwind data of a function says of its frame: for comparison with another build's. */
export interface Frame {
  /** Scopes, states and what catches what, by offsets in the function: the same text for the same handling. */
  readonly shape: string;
  /** Filters, `__finally` blocks, catch and clean-up blocks that are functions of their own. They run in this frame. */
  readonly funclets: readonly CodeFunction[];
  /** The language handler, and the types that are caught. */
  readonly targets: readonly { readonly rva: number }[];
}

/**
 * Names of what runs in the frame of another function: `?filt$0@0@f@@`, `?fin$0@0@f@@`, `__ehhandler$f` (Clang),
 * `f$filt$0`, `__catch$f$0` (Microsoft's compiler).
 */
const FUNCLET =
  /^\?(filt|fin|catch|dtor)\$|\$(filt|fin|catch|dtor)\$\d+$|^_{1,2}(ehhandler|catch|unwindfunclet)\$/;

/** Does this function run in another one's frame? Its code must never be led elsewhere alone. */
export function isFunclet(code: CodeFunction): boolean {
  return code.symbols.some(({ name, rawName }) => FUNCLET.test(name) || FUNCLET.test(rawName ?? ''));
}

const frames = new WeakMap<Program, Map<CodeFunction, Frame>>();
const NO_FRAME: Frame = { shape: '', funclets: [], targets: [] };

/** From the exception directory (x64, ARM64); x86 code registers its handlers itself, and refers to them as to any data. */
export function frameOf(program: Program, code: CodeFunction): Frame {
  let known = frames.get(program);
  if (known === undefined) {
    known = new Map();
    frames.set(program, known);
  }
  const frame = known.get(code) ?? readFrame(program, code);
  known.set(code, frame);
  return frame;
}

/**
 * Functions that no instruction but the unwind data of a function leads to: its language handler, and the blocks that run
 * in its frame.
 */
export function handlersOf(program: Program, code: CodeFunction): CodeFunction[] {
  const { funclets, targets } = frameOf(program, code);
  const handlers = targets.flatMap(({ rva }) => program.functionAt(rva) ?? []);
  return [...new Set([...handlers, ...funclets])].filter((found) => found !== code);
}

function readFrame(program: Program, code: CodeFunction): Frame {
  const entries = program.unwindEntries(code);
  const shapes: string[] = [];
  const funclets: CodeFunction[] = [];
  const targets: { rva: number }[] = [];
  const part = new FramePart(program, code, funclets, targets);
  for (const entry of entries) {
    const handler = handlerOf(program.image, entry);
    if (handler === undefined) continue;
    targets.push({ rva: handler.rva });
    shapes.push(
      `${part.placeText(entry.beginAddress)} ${part.read(program.describe(handler.rva), handler.data)}`,
    );
  }
  return shapes.length === 0 ? NO_FRAME : { shape: shapes.join('\n'), funclets, targets };
}

function handlerOf(image: PeImage, entry: FunctionTableEntry): { rva: number; data: number } | undefined {
  const info = isX64Entry(entry) ? readUnwindInfoX64(image, entry) : readUnwindInfoArm64(image, entry);
  if (!('handlerData' in info) || info.exceptionHandler === undefined || info.handlerData === undefined)
    return undefined;
  return { rva: info.exceptionHandler, data: info.handlerData };
}

/** EHFLAGS of FuncInfo: the layouts that Microsoft's C++ runtime has for `__CxxFrameHandler3`. */
const FUNC_INFO_MAGIC = new Set([0x19930520, 0x19930521, 0x19930522]);

class FramePart {
  constructor(
    private readonly program: Program,
    private readonly code: CodeFunction,
    private readonly funclets: CodeFunction[],
    private readonly targets: { rva: number }[],
  ) {}

  /** The data of one handler as text. */
  read(handler: string, data: number): string {
    if (/CxxFrameHandler4/.test(handler)) return 'compressed C++ handlers';
    if (/CxxFrameHandler|GSHandlerCheck_EH/.test(handler)) return this.#funcInfo(data);
    const scopes = this.#scopes(data);
    const { rva, size } = this.code;
    const isScopeTable = scopes.every(({ begin, end }) => begin >= rva && end <= rva + size);
    return isScopeTable
      ? scopes
          .map(
            ({ begin, end, handler: filter, target }) =>
              `${begin - rva}-${end - rva} ${filter === EXECUTE_HANDLER ? 'always' : this.placeText(filter)} ${target === 0 ? '' : this.placeText(target)}`,
          )
          .join('; ')
      : '';
  }

  /** A place in this function by its offset, a block in its frame by its number, anything else by name. */
  placeText(rva: number): string {
    if (rva >= this.code.rva && rva < this.code.rva + this.code.size) return `+${rva - this.code.rva}`;
    const found = this.program.functionAt(rva);
    if (found?.rva !== rva) return 'elsewhere';
    if (!this.funclets.includes(found)) this.funclets.push(found);
    return `block ${this.funclets.indexOf(found)}`;
  }

  /** SCOPE_TABLE_AMD64 and SCOPE_TABLE_ARM64 (winnt.h), or what would be one; none where it has no room. */
  #scopes(rva: number): { begin: number; end: number; handler: number; target: number }[] {
    const SIZE = 16;
    const table = this.#table(rva, SIZE, 4);
    return table.map(([begin = 0, end = 0, handler = 0, target = 0]) => ({ begin, end, handler, target }));
  }

  /** FuncInfo of ehdata.h: unwind map, try blocks, and which state each instruction has. */
  #funcInfo(data: number): string {
    const { image } = this.program;
    const info = image.u32At(data, 'FuncInfo');
    const [magic = 0, states = 0, unwindMap = 0, tries = 0, tryMap = 0, places = 0, placeMap = 0] =
      this.#rows(info, 7, 1)[0] ?? [];
    if (!FUNC_INFO_MAGIC.has(magic & 0x1fffffff)) return 'C++ handlers of another form';
    const unwind = this.#rows(unwindMap, 2, states).map(
      ([to = 0, action = 0]) => `${to | 0} ${action === 0 ? '' : this.placeText(action)}`,
    );
    const blocks = this.#rows(tryMap, 5, tries).map(([low, high, last, count = 0, handlers = 0]) => {
      const caught = this.#rows(handlers, 5, count).map(([adjectives, type = 0, object, block = 0]) => {
        if (type !== 0) this.targets.push({ rva: type });
        return `${adjectives} ${object} ${this.placeText(block)}`;
      });
      return `${low}-${high}-${last} ${caught.join(', ')}`;
    });
    const map = this.#rows(placeMap, 2, places).map(
      ([ip = 0, state = 0]) => `${this.placeText(ip)} ${state | 0}`,
    );
    return [unwind, blocks, map].map((part) => part.join('; ')).join(' | ');
  }

  /** A counted table. */
  #table(rva: number, size: number, columns: number): number[][] {
    const { image } = this.program;
    const section = image.sectionAt(rva);
    const room = section === undefined ? 0 : section.virtualAddress + section.virtualSize - rva - 4;
    const count = room < 0 ? 0 : image.u32At(rva, 'scope table');
    return count * size > room ? [] : this.#rows(rva + 4, columns, count);
  }

  #rows(rva: number, columns: number, count: number): number[][] {
    if (count === 0 || count > 0x10000) return [];
    const table = this.program.image.readerAt(rva, count * columns * 4, 'handler data');
    return Array.from({ length: count }, (_, row) =>
      Array.from({ length: columns }, (_, column) => table.u32At((row * columns + column) * 4)),
    );
  }
}

/** EXCEPTION_EXECUTE_HANDLER in place of a filter's RVA. */
const EXECUTE_HANDLER = 1;
