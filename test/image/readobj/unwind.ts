import {
  type FunctionTableEntryArm64,
  type FunctionTableEntryX64,
  isX64Entry,
  type PeImage,
  type PrologStepArm64,
  type RegisterArm64,
  readUnwindInfoArm64,
  readUnwindInfoX64,
  UNWIND_REGISTERS_X64,
  type UnwindCodeArm64,
  type UnwindCodeX64,
  type UnwindInfoX64,
} from '../../../image/index.js';
import { machineName } from './headers.js';
import { H, H2, type Lines } from './text.js';

export function writeUnwind(out: Lines, image: PeImage): void {
  out.list('UnwindInformation', () => {
    if (image.machine === 'I386') out.line(`unsupported Image Machine: ${machineName(image)}`);
    // llvm-readobj takes the `.pdata` section, where linkers put the ARM64 entries of hybrid images too.
    const extra = image.hybrid?.extraFunctionTable ?? [];
    for (const entry of extra.length > 0 ? extra : image.functionTable) {
      out.group('RuntimeFunction', () =>
        isX64Entry(entry) ? writeX64(out, image, entry) : writeArm64(out, image, entry),
      );
    }
  });
}

function writeX64(out: Lines, image: PeImage, entry: FunctionTableEntryX64): void {
  const address = (rva: number) => `(${H(image.optionalHeader.imageBase + BigInt(rva))})`;
  const entryFields = (e: FunctionTableEntryX64) => {
    out.field('StartAddress', address(e.beginAddress));
    out.field('EndAddress', address(e.endAddress));
    out.field('UnwindInfoAddress', address(e.unwindInfoAddress));
  };
  entryFields(entry);
  const info = readUnwindInfoX64(image, entry);
  out.group('UnwindInfo', () => {
    out.field('Version', info.version);
    out.flags('Flags', info.flags, { ExceptionHandler: 1, TerminateHandler: 2, ChainInfo: 4 });
    out.field('PrologSize', info.sizeOfProlog);
    if (info.frameRegister === undefined) {
      out.field('FrameRegister', '-');
      out.field('FrameOffset', '-');
    } else {
      out.field(
        'FrameRegister',
        `${info.frameRegister.toUpperCase()} (${H(UNWIND_REGISTERS_X64.indexOf(info.frameRegister))})`,
      );
      out.hex('FrameOffset', info.frameOffset / 16);
    }
    out.field('UnwindCodeCount', info.countOfCodes);
    out.list('UnwindCodes', () => {
      for (const line of epilogLines(info)) out.line(line);
      for (const code of info.codes) out.line(`${H2(code.codeOffset)}: ${x64Code(code, info)}`);
    });
    if (info.exceptionHandler !== undefined) out.field('Handler', address(info.exceptionHandler));
    const { chained } = info;
    if (chained !== undefined) out.group('Chained', () => entryFields(chained));
  });
}

function epilogLines({ epilogs }: UnwindInfoX64): string[] {
  if (epilogs === undefined) return [];
  const { size, atEnd, offsetsFromEnd, slots } = epilogs;
  const lines = [`${H2(size)}: EPILOG atend=${atEnd ? 'yes' : 'no'}, length=${H(size)}`];
  for (const offset of atEnd ? offsetsFromEnd.slice(1) : offsetsFromEnd) {
    lines.push(`${H2(offset & 0xff)}: EPILOG offset=${H(offset)}`);
  }
  while (lines.length < slots) lines.push('0x00: EPILOG padding');
  return lines;
}

function x64Code(code: UnwindCodeX64, info: UnwindInfoX64): string {
  switch (code.op) {
    case 'PUSH_NONVOL':
      return `PUSH_NONVOL reg=${code.register.toUpperCase()}`;
    case 'ALLOC_LARGE':
    case 'ALLOC_SMALL':
      return `${code.op} size=${code.size}`;
    case 'SET_FPREG':
      return info.frameRegister === undefined
        ? 'SET_FPREG <invalid>'
        : `SET_FPREG reg=${info.frameRegister.toUpperCase()}, offset=${H(info.frameOffset)}`;
    case 'PUSH_MACHFRAME':
      return `PUSH_MACHFRAME errcode=${code.errorCode ? 'yes' : 'no'}`;
    default:
      return `${code.op} reg=${code.register.toUpperCase()}, offset=${H(code.offset)}`;
  }
}

function writeArm64(out: Lines, image: PeImage, entry: FunctionTableEntryArm64): void {
  const address = (rva: number) => H(image.optionalHeader.imageBase + BigInt(rva));
  const yes = (value: boolean) => (value ? 'Yes' : 'No');
  out.field('Function', address(entry.beginAddress));
  const info = readUnwindInfoArm64(image, entry);
  if (info.form === 'packed') {
    out.field('Fragment', yes(info.flag === 2));
    out.field('FunctionLength', info.functionLength);
    out.field('RegF', info.regF);
    out.field('RegI', info.regI);
    out.field('HomedParameters', yes(info.homedParameters));
    out.field('CR', info.cr);
    out.field('FrameSize', info.frameSize);
    out.list('Prologue', () => {
      for (const step of info.prolog.toReversed()) out.line(packedStep(step));
      out.line('end');
    });
    return;
  }
  out.field('ExceptionRecord', address(entry.unwindData));
  out.group('ExceptionData', () => {
    out.field('FunctionLength', info.functionLength);
    out.field('Version', info.version);
    out.field('ExceptionData', yes(info.hasExceptionData));
    out.field('EpiloguePacked', yes(info.packedEpilog));
    if (info.packedEpilog) out.field('EpilogueOffset', info.epilogStartIndex ?? 0);
    else out.field('EpilogueScopes', info.epilogs.length);
    out.field('ByteCodeLength', info.codeBytes.length);
    out.list('Prologue', () => writeCodes(out, info.prolog, true));
    if (info.packedEpilog) {
      if ((info.epilogStartIndex ?? 0) !== 0) {
        out.list('Epilogue', () => writeCodes(out, info.epilogs[0]?.codes ?? [], false));
      }
    } else {
      out.list('EpilogueScopes', () => {
        for (const scope of info.epilogs) {
          out.group('EpilogueScope', () => {
            out.field('StartOffset', scope.startOffset / 4);
            out.field('EpilogueStartIndex', scope.startIndex);
            out.list('Opcodes', () => writeCodes(out, scope.codes, false));
          });
        }
      });
    }
    if (info.exceptionHandler !== undefined && info.handlerData !== undefined) {
      const { exceptionHandler, handlerData } = info;
      out.list('ExceptionHandler', () => {
        out.field('Routine', address(exceptionHandler));
        out.hex('Parameter', image.u32At(handlerData, 'handler data'));
      });
    }
  });
}

function packedStep(step: PrologStepArm64): string {
  const name = (register: RegisterArm64) => (register === 'fp' ? 'x29' : register);
  switch (step.op) {
    case 'alloc':
      return `sub sp, sp, #${step.size}`;
    case 'set_fp':
      return 'mov x29, sp';
    case 'pac_sign_lr':
      return 'pacibsp';
    case 'save': {
      const registers = step.registers.map(name).join(', ');
      const bare = step.offset === 0 && step.registers[0] !== 'fp';
      const where = step.preIndexed ? `[sp, #-${step.offset}]!` : bare ? '[sp]' : `[sp, #${step.offset}]`;
      return `${step.registers.length === 2 ? 'stp' : 'str'} ${registers}, ${where}`;
    }
  }
}

function writeCodes(out: Lines, codes: readonly UnwindCodeArm64[], prolog: boolean): void {
  for (const code of codes) {
    const bytes = Array.from(code.bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
    out.line(`0x${bytes.padEnd(18)}; ${arm64Code(code, prolog)}`);
  }
}

function arm64Code(code: UnwindCodeArm64, prolog: boolean): string {
  switch (code.op) {
    case 'alloc':
      return `${prolog ? 'sub' : 'add'} sp, #${code.size}`;
    case 'set_fp':
      return prolog ? 'mov fp, sp' : 'mov sp, fp';
    case 'add_fp':
      return prolog ? `add fp, sp, #${code.offset}` : `sub sp, fp, #${code.offset}`;
    case 'alloc_z':
      return `${prolog ? 'addvl sp, #-' : 'addvl sp, #'}${code.vectors}`;
    case 'save_next':
      return prolog ? 'save next' : 'restore next';
    case 'pac_sign_lr':
      return prolog ? 'pacibsp' : 'autibsp';
    case 'clear_unwound_to_call':
      return 'clear unwound to call';
    case 'trap_frame':
      return 'trap frame';
    case 'machine_frame':
      return 'machine frame';
    case 'ec_context':
      return 'EC context';
    case 'save': {
      const names: Readonly<Record<string, string>> = {
        fp: 'x29',
        ...(code.bytes.length === 1 ? { lr: 'x30' } : {}),
      };
      const registers = code.registers.map((register) => names[register] ?? register).join(', ');
      const mnemonic = prolog ? 'st' : 'ld';
      const operation = `${mnemonic}${code.registers.length === 2 ? 'p' : 'r'} ${registers}, `;
      if (!code.preIndexed) return `${operation}[sp, #${code.offset}]`;
      return operation + (prolog ? `[sp, #-${code.offset}]!` : `[sp], #${code.offset}`);
    }
    default:
      return code.op;
  }
}
