/** One fenced block of a Markdown page, and what the comment above it says about how to run it. */
export interface Block {
  readonly language: string;
  readonly text: string;
  /** Of the opening fence; the first line of a page is 1. */
  readonly line: number;
  readonly directives: Directives;
}

export interface Directives {
  /** `file=NAME`: written into the page's folder under this name. */
  readonly file?: string;
  /** `exit=N`: what the last command of the block returns. */
  readonly exit: number;
  /** `skip: reason`: shown, not run. */
  readonly skip?: string;
  /** `needs=TOOL`: skipped where the tool is not installed. */
  readonly needs?: string;
}

/** One command of a console block with the output that the page shows for it. */
export interface ShownCommand {
  readonly command: string;
  readonly output: string;
}

const FENCE = /^(```+)(\S*)\s*$/;
const DIRECTIVE = /^<!-- docs: (.*) -->$/;

export function readBlocks(markdown: string): Block[] {
  const lines = markdown.split('\n');
  const blocks: Block[] = [];
  for (let at = 0; at < lines.length; at++) {
    const [, fence, language = ''] = FENCE.exec(lines[at] ?? '') ?? [];
    if (fence === undefined) continue;
    const start = at + 1;
    for (at = start; at < lines.length && lines[at] !== fence; at++);
    if (at === lines.length) throw new Error(`line ${start}: the block has no end`);
    const above = lines.slice(0, start - 1).findLast((line) => line.trim() !== '') ?? '';
    blocks.push({
      language,
      text: lines.slice(start, at).join('\n'),
      line: start,
      directives: readDirectives(above, start),
    });
  }
  return blocks;
}

function readDirectives(line: string, at: number): Directives {
  const [, text] = DIRECTIVE.exec(line.trim()) ?? [];
  if (text === undefined) return { exit: 0 };
  const skip = /^skip: (.+)$/.exec(text)?.[1];
  if (skip !== undefined) return { exit: 0, skip };
  const known = /^(?:(?:file|exit|needs)=\S+(?: |$))+$/.test(text);
  if (!known) throw new Error(`line ${at}: '${text}' is not file=NAME, exit=N, needs=TOOL or skip: reason`);
  const value = (name: string) => new RegExp(`\\b${name}=(\\S+)`).exec(text)?.[1];
  const file = value('file');
  const needs = value('needs');
  return {
    exit: Number(value('exit') ?? 0),
    ...(file === undefined ? {} : { file }),
    ...(needs === undefined ? {} : { needs }),
  };
}

/** `$ command` lines, each with the lines up to the next one; a command goes on after a backslash. */
export function readConsole(text: string): ShownCommand[] {
  const commands: { command: string; output: string[] }[] = [];
  let isOpen = false;
  for (const line of text.split('\n')) {
    const current = commands.at(-1);
    if (isOpen && current !== undefined) current.command += `\n${line}`;
    else if (line.startsWith('$ ')) commands.push({ command: line.slice(2), output: [] });
    else if (current === undefined) throw new Error(`a console block begins with '$ ', not with: ${line}`);
    else current.output.push(line);
    isOpen = (isOpen || line.startsWith('$ ')) && line.endsWith('\\');
  }
  return commands.map(({ command, output }) => ({ command, output: trimEnds(output.join('\n')) }));
}

/**
 * Where the output that a page shows differs from what was printed, as text; undefined when it does not. A line `…`
 * stands for any number of lines, `…` inside a line for any text. Blank lines at the ends do not count, nor does space
 * at the ends of lines.
 */
export function difference(shown: string, printed: string): string | undefined {
  const expected = lines(shown);
  const actual = lines(printed);
  let at = 0;
  for (let i = 0; i < expected.length; i++) {
    const line = expected[i] ?? '';
    if (line.trim() === '…') {
      const next = expected.slice(i + 1).find((candidate) => candidate.trim() !== '…');
      if (next === undefined) return undefined;
      while (at < actual.length && !fits(next, actual[at] ?? '')) at++;
      if (at === actual.length) return `never printed after line ${i}: ${next}`;
      continue;
    }
    const found = actual[at++];
    if (found === undefined || !fits(line, found))
      return `shown:   ${line}\nprinted: ${found ?? '(nothing more)'}`;
  }
  return at < actual.length ? `printed, but not shown: ${actual[at]}` : undefined;
}

function lines(text: string): string[] {
  const trimmed = trimEnds(text);
  return trimmed === '' ? [] : trimmed.split('\n').map((line) => line.trimEnd());
}

function trimEnds(text: string): string {
  return text.replace(/^(?:[ \t]*\n)+/, '').trimEnd();
}

function fits(shown: string, printed: string): boolean {
  if (!shown.includes('…')) return shown === printed;
  const pattern = shown.split('…').map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'));
  return new RegExp(`^${pattern.join('.*')}$`).test(printed);
}
