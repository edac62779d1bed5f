const light = `
  color-scheme: light;
  --paper: #f5f4f1; --card: #ffffff; --sunken: #f0efeb; --line: #dcdad3; --ink: #1d1f24; --soft: #555a64;
  --accent: #1f5fbf; --accent-ink: #ffffff; --accent-soft: #dfe9f8;
  --change: #934006; --change-soft: #fdecc8; --differs: #6d28d9; --differs-soft: #ede3fd;
  --hop: #0f766e; --hop-soft: #cdeee9; --good: #1a7341; --lane: #e4e2db; --run: #8fa3bd; --event: #8a8578;
  --shadow: 0 1px 2px rgb(30 25 15 / 7%), 0 4px 14px rgb(30 25 15 / 5%);`;

const dark = `
  color-scheme: dark;
  --paper: #14161a; --card: #1d2026; --sunken: #16181d; --line: #33373f; --ink: #eceae4; --soft: #a4a9b3;
  --accent: #82b1ff; --accent-ink: #0c1a30; --accent-soft: #223450;
  --change: #ffb547; --change-soft: #49360f; --differs: #c6a1ff; --differs-soft: #382a52;
  --hop: #4fd1c0; --hop-soft: #12413c; --good: #6fd596; --lane: #2a2e36; --run: #5d7291; --event: #8b8fa0;
  --shadow: 0 1px 2px rgb(0 0 0 / 40%);`;

/** Colours: those of the system's choice, or of the user's. All text on its ground has a contrast of 4.5 or more. */
export const themeStyles = `
:root {${light} }
@media (prefers-color-scheme: dark) { :root {${dark} } }
:root[data-theme="light"] {${light} }
:root[data-theme="dark"] {${dark} }
:root {
  --sans: system-ui, "Segoe UI", Roboto, "DejaVu Sans", sans-serif;
  --mono: ui-monospace, "Cascadia Code", "SF Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace;
}
* { box-sizing: border-box; }
html { scroll-padding-bottom: 9rem; }
body { margin: 0; background: var(--paper); color: var(--ink); font: 15px/1.5 var(--sans); -webkit-text-size-adjust: 100%; }
h1, h2, h3, p, ol, ul, dl, dd { margin: 0; padding: 0; }
ol, ul { list-style: none; }
h1 { font-size: 1.25rem; line-height: 1.25; font-weight: 650; letter-spacing: -0.01em; text-wrap: balance; }
h2 { font-size: 0.95rem; font-weight: 650; }
h3 { font-size: 0.8rem; font-weight: 650; color: var(--soft); margin: 0.9rem 0 0.3rem; }
code, kbd { font-family: var(--mono); font-size: 0.9em; }
kbd { border: 1px solid var(--line); border-radius: 4px; padding: 0 0.35em; background: var(--sunken); }
button, select, input[type="text"] {
  font: inherit; font-size: 0.85rem; color: var(--ink); background: var(--card); border: 1px solid var(--line);
  border-radius: 8px; min-height: 2.25rem; padding: 0.25rem 0.7rem;
}
button { cursor: pointer; }
button:hover, select:hover { border-color: var(--accent); }
button[aria-pressed="true"] { background: var(--accent-soft); border-color: var(--accent); }
button[aria-disabled="true"] { opacity: 0.45; cursor: default; }
button svg { width: 1.15rem; height: 1.15rem; fill: currentColor; display: block; }
:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; }
[hidden] { display: none !important; }
.visually-hidden { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }
.skip { position: absolute; left: -999px; top: 0; background: var(--card); padding: 0.5rem 1rem; z-index: 5; }
.skip:focus { left: 0; }
@media (prefers-reduced-motion: no-preference) {
  .c { animation: change 0.9s ease-out; }
  @keyframes change { from { background: var(--change); color: var(--card); } }
}
`;
