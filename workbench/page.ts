import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { themeStyles } from '../viewer/index.js';
import { PAGE_BODY } from './page-body.js';
import { layoutStyles } from './styles/layout.js';
import { machineStyles } from './styles/machine.js';

/** One file of the page. */
export interface Asset {
  readonly body: string;
  readonly headers: (origin: string) => Readonly<Record<string, string>>;
}

/** The page by its paths: no other place is asked for anything. */
export async function pageAssets(): Promise<ReadonlyMap<string, Asset>> {
  const file = (type: string, body: string): Asset => ({
    body,
    headers: () => ({ 'Content-Type': `${type}; charset=utf-8` }),
  });
  const html: Asset = {
    body: PAGE,
    headers: (origin) => ({
      'Content-Type': 'text/html; charset=utf-8',
      'Content-Security-Policy': policy(origin),
    }),
  };
  return new Map([
    ['/', html],
    ['/page.js', file('text/javascript', await clientScript())],
    ['/page.css', file('text/css', `${themeStyles}${layoutStyles}${machineStyles}`)],
  ]);
}

/** The editors make style elements of their own. */
function policy(origin: string): string {
  return [
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self' 'unsafe-inline'",
    `connect-src 'self' ${origin.replace('http:', 'ws:')}`,
    'img-src data:',
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
  ].join('; ');
}

const PAGE = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<link rel="icon" href="data:,">
<link rel="stylesheet" href="/page.css">
<title>hotpatch workbench</title>
</head>
<body>
${PAGE_BODY}
<script type="module" src="/page.js"></script>
</body>
</html>
`;

let bundled: Promise<string> | undefined;

/** Once for this process. */
function clientScript(): Promise<string> {
  bundled ??= bundle();
  return bundled;
}

/** Built: the file that scripts/setup/bundle.js has made. From the sources: bundled now. */
async function bundle(): Promise<string> {
  const built = fileURLToPath(new URL('./client/page.js', import.meta.url));
  if (existsSync(built)) return readFileSync(built, 'utf8');
  const { build } = await import('esbuild');
  const entry = fileURLToPath(import.meta.url).replace(/page\.([jt]s)$/, 'client/main.$1');
  const { outputFiles } = await build({
    entryPoints: [entry],
    bundle: true,
    write: false,
    format: 'esm',
    target: 'es2022',
    logLevel: 'error',
  });
  return outputFiles[0]?.text ?? '';
}
