import { execFileSync } from 'node:child_process';
import type { CodeViewSymbol, SectionContribution, SectionOffset } from '../../../image/index.js';

/** What `llvm-pdbutil-22 dump` says of a PDB, every record in one line of the form that `describe` makes of ours. */
export interface PdbutilDump {
  summary: Record<string, string>;
  modules: { name: string; symbols: string[] }[];
  globals: string[];
  publics: string[];
  contributions: string[];
  sections: { name: string; virtualSize: number; virtualAddress: number }[];
}

const options = ['-summary', '-globals', '-publics', '-symbols', '-section-contribs', '-section-headers'];

export function pdbutil(path: string): PdbutilDump {
  const text = execFileSync('llvm-pdbutil-22', ['dump', ...options, path], {
    maxBuffer: 1 << 28,
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  const parts = new Map<string, string[]>();
  let part: string[] = [];
  for (const line of text.toString('utf8').split('\n')) {
    if (/^=+$/.test(line)) {
      const title = part.pop() ?? '';
      part = [];
      parts.set(title.trim(), part);
    } else part.push(line);
  }
  const lines = (name: string) => parts.get(name) ?? [];
  return {
    summary: Object.fromEntries(
      lines('Summary')
        .flatMap((line) => [line.trim().split(': ')])
        .filter((pair) => pair.length === 2),
    ),
    modules: modules(lines('Symbols')),
    globals: records(lines('Global Symbols')),
    publics: records(lines('Public Symbols')),
    contributions: contributions(lines('Section Contributions')),
    sections: sections(lines('Section Headers')),
  };
}

/** Our record in the words of llvm-pdbutil. */
export function describe(symbol: CodeViewSymbol): string {
  const head = `${symbol.at} ${symbol.kind.replace(/_ID$/, '')}`;
  const addr = 'section' in symbol ? place(symbol) : '';
  switch (symbol.kind) {
    case 'S_GPROC32':
    case 'S_LPROC32':
    case 'S_GPROC32_ID':
    case 'S_LPROC32_ID':
      return `${head} \`${symbol.name}\` ${addr} size ${symbol.size} end ${symbol.end} debug ${symbol.debugStart} ${symbol.debugEnd} type ${type(symbol.typeIndex)}`;
    case 'S_GDATA32':
    case 'S_LDATA32':
    case 'S_GTHREAD32':
    case 'S_LTHREAD32':
      return `${head} \`${symbol.name}\` ${addr} type ${type(symbol.typeIndex)}`;
    case 'S_PUB32':
      return `${head} \`${symbol.name}\` ${addr} flags ${publicFlags(symbol.flags)}`;
    case 'S_LABEL32':
      return `${head} \`${symbol.name}\` ${addr}`;
    case 'S_THUNK32':
      return `${head} \`${symbol.name}\` ${addr} size ${symbol.size}`;
    case 'S_PROCREF':
    case 'S_LPROCREF':
      return `${head} \`${symbol.name}\` module ${symbol.module + 1} record ${symbol.record}`;
    case 'S_COMPILE2':
    case 'S_COMPILE3':
      return `${head} ${symbol.compiler} ${machine(symbol.machine)} ${symbol.frontEndVersion} ${symbol.backEndVersion} hot patchable ${symbol.isHotPatchable}`;
    case 'S_OBJNAME':
      return `${head} ${symbol.signature} \`${symbol.name}\``;
    case 'S_ARMSWITCHTABLE':
      return `${head} ${place(symbol.base)} ${place(symbol.branch)} ${place(symbol.table)} entries ${symbol.entries}`;
    case 'S_HOTPATCHFUNC':
      return `${head} \`${symbol.name}\``;
    case 'S_SKIP':
      return `${head} size ${symbol.length + 4}`;
  }
}

/** Our section contribution in the words of llvm-pdbutil, which has no name for bit 0x2000 that MSVC sets. */
export function describeContribution(c: SectionContribution): string {
  const named = (c.characteristics & ~0x2000) >>> 0;
  return `mod = ${c.module}, ${place(c)}, size = ${c.size}, data crc = ${c.dataCrc}, reloc crc = ${c.relocCrc}, 0x${named.toString(16)}`;
}

type Fields = (text: string, size: string) => string | undefined;

const fields: Record<string, Fields> = {
  S_GPROC32: procedure,
  S_LPROC32: procedure,
  S_GDATA32: data,
  S_LDATA32: data,
  S_GTHREAD32: data,
  S_LTHREAD32: data,
  S_PUB32: (text) => {
    const m = /^(`.*`) flags = (.*), addr = (\S+)$/.exec(text);
    return m ? `${m[1]} ${m[3]} flags ${m[2]}` : undefined;
  },
  S_LABEL32: (text) => {
    const m = /^(`.*`) \(addr = (\S+)\) flags = /.exec(text);
    return m ? `${m[1]} ${m[2]}` : undefined;
  },
  S_THUNK32: (text) => {
    const m = /^(`.*`) parent = \d+, end = \d+, next = \d+ kind = .*, size = (\d+), addr = (\S+)$/.exec(text);
    return m ? `${m[1]} ${m[3]} size ${m[2]}` : undefined;
  },
  S_PROCREF: reference,
  S_LPROCREF: reference,
  S_COMPILE2: compiled,
  S_COMPILE3: compiled,
  S_OBJNAME: (text) => {
    const m = /^sig=(\d+), (`.*`)$/.exec(text);
    return m ? `${m[1]} ${m[2]}` : undefined;
  },
  S_ARMSWITCHTABLE: (text) => {
    const m = /base = (\S+), switchtype = \S+, branch = (\S+), table = (\S+), entriescount = (\d+)/.exec(
      text,
    );
    return m ? `${m[1]} ${m[2]} ${m[3]} entries ${m[4]}` : undefined;
  },
  S_SKIP: (_text, size) => `size ${size}`,
};

function procedure(text: string): string | undefined {
  const m =
    /^(`.*`) parent = \d+, end = (\d+), addr = (\S+), code size = (\d+) type = `(0x[0-9A-F]+|<no type>).*`, debug start = (\d+), debug end = (\d+), flags = /.exec(
      text,
    );
  return m ? `${m[1]} ${m[3]} size ${m[4]} end ${m[2]} debug ${m[6]} ${m[7]} type ${m[5]}` : undefined;
}

function data(text: string): string | undefined {
  const m = /^(`.*`) type = (0x[0-9A-F]+|<no type>).*, addr = (\S+)$/.exec(text);
  return m ? `${m[1]} ${m[3]} type ${m[2]}` : undefined;
}

function reference(text: string): string | undefined {
  const m = /^(`.*`) module = (\d+), sum name = \d+, offset = (\d+)$/.exec(text);
  return m ? `${m[1]} module ${m[2]} record ${m[3]}` : undefined;
}

function compiled(text: string): string | undefined {
  const m =
    /^machine = (.*), [Vv]er = (.*), language = .* frontend = (\S+), backend = (\S+) flags = (.*)$/.exec(
      text,
    );
  return m
    ? `${m[2]} ${m[1]} ${m[3]} ${m[4]} hot patchable ${(m[5] ?? '').includes('hot patchable')}`
    : undefined;
}

/** Records begin with `offset | KIND [size = n]` and go on in deeper lines. Kinds that we do not decode are left out. */
function records(lines: readonly string[]): string[] {
  const found: { offset: number; kind: string; size: string; text: string }[] = [];
  for (const line of lines) {
    const m = /^ *(\d+) \| (S_\w+) \[size = (\d+)\] ?(.*)$/.exec(line);
    if (m) found.push({ offset: Number(m[1]), kind: m[2] ?? '', size: m[3] ?? '', text: m[4] ?? '' });
    else if (line.startsWith(' ') && found.length > 0)
      (found.at(-1) ?? { text: '' }).text += ` ${line.trim()}`;
  }
  return found
    .sort((a, b) => a.offset - b.offset)
    .flatMap(({ offset, kind, size, text }) => {
      const read = fields[kind];
      return read ? [`${offset} ${kind} ${read(text.trim(), size) ?? `NOT UNDERSTOOD: ${text}`}`] : [];
    });
}

function modules(lines: readonly string[]): PdbutilDump['modules'] {
  const found: { name: string; lines: string[] }[] = [];
  for (const line of lines) {
    const m = /^ *Mod \d+ \| `(.*)`: ?$/.exec(line);
    if (m) found.push({ name: m[1] ?? '', lines: [] });
    else found.at(-1)?.lines.push(line);
  }
  return found.map(({ name, lines }) => ({ name, symbols: records(lines) }));
}

function contributions(lines: readonly string[]): string[] {
  const found: string[] = [];
  for (const line of lines) {
    const m = /^ *SC\[.*\] +\| (mod = .*)$/.exec(line);
    if (m) found.push(`${m[1]}:`);
    else if (found.length > 0 && line.trim() !== '') found[found.length - 1] += ` ${line.trim()}`;
  }
  return found.map((text) => {
    const [numbers = '', flags = ''] =
      text.split(':  ').length > 1 ? text.split(':  ') : text.split(/:(?= (?:IMAGE|none))/);
    const value = flags.split('|').reduce((sum, flag) => sum + characteristic(flag.trim()), 0);
    return `${numbers}, 0x${value.toString(16)}`;
  });
}

const characteristics: Record<string, number> = {
  none: 0,
  '': 0,
  IMAGE_SCN_TYPE_NO_PAD: 0x8,
  IMAGE_SCN_CNT_CODE: 0x20,
  IMAGE_SCN_CNT_INITIALIZED_DATA: 0x40,
  IMAGE_SCN_CNT_UNINITIALIZED_DATA: 0x80,
  IMAGE_SCN_LNK_OTHER: 0x100,
  IMAGE_SCN_LNK_INFO: 0x200,
  IMAGE_SCN_LNK_REMOVE: 0x800,
  IMAGE_SCN_LNK_COMDAT: 0x1000,
  IMAGE_SCN_GPREL: 0x8000,
  IMAGE_SCN_LNK_NRELOC_OVFL: 0x1000000,
  IMAGE_SCN_MEM_DISCARDABLE: 0x2000000,
  IMAGE_SCN_MEM_NOT_CACHED: 0x4000000,
  IMAGE_SCN_MEM_NOT_PAGED: 0x8000000,
  IMAGE_SCN_MEM_SHARED: 0x10000000,
  IMAGE_SCN_MEM_EXECUTE: 0x20000000,
  IMAGE_SCN_MEM_READ: 0x40000000,
  IMAGE_SCN_MEM_WRITE: 0x80000000,
};

function characteristic(flag: string): number {
  const align = /^IMAGE_SCN_ALIGN_(\d+)BYTES$/.exec(flag);
  return align ? (Math.log2(Number(align[1])) + 1) * 0x100000 : (characteristics[flag] ?? Number.NaN);
}

function sections(lines: readonly string[]): PdbutilDump['sections'] {
  const found: PdbutilDump['sections'] = [];
  for (const line of lines) {
    if (/SECTION HEADER #/.test(line)) found.push({ name: '', virtualSize: 0, virtualAddress: 0 });
    const section = found.at(-1);
    const m = /^ *(\S+) (name|virtual size|virtual address)$/.exec(line);
    if (!m || !section) continue;
    if (m[2] === 'name') section.name = m[1] ?? '';
    else
      section[m[2] === 'virtual size' ? 'virtualSize' : 'virtualAddress'] = Number.parseInt(m[1] ?? '', 16);
  }
  return found;
}

function place({ section, offset }: SectionOffset): string {
  return `${String(section).padStart(4, '0')}:${String(offset).padStart(4, '0')}`;
}

function type(index: number): string {
  return index === 0 ? '<no type>' : `0x${index.toString(16).toUpperCase().padStart(4, '0')}`;
}

function publicFlags(flags: number): string {
  const names = ['code', 'function', 'managed', 'msil'].filter((_, bit) => flags & (1 << bit));
  return names.join(' | ') || 'none';
}

/** CV_CFL_* as llvm-pdbutil calls them. */
function machine(value: number): string {
  const names: Record<number, string> = {
    3: 'intel 80386',
    7: 'intel pentium 3',
    208: 'intel x86-x64',
    246: 'arm64',
    248: 'arm64ec',
  };
  return names[value] ?? String(value);
}
