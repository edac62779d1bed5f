/** What is in the cards. */
export const panelStyles = `
.story { border-left: 4px solid var(--accent); min-height: 9.2rem; }
.story .where { font-size: 0.8rem; color: var(--soft); font-variant-numeric: tabular-nums; }
.story h2 { font-size: 1.3rem; line-height: 1.3; margin: 0.15rem 0 0.3rem; letter-spacing: -0.01em; overflow-wrap: anywhere; }
.story #story-text { font-size: 1.02rem; max-width: 78ch; overflow-wrap: anywhere; white-space: pre-line; }
  .instruction { font: 0.95rem/1.5 var(--mono); margin-bottom: 0.2rem; overflow-wrap: anywhere; }
.detail { margin-top: 0.4rem; font: 0.8rem/1.5 var(--mono); color: var(--soft); overflow-wrap: anywhere; }
.state { font-size: 0.75rem; padding: 0.1rem 0.55rem; border-radius: 99px; border: 1px solid var(--line); color: var(--soft); white-space: nowrap; }
.state.applied { color: var(--good); border-color: currentColor; }
.state.failed { color: var(--change); border-color: currentColor; }

#picture svg { display: block; width: 100%; height: auto; max-height: 24rem; font-family: var(--sans); }
.frame rect { fill: var(--sunken); stroke: var(--line); }
.frame-title { font-size: 12.5px; font-weight: 600; fill: var(--soft); }
.station rect { fill: var(--card); stroke: var(--line); stroke-width: 1.2; stroke-dasharray: 4 3; }
.station.set rect { stroke: var(--soft); stroke-dasharray: none; }
.station.entry.set rect, .station.padding.set rect, .station.codeSlot.set rect, .station.dataSlot.set rect { stroke: var(--differs); stroke-width: 1.6; }
.station-title { font-size: 11.5px; fill: var(--soft); }
.station-bytes { font: 12.5px var(--mono); fill: var(--ink); }
.station-text { font: 11px var(--mono); fill: var(--soft); }
.station.left rect { stroke: var(--line); fill: var(--sunken); }
.station.station.trail rect { fill: var(--hop-soft); stroke: var(--hop); }
.station.station.running rect { fill: var(--hop); stroke: var(--hop); stroke-dasharray: none; }
.station.running text { fill: var(--card); }
.station.station.changed rect { fill: var(--change-soft); stroke: var(--change); stroke-width: 2.4; }
.arrow { fill: none; stroke-width: 2; }
.arrow.idle { stroke: var(--line); stroke-dasharray: 3 4; }
.arrow.set { stroke: var(--soft); }
.arrow.reads { stroke-dasharray: 6 4; }
.arrow.lit { stroke: var(--hop); stroke-width: 3.2; }
.head.idle { fill: var(--line); } .head.set { fill: var(--soft); } .head.lit { fill: var(--hop); }

.code { font: 12.5px/1.65 var(--mono); max-height: 25rem; min-height: 12rem; overflow: auto; background: var(--sunken); border-radius: 8px; padding: 0.4rem 0; }
.code li { display: grid; grid-template-columns: 1.2rem 2.2rem 7.9rem minmax(0, 1fr); gap: 0 0.55rem; padding: 0 0.6rem 0 0.3rem; }
.code .mark { text-align: right; color: var(--hop); }
.code .offset { color: var(--soft); text-align: right; }
.code .bytes { color: var(--soft); }
.code .text { overflow-wrap: anywhere; }
.code .padding .text { color: var(--soft); }
.code .ran { background: var(--hop-soft); box-shadow: inset 3px 0 var(--hop); }
.code .differs .text { color: var(--differs); }
.code .padding.differs .text { color: var(--differs); }
.bytes .d { color: var(--differs); background: var(--differs-soft); border-radius: 3px; font-weight: 600; }
.bytes .c, .bytes .d.c { color: var(--change); background: var(--change-soft); border-radius: 3px; font-weight: 700; }
.legend { display: flex; flex-wrap: wrap; gap: 0.2rem 0.5rem; font-size: 0.8rem; color: var(--soft); margin-top: -0.4rem; padding-left: 0.2rem; }
.legend .bytes { font-family: var(--mono); margin-left: 0.6rem; }
.legend .bytes:first-child { margin-left: 0; }
.legend .c { animation: none; }
.legend .mark { color: var(--hop); margin-left: 0.6rem; }
.code .empty, .dump .empty, .stack .empty, .slots .empty { display: block; }
.empty { color: var(--soft); font: 0.85rem var(--sans); padding: 0.3rem 0.6rem; }

.events { max-height: 26rem; overflow: auto; margin: 0 -0.4rem; }
.events button { display: block; width: 100%; text-align: left; border: 0; border-radius: 6px; background: none; min-height: 1.9rem; padding: 0.22rem 0.5rem; font-size: 0.8rem; line-height: 1.4; color: var(--ink); overflow-wrap: anywhere; white-space: pre-line; }
.events button:hover { background: var(--sunken); }
.events .inner { padding-left: 1.3rem; color: var(--soft); }
.events .store { font-family: var(--mono); font-size: 0.74rem; }
.events .entry { color: var(--change); font-weight: 600; }
.events .narration { color: var(--accent); }
.events [aria-current="step"] button { background: var(--accent-soft); box-shadow: inset 3px 0 var(--accent); }
.events [aria-current="true"] { border-bottom: 2px solid var(--accent); }

.registers { display: grid; grid-template-columns: auto minmax(0, 1fr); font: 12.5px/1.6 var(--mono); margin-top: 0.4rem; }
.registers dt { color: var(--soft); padding-right: 0.8rem; }
.registers dd { display: flex; flex-wrap: wrap; gap: 0 0.7rem; padding: 0 0.3rem; border-radius: 4px; min-width: 0; }
.registers .name, .stack .name { color: var(--accent); overflow-wrap: anywhere; min-width: 0; }
.registers .zero .value, .dump .zero { color: var(--soft); }
.registers .c, .stack .c, .slots .c, .map .c { background: var(--change-soft); }
.registers .c .value, .stack .c .value { color: var(--change); font-weight: 600; }
#processors button { min-height: 2rem; padding: 0.1rem 0.7rem; font-size: 0.8rem; }
#processors .acting::after { content: " ●"; color: var(--hop); }

.stack { font: 12.5px/1.6 var(--mono); }
.stack li { display: grid; grid-template-columns: 2.2rem auto minmax(0, 1fr); gap: 0.7rem; border-radius: 4px; padding: 0 0.3rem; }
.stack .offset { color: var(--soft); text-align: right; }
.stack .top { font-weight: 600; }

.dump { font: 12.5px/1.7 var(--mono); background: var(--sunken); border-radius: 8px; padding: 0.4rem 0.6rem; overflow-x: auto; }
.dump li { display: flex; flex-wrap: wrap; gap: 0 1rem; }
.dump .offset { color: var(--soft); }
.dump .bytes { display: inline-flex; gap: 0.45em; }
.dump .characters { color: var(--soft); letter-spacing: 0.05em; }
#memory-presets .chip { min-height: 1.9rem; padding: 0 0.6rem; font-size: 0.78rem; border-radius: 99px; color: var(--soft); }

.slots li { display: grid; grid-template-columns: 1.6rem minmax(0, 1fr); gap: 0 0.5rem; padding: 0.3rem 0.3rem; border-radius: 6px; font: 12.5px/1.5 var(--mono); border-bottom: 1px solid var(--line); }
.slots li:last-child { border-bottom: 0; }
.slots .running { background: var(--hop-soft); }
.slots .slot { color: var(--soft); grid-row: span 3; text-align: right; }
.slots .owner, .slots .target { overflow-wrap: anywhere; }
.slots .target { color: var(--accent); }
.slots .small { font-family: var(--sans); grid-column: 2; }
.slots .slot ~ * { grid-column: 2; }
.patches li { display: flex; flex-wrap: wrap; gap: 0.2rem 0.6rem; align-items: center; padding: 0.25rem 0.3rem; }
.patches .name { font: 12.5px var(--mono); }

summary { display: flex; gap: 0.7rem; align-items: center; cursor: pointer; min-height: 1.9rem; }
summary::before { content: "▸"; color: var(--soft); }
details[open] summary::before { content: "▾"; }
.map { margin-top: 0.6rem; font: 12.5px/1.7 var(--mono); max-height: 28rem; overflow: auto; }
.map li { display: grid; grid-template-columns: auto 4.2rem minmax(0, 1fr) minmax(0, 1.1fr); gap: 0.9rem; padding: 0 0.3rem; border-radius: 4px; }
.map .offset, .map .how { color: var(--soft); } .map .size { text-align: right; }
.map .what, .map .how { overflow-wrap: anywhere; }
.map .reserved .what { color: var(--soft); }
@media (max-width: 760px) {
  .story { min-height: 10.5rem; }
  .story h2 { font-size: 1.12rem; }
  .story #story-text { font-size: 0.95rem; }
  #picture svg { max-height: none; }
  .choice { margin-left: 0; flex: 1 1 9rem; }
  .choice select, .choice.wide select { width: 100%; max-width: none; min-height: 2.75rem; }
  .code { max-height: 20rem; font-size: 12px; }
  .code li { grid-template-columns: 1.4rem 2.2rem minmax(0, 1fr); }
  .code .text { grid-column: 3; }
  .events { max-height: 17rem; }
  .events button, #processors button, #memory-presets .chip, .chips button, .chips input { min-height: 2.75rem; }
  .map li { grid-template-columns: auto 1fr; gap: 0 0.8rem; border-bottom: 1px solid var(--line); padding: 0.3rem; }
  .dump, .stack, .registers { font-size: 12px; }
  summary { min-height: 2.75rem; }
}
`;
