import { execFileSync } from 'node:child_process';
import type { CodeViewSymbol, CoffObject, CoffSymbol, ObjectSection } from '../../../image/index.js';

/** What `llvm-readobj-22` says of an object file, in lines of the form that the `describe…` functions make of ours. */
export interface ReadobjDump {
  sections: string[];
  symbols: string[];
  relocations: string[];
  codeView: string[];
}

/** A block of llvm-readobj's output: `Key: value` lines, and what stands in brackets after a key. */
interface Block {
  readonly name: string;
  readonly get: (key: string) => string | undefined;
}

export function readobj(path: string): ReadobjDump {
  const text = execFileSync(
    'llvm-readobj-22',
    ['--sections', '--symbols', '--relocations', '--codeview', path],
    {
      maxBuffer: 1 << 28,
      stdio: ['ignore', 'pipe', 'ignore'],
    },
  ).toString('utf8');
  const all = blocks(text);
  const symbols = all.filter(({ name }) => name === 'Symbol');
  return {
    sections: all
      .filter(({ name }) => name === 'Section')
      .map((b) =>
        [
          b.get('Number'),
          b.get('Name')?.replace(/ \([0-9A-F ]+\)$/, ''),
          b.get('RawDataSize'),
          b.get('Characteristics'),
        ].join(' '),
      ),
    symbols: symbols.map((b) => {
      const section = number(b.get('Section') ?? '');
      const type = number(b.get('ComplexType') ?? '') * 16 + number(b.get('BaseType') ?? '');
      return `${b.get('Name')} ${b.get('Value')} section ${section} type ${type} class ${number(b.get('StorageClass') ?? '')} aux ${b.get('AuxSymbolCount')}${definition(b)}`;
    }),
    relocations: relocations(text),
    codeView: codeView(all, symbols),
  };
}

export function describeSection(section: ObjectSection): string {
  return `${section.number} ${section.name} ${section.size} 0x${section.characteristics.toString(16).toUpperCase()}`;
}

export function describeSymbol(object: CoffObject, symbol: CoffSymbol): string {
  const count = symbol.auxiliary.length / (object.isBigObj ? 20 : 18);
  const d = object.sectionDefinition(symbol);
  const more = d
    ? ` length ${d.length} checksum 0x${d.checkSum.toString(16).toUpperCase()} number ${d.number} selection ${d.selection}`
    : '';
  return `${symbol.name} ${symbol.value} section ${symbol.sectionNumber} type ${symbol.type} class ${symbol.storageClass} aux ${count}${more}`;
}

export function describeRelocations(object: CoffObject): string[] {
  return object.sections.flatMap((section) =>
    section.relocations.map(
      (r) => `${section.number} ${r.offset} ${r.typeName} ${r.symbol.name} ${r.symbol.index}`,
    ),
  );
}

/** Places are told by the symbol there: the same place may have several names, so `at` looks theirs up in our table. */
export function describeCodeView(symbol: CodeViewSymbol): string | undefined {
  const head = symbol.kind;
  const at = 'section' in symbol ? `${symbol.section}:${symbol.offset}` : '';
  switch (symbol.kind) {
    case 'S_GPROC32':
    case 'S_LPROC32':
    case 'S_GPROC32_ID':
    case 'S_LPROC32_ID':
      return `${head} ${symbol.name} ${at} size ${symbol.size} debug ${symbol.debugStart} ${symbol.debugEnd} type ${symbol.typeIndex} flags ${symbol.flags}`;
    case 'S_GDATA32':
    case 'S_LDATA32':
    case 'S_GTHREAD32':
    case 'S_LTHREAD32':
      return `${head} ${symbol.name} ${at} type ${symbol.typeIndex}`;
    case 'S_COMPILE3':
      return `${head} ${symbol.compiler} ${symbol.machine} ${symbol.frontEndVersion} ${symbol.backEndVersion} flags ${symbol.flags} language ${symbol.language}`;
    case 'S_OBJNAME':
      return `${head} ${symbol.name} ${symbol.signature}`;
    case 'S_HOTPATCHFUNC':
      return `${head} ${symbol.name} ${symbol.functionId}`;
    case 'S_ARMSWITCHTABLE':
      // Here llvm-readobj prints the fields without their relocations.
      return `${head} type ${symbol.switchType} entries ${symbol.entries}`;
    default:
      return undefined;
  }
}

function codeView(all: readonly Block[], symbols: readonly Block[]): string[] {
  const places = new Map(
    symbols.map((b) => [
      b.get('Name'),
      { section: number(b.get('Section') ?? ''), value: Number(b.get('Value')) },
    ]),
  );
  const at = (text = '') => {
    const plus = text.lastIndexOf('+');
    const symbol = places.get(text.slice(0, plus));
    return symbol ? `${symbol.section}:${symbol.value + Number(text.slice(plus + 1))}` : `0:${Number(text)}`;
  };
  return all.flatMap((b) => {
    const kind = /^(S_\w+) /.exec(b.get('Kind') ?? '')?.[1];
    const n = (key: string) => number(b.get(key) ?? '');
    switch (kind) {
      case 'S_GPROC32_ID':
      case 'S_LPROC32_ID':
        return `${kind} ${b.get('DisplayName')} ${at(b.get('CodeOffset'))} size ${n('CodeSize')} debug ${n('DbgStart')} ${n('DbgEnd')} type ${n('FunctionType')} flags ${n('Flags')}`;
      case 'S_GDATA32':
      case 'S_LDATA32':
      case 'S_GTHREAD32':
      case 'S_LTHREAD32':
        return `${kind} ${b.get('DisplayName')} ${at(b.get('DataOffset'))} type ${n('Type')}`;
      case 'S_COMPILE3':
        return `${kind} ${b.get('VersionName')} ${n('Machine')} ${b.get('FrontendVersion')} ${b.get('BackendVersion')} flags ${n('Flags')} language ${n('Language')}`;
      case 'S_OBJNAME':
        return `${kind} ${b.get('ObjectName')} ${n('Signature')}`;
      case 'S_HOTPATCHFUNC':
        return `${kind} ${b.get('Name')} ${n('Function')}`;
      case 'S_ARMSWITCHTABLE':
        return `${kind} type ${n('SwitchType')} entries ${n('EntriesCount')}`;
      default:
        return [];
    }
  });
}

function definition(b: Block): string {
  if (b.get('Checksum') === undefined) return '';
  return ` length ${b.get('Length')} checksum ${b.get('Checksum')} number ${b.get('Number')} selection ${number(b.get('Selection') ?? '')}`;
}

function relocations(text: string): string[] {
  const found: string[] = [];
  let section = '';
  for (const line of text.slice(text.indexOf('\nRelocations [')).split('\n')) {
    if (line === ']') break;
    section = /^ {2}Section \((\d+)\)/.exec(line)?.[1] ?? section;
    const m = /^ {4}0x([0-9A-F]+) IMAGE_REL_[A-Z0-9]+?_(\w+) (.*) \((\d+)\)$/.exec(line);
    if (m) found.push(`${section} ${Number.parseInt(m[1] ?? '', 16)} ${m[2]} ${m[3]} ${m[4]}`);
  }
  return found;
}

/** Every `Name { … }` of the output; the keys of an auxiliary record belong to its symbol. */
function blocks(text: string): Block[] {
  const found: Block[] = [];
  let keys = new Map<string, string>();
  for (const line of text.split('\n')) {
    if (line.endsWith(' {') && !/^ *Aux/.test(line)) {
      const block = new Map<string, string>();
      keys = block;
      found.push({ name: line.slice(0, -2).trim(), get: (key) => block.get(key) });
      continue;
    }
    const m = /^ *(\w+)(?:: (.*)| \[ \((0x[0-9A-F]+)\))$/.exec(line);
    if (m && !keys.has(m[1] ?? '')) keys.set(m[1] ?? '', m[2] ?? m[3] ?? '');
  }
  return found;
}

/** The number of `0x2`, `Static (0x3)`, `.text (4)` or `IMAGE_SYM_DEBUG (-2)`. */
function number(text: string): number {
  return Number(/\((-?\w+)\)$/.exec(text)?.[1] ?? text);
}
