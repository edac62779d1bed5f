import { createHash } from 'node:crypto';
import { deflateRawSync } from 'node:zlib';
import { PAGE_BODY } from './page-body.js';
import { packRecording, type Recording } from './recording/format.js';
import { clientScript } from './script.js';
import { layoutStyles } from './styles/layout.js';
import { panelStyles } from './styles/panels.js';
import { themeStyles } from './styles/theme.js';

/**
 * A recording as one HTML file that needs no server and no network: data, program and styles are inside, and its own
 * content security policy lets nothing else in.
 */
export async function renderPage(recording: Recording): Promise<string> {
  const script = await clientScript();
  if (/<\/script|<!--/i.test(script)) throw new Error("the page's program would end its own element");
  const styles = `${themeStyles}${layoutStyles}${panelStyles}`;
  const policy = [
    "default-src 'none'",
    `script-src '${hashOf(script)}'`,
    `style-src '${hashOf(styles)}'`,
    'img-src data:',
    "base-uri 'none'",
    "form-action 'none'",
  ].join('; ');
  const title = escapeHtml(recording.head.title);
  const data = deflateRawSync(packRecording(recording), { level: 9 }).toString('base64');
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<link rel="icon" href="data:,">
<title>${title} · hotpatch-lab</title>
<style>${styles}</style>
</head>
<body>
${PAGE_BODY.replace('TITLE', () => title).replace('SUMMARY', () => escapeHtml(summary(recording)))}
<script type="application/octet-stream" id="recording">${data}</script>
<script>${script}</script>
</body>
</html>
`;
}

function summary({ head }: Recording): string {
  const [processor] = head.processors;
  const count = (number: number, what: string) =>
    `${number.toLocaleString('en')} ${what}${number === 1 ? '' : 's'}`;
  const parts = [
    processor?.architecture ?? 'no machine',
    count(head.processors.length, 'processor'),
    count(head.instructions, 'instruction'),
    count(head.events.length, 'event'),
  ];
  if (head.limit !== undefined) parts.push(`only the first ${count(head.limit, 'instruction')} recorded`);
  if (head.error !== undefined) parts.push(`failed: ${head.error}`);
  return parts.join(' · ');
}

function hashOf(text: string): string {
  return `sha256-${createHash('sha256').update(text).digest('base64')}`;
}

function escapeHtml(text: string): string {
  return text
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;');
}
