/**
 * A unified diff that replaces all lines of a file. A smaller one would keep the line numbers of what follows a change,
 * by `#line`; here they are to be those of the editor.
 */
export function wholeFilePatch(file: string, base: string, fixed: string): string {
  const [old, now] = [linesOf(base), linesOf(fixed)];
  const range = (lines: readonly string[]) => `${lines.length === 0 ? 0 : 1},${lines.length}`;
  return [
    `--- a/${file}`,
    `+++ b/${file}`,
    `@@ -${range(old)} +${range(now)} @@`,
    ...old.map((line) => `-${line}`),
    ...now.map((line) => `+${line}`),
    '',
  ].join('\n');
}

/** The text as a file has it: lines that end with a line feed. */
export function asFile(text: string): string {
  return linesOf(text)
    .map((line) => `${line}\n`)
    .join('');
}

function linesOf(text: string): string[] {
  const lines = text.replace(/\r\n?/g, '\n').split('\n');
  if (lines.at(-1) === '') lines.pop();
  return lines;
}
