import type { Mark } from './protocol.js';

/** `sum.c:12:9: error: use of undeclared identifier 'x'` */
const MESSAGE = /^[^\s:][^:\n]*:(\d+):\d+: (?:fatal )?(error|warning): (.*)$/gm;

/** What clang has said, at its lines. */
export function marksOfCompiler(output: string, side: Mark['side']): Mark[] {
  return [...output.matchAll(MESSAGE)].map(([, line, severity, message = '']) => ({
    side,
    line: Number(line),
    severity: severity === 'warning' ? 'warning' : 'error',
    message,
  }));
}

/** The line where a source defines a function or variable, as far as that can be seen without a compiler. */
export function definitionLine(source: string, symbol: string): number | undefined {
  const name = symbol.replace(/[^\w]/g, '');
  if (name === '') return undefined;
  const lines = source.split('\n');
  const declares = new RegExp(String.raw`^\S.*\b${name}\s*(?:\(|\[|=|;|,)`);
  const at = lines.findIndex((line) => declares.test(line) && !/^\s*(?:\/[/*]|\*|#|return\b)/.test(line));
  return at < 0 ? undefined : at + 1;
}

/** The first line that a fix changes. */
export function firstChange(base: string, fixed: string): number {
  const before = base.split('\n');
  const at = fixed.split('\n').findIndex((line, index) => line !== before[index]);
  return Math.max(0, at) + 1;
}
