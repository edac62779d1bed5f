/** Sources, code and machine. Old code is amber, new code green, everywhere. */
export const machineStyles = `
.base { --side: var(--accent); --side-soft: var(--accent-soft); }
.old { --side: var(--change); --side-soft: var(--change-soft); }
.new { --side: var(--good); --side-soft: var(--hop-soft); }
.way { --side: var(--differs); --side-soft: var(--differs-soft); }
.system { --side: var(--soft); --side-soft: var(--lane); }
.dot { background: var(--side); }
#editors .cm-mergeView { max-height: 26rem; overflow: auto; border: 1px solid var(--line); border-radius: 8px; }
#editors .cm-editor { background: var(--sunken); color: var(--ink); font-size: 0.82rem; }
#editors .cm-content, #editors .cm-gutters, .listing, #log, #prompt, .frame, .reg, .step { font-family: var(--mono); }
#editors .cm-gutters { background: var(--sunken); color: var(--soft); border-right: 1px solid var(--line); }
#editors .cm-activeLine, #editors .cm-activeLineGutter { background: color-mix(in srgb, var(--accent) 7%, transparent); }
#editors .cm-cursor { border-left-color: var(--ink); }
#editors .cm-selectionBackground, #editors .cm-focused .cm-selectionBackground { background: var(--accent-soft) !important; }
#editors .cm-changedLine { background: color-mix(in srgb, var(--differs) 12%, transparent) !important; }
#editors .cm-changedText { background: color-mix(in srgb, var(--differs) 30%, transparent) !important; }
#editors .at { background: var(--side-soft) !important; box-shadow: inset 3px 0 var(--side); }
#editors .at-caller { box-shadow: inset 3px 0 color-mix(in srgb, var(--side) 55%, transparent); }
#editors .linked { outline: 1px dashed var(--soft); outline-offset: -1px; }
#editors .broken { background: color-mix(in srgb, var(--change) 22%, transparent); }
#editors .breakpoints { width: 1.1rem; cursor: pointer; }
#editors .breakpoints .cm-gutterElement { display: grid; place-items: center; }
#editors .breakpoint { width: 0.7rem; height: 0.7rem; border-radius: 50%; background: #d43d3d; }
.tok-keyword, .tok-typeName { color: var(--differs); } .tok-comment { color: var(--soft); font-style: italic; }
.tok-number, .tok-string { color: var(--hop); } .tok-meta { color: var(--change); }
@media (max-width: 700px) { #editors .cm-mergeViewEditors { flex-direction: column; } #editors .cm-mergeView { max-height: none; } #editors .cm-mergeViewEditor { flex: none; } #editors .cm-mergeViewEditor + .cm-mergeViewEditor { border-top: 2px solid var(--line); } .names { grid-template-columns: 1fr; } .names span + span::before { content: 'below: '; } }
#outcome { margin-top: 0.5rem; font-size: 0.88rem; display: grid; gap: 0.25rem; }
#outcome .verdict { font-weight: 600; } #outcome .patched { color: var(--good); } #outcome .refused, #outcome .failed { color: var(--change); }
#outcome .mark { color: var(--ink); text-align: left; background: none; border: 0; min-height: 0; padding: 0; font-size: 0.85rem; border-radius: 4px; }
#outcome .mark b { color: var(--change); font-family: var(--mono); font-weight: 600; }
#threads { display: grid; gap: 0.35rem; margin-top: 0.6rem; }
.thread { display: flex; flex-wrap: wrap; align-items: center; gap: 0.3rem 0.5rem; border: 1px solid var(--line); border-left: 5px solid var(--side); border-radius: 8px; padding: 0.35rem 0.6rem; background: var(--side-soft); font-size: 0.85rem; text-align: left; min-height: 0; color: var(--ink); }
.thread[aria-pressed="true"] { background: var(--side-soft); border-color: var(--side); outline: 1px solid var(--side); }
.thread .who { font-weight: 650; } .thread .tag { background: var(--side); color: var(--card); border-radius: 99px; padding: 0 0.6em; font-size: 0.75rem; font-weight: 650; }
.thread .where { font-family: var(--mono); font-size: 0.8rem; overflow-wrap: anywhere; } .thread .chain { color: var(--soft); font-size: 0.8rem; overflow-wrap: anywhere; }
.code { display: grid; gap: 0.8rem; min-width: 0; }
#way:empty { display: none; }
.hops { display: flex; flex-wrap: wrap; align-items: stretch; gap: 0.3rem; }
.hop { flex: 1 1 9rem; border: 1px solid var(--line); border-radius: 8px; padding: 0.4rem 0.6rem; background: var(--sunken); font-size: 0.78rem; min-width: 0; }
.hop b { display: block; font-size: 0.8rem; } .hop code { display: block; overflow-wrap: anywhere; color: var(--soft); }
.hop.here { border-color: var(--differs); background: var(--differs-soft); } .hop.unused { opacity: 0.55; }
.arrow { align-self: center; color: var(--soft); }
#listings { display: grid; gap: 0.8rem; grid-template-columns: repeat(auto-fit, minmax(min(21rem, 100%), 1fr)); align-items: start; }
.listing { font-size: 0.76rem; line-height: 1.55; max-height: 30rem; overflow: auto; }
.listing h3 { font-family: var(--sans); margin: 0 0 0.3rem; color: var(--side); font-size: 0.85rem; }
.listing table { border-collapse: collapse; width: 100%; }
.listing td { padding: 0 0.5rem 0 0; white-space: pre; vertical-align: top; } .listing td.address { color: var(--soft); } .listing td.bytes { color: var(--soft); max-width: 7.2rem; overflow: hidden; text-overflow: ellipsis; }
.listing td.line { color: var(--soft); text-align: right; padding-left: 0.3rem; }
.listing tr.at td { background: var(--side-soft); font-weight: 600; } .listing tr.at td:first-child { box-shadow: inset 3px 0 var(--side); }
.listing tr.changed td.bytes, .listing tr.changed td.text { color: var(--differs); }
.listing tr.hop-row td { color: var(--differs); font-family: var(--sans); font-size: 0.74rem; padding-top: 0.15rem; }
.listing tr.linked td { outline: 1px dashed var(--soft); outline-offset: -1px; }
.frame { font-size: 0.78rem; border-left: 4px solid var(--side); padding: 0.1rem 0.5rem; margin-bottom: 0.2rem; overflow-wrap: anywhere; }
.frame span { color: var(--soft); }
.regs { display: grid; grid-template-columns: repeat(auto-fill, minmax(12.5rem, 1fr)); gap: 0 0.8rem; }
.reg { font-size: 0.75rem; white-space: nowrap; overflow: hidden; text-overflow: ellipsis; } .reg b { color: var(--soft); font-weight: 500; display: inline-block; width: 3.2em; }
.reg.changed { color: var(--change); }
.result { display: flex; gap: 0.5rem; font-size: 0.85rem; padding: 0.1rem 0; align-items: baseline; flex-wrap: wrap; } .result code { overflow-wrap: anywhere; } .result .value { margin-left: auto; font-weight: 650; font-family: var(--mono); }
.result.crashed .value { color: var(--change); font-weight: 500; margin-left: 0; }
.slots { width: 100%; border-collapse: collapse; font-size: 0.76rem; font-family: var(--mono); } .slots td { padding: 0.1rem 0.4rem 0.1rem 0; overflow-wrap: anywhere; vertical-align: top; }
.empty { color: var(--soft); font-size: 0.85rem; }
#log { max-height: 15rem; min-height: 4rem; overflow: auto; font-size: 0.78rem; white-space: pre-wrap; overflow-wrap: anywhere; background: var(--sunken); border-radius: 8px; padding: 0.5rem 0.7rem; }
#log .asked { color: var(--accent); } #log .event { color: var(--soft); } #log .wrong { color: var(--change); }
#prompt { display: flex; gap: 0.5rem; align-items: center; margin-top: 0.4rem; font-size: 0.8rem; } #prompt input { flex: 1; font-family: var(--mono); } #position { color: var(--soft); }
#exploration { margin-top: 0.6rem; font-size: 0.85rem; display: grid; gap: 0.3rem; } #exploration .good { color: var(--good); font-weight: 600; } #exploration .bad { color: var(--change); font-weight: 600; }
.lanes { display: grid; gap: 2px 0.4rem; font-size: 0.74rem; }
.lanes .lane-name { font-weight: 650; font-size: 0.78rem; position: sticky; top: 0; background: var(--card); }
.step { background: var(--lane); border-radius: 5px; padding: 0.1rem 0.45rem; overflow-wrap: anywhere; } .step.engine { background: var(--differs-soft); } .step.last { outline: 2px solid var(--change); }
.step span { color: var(--soft); margin-right: 0.5em; }
#guide { font-size: 0.9rem; display: grid; gap: 0.5rem; } #guide ol { display: grid; gap: 0.45rem; }
#guide li { padding-left: 1.6rem; position: relative; } #guide li::before { content: '○'; position: absolute; left: 0.2rem; color: var(--soft); }
#guide li.done { color: var(--soft); } #guide li.done::before { content: '✓'; color: var(--good); font-weight: 700; } #guide li.now { font-weight: 600; } #guide li.now::before { content: '▸'; color: var(--accent); }
#guide code { font-size: 0.85em; overflow-wrap: anywhere; } #guide .end { color: var(--good); font-weight: 600; }
`;
