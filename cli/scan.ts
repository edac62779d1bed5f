import { existsSync } from 'node:fs';
import { basename } from 'node:path';
import { Command, InvalidArgumentError } from 'commander';
import {
  type DumpModule,
  findSymbols,
  imageFromMemory,
  isMinidump,
  type MemoryDump,
  MemoryRanges,
  type PeImage,
  readImage,
  readMinidump,
  readRawMemory,
  type ScanFinding,
  type ScannedModule,
  type SymbolTable,
  scanMemory,
} from '../image/index.js';
import { UsageError } from './errors.js';
import { readInput } from './files.js';
import { colours, EXIT, note, print, printJson } from './output.js';

interface ScanFlags {
  readonly mapped?: boolean;
  readonly base?: bigint;
  readonly symbols?: string;
  readonly json?: boolean;
}

export function scanCommand(): Command {
  return new Command('scan')
    .description(
      'Finds hotpatched functions in a dump or an image, and tells them from what other hooks have redirected.',
    )
    .argument('<file>', 'a minidump with full memory, a raw dump with its FILE.json, or an image')
    .option('--mapped', 'the file is an image as it lay in memory, with its HPAT behind it')
    .option('--base <address>', 'where it lay; default: its preferred base', address)
    .option('--symbols <file>', 'PDB or map of the image; default: what lies beside it')
    .option('--json', 'one JSON document on stdout')
    .addHelpText('after', '\nExample:\n  hotpatch scan patched.dmp')
    .action((file: string, flags: ScanFlags) => {
      const { dump, kind, symbols } = open(file, flags);
      const modules = scanMemory(dump, { symbols });
      if (flags.json) printJson({ file: basename(file), kind, modules: modules.map(jsonOf) });
      else for (const module of modules) printModule(module);
      for (const { module, problem } of modules)
        if (problem !== undefined) note(`hotpatch: ${basename(file)}: ${module.name}: ${problem}`);
      const isForeign = ({ verdict }: ScanFinding) => verdict !== 'hotpatch' && verdict !== 'reverted';
      if (modules.some(({ findings }) => findings.some(isForeign))) process.exitCode = EXIT.failed;
    });
}

interface Opened {
  readonly dump: MemoryDump;
  readonly kind: 'minidump' | 'raw' | 'image' | 'mapped image';
  readonly symbols: (module: DumpModule) => SymbolTable | undefined;
}

function open(file: string, flags: ScanFlags): Opened {
  const bytes = readInput(file);
  const isImage = bytes[0] === 0x4d && bytes[1] === 0x5a;
  const none = () => undefined;
  for (const name of ['mapped', 'base', 'symbols'] as const)
    if (!isImage && flags[name] !== undefined)
      throw new UsageError(`--${name}: ${file} is no image, and says by itself what is in it`);
  if (isMinidump(bytes)) return { dump: readMinidump(bytes, { file }), kind: 'minidump', symbols: none };
  if (!isImage) return { dump: rawDump(file, bytes), kind: 'raw', symbols: none };
  return flags.mapped === true ? openMapped(file, bytes, flags) : openImage(file, bytes, flags);
}

function rawDump(file: string, bytes: Uint8Array): MemoryDump {
  const beside = `${file}.json`;
  if (!existsSync(beside))
    throw new UsageError(
      `${file}: is no minidump and no image, and there is no ${basename(beside)} that would say what it is`,
    );
  let description: unknown;
  try {
    description = JSON.parse(new TextDecoder().decode(readInput(beside)));
  } catch {
    throw new UsageError(`${beside}: is no JSON`);
  }
  return readRawMemory(bytes, description, { file });
}

function openImage(file: string, bytes: Uint8Array, flags: ScanFlags): Opened {
  const image = readImage(bytes, { file });
  const memory = image.layOut();
  const base = flags.base ?? image.optionalHeader.imageBase;
  return single(file, image, base, memory, 'image', flags);
}

function openMapped(file: string, bytes: Uint8Array, flags: ScanFlags): Opened {
  const headers = readImage(bytes.slice(), { file });
  const base = flags.base ?? headers.optionalHeader.imageBase;
  const opened = single(file, headers, base, bytes, 'mapped image', flags);
  const [module] = opened.dump.modules;
  if (module !== undefined) imageFromMemory(opened.dump, module);
  return opened;
}

function single(
  file: string,
  image: PeImage,
  base: bigint,
  bytes: Uint8Array,
  kind: Opened['kind'],
  flags: ScanFlags,
): Opened {
  const ranges = new MemoryRanges([{ address: base, bytes }]);
  const module = {
    name: basename(file),
    base,
    size: image.optionalHeader.sizeOfImage,
    checkSum: image.optionalHeader.checkSum,
    timeDateStamp: image.fileHeader.timeDateStamp,
  };
  const { table, origin } = findSymbols({ image, path: file }, { symbolsFile: flags.symbols });
  const symbols = origin.kind === 'exports' ? undefined : table;
  return {
    dump: {
      architecture: image.architecture,
      modules: [module],
      read: (at, length) => ranges.read(at, length),
    },
    kind,
    symbols: () => symbols,
  };
}

function address(text: string): bigint {
  if (/^(0x[0-9a-f]{1,16}|[0-9]{1,20})$/i.test(text)) return BigInt.asUintN(64, BigInt(text));
  throw new InvalidArgumentError(`'${text}' is no address`);
}

const hex = (value: bigint | number): string => `0x${value.toString(16)}`;

function jsonOf({ module, findings, entries, patches, problem }: ScannedModule): object {
  return {
    name: module.name,
    base: hex(module.base),
    size: module.size,
    checkSum: module.checkSum,
    timeDateStamp: module.timeDateStamp,
    ...(patches === undefined ? {} : { patches }),
    entries,
    ...(problem === undefined ? {} : { problem }),
    findings: findings.map(({ address, codeSlot, dataSlot, target, ...rest }) => ({
      ...rest,
      address: hex(address),
      ...(codeSlot === undefined ? {} : { codeSlot: hex(codeSlot) }),
      ...(dataSlot === undefined ? {} : { dataSlot: hex(dataSlot) }),
      ...(target === undefined ? {} : { target: hex(target) }),
    })),
  };
}

const VERDICTS: Readonly<Record<ScanFinding['verdict'], (text: string) => string>> = {
  hotpatch: colours.green,
  reverted: colours.dim,
  unverified: colours.yellow,
  hook: colours.red,
  import: colours.red,
};

function printModule({ module, findings, entries, patches }: ScannedModule): void {
  const isPatch = patches === undefined ? '' : ', a hotpatch image';
  const count = findings.length === 0 ? 'nothing redirected' : `${findings.length} redirected`;
  print(
    `${colours.bold(basename(module.name.replaceAll('\\', '/')))} at ${hex(module.base)}${isPatch}: ${entries} functions, ${count}`,
  );
  for (const { verdict, name, rva, shape, into } of findings)
    print(
      `  ${VERDICTS[verdict](verdict.padEnd(10))} ${name} (+${hex(rva)})  ${shape}${into === undefined ? '' : ` → ${into}`}`,
    );
}
