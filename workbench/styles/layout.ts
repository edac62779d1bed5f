/** Where things are: lesson at the left, sources above the machine; one column on a phone. */
export const layoutStyles = `
header, main { max-width: 1720px; margin: 0 auto; padding: 0 1.1rem; }
header { display: flex; gap: 1rem; align-items: center; padding-top: 0.8rem; padding-bottom: 0.7rem; flex-wrap: wrap; }
.heading { flex: 1; min-width: 14rem; }
.summary { color: var(--soft); font-size: 0.85rem; overflow-wrap: anywhere; }
.tools { display: flex; gap: 0.4rem; flex-wrap: wrap; }
#failure { max-width: 1690px; margin: 0 auto 0.8rem; padding: 0.7rem 1rem; border-radius: 10px; background: var(--change-soft); color: var(--ink); white-space: pre-wrap; }
main {
  display: grid; gap: 0.8rem; padding-bottom: 2rem; align-items: start;
  grid-template-columns: 17rem minmax(0, 1fr) 21rem;
  grid-template-areas: 'guide sources sources' 'guide controls controls' 'guide code side' 'guide console side' 'guide explore side';
}
.guide { grid-area: guide; } .sources { grid-area: sources; } .controls { grid-area: controls; } .code { grid-area: code; }
.side { grid-area: side; display: grid; gap: 0.8rem; min-width: 0; } .console { grid-area: console; } .explore { grid-area: explore; }
.card { background: var(--card); border: 1px solid var(--line); border-radius: 12px; box-shadow: var(--shadow); padding: 0.75rem 0.9rem; min-width: 0; }
.card-head { display: flex; align-items: center; gap: 0.3rem 0.8rem; flex-wrap: wrap; margin-bottom: 0.5rem; min-height: 1.8rem; }
.choice { margin-left: auto; min-width: 0; }
.guide .choice { margin-left: 0; flex: 1; } .guide select { width: 100%; }
.subject, .small { color: var(--soft); font-size: 0.8rem; }
.legend { font-size: 0.8rem; color: var(--soft); display: inline-flex; gap: 0.35rem; align-items: center; }
.dot { width: 0.7rem; height: 0.7rem; border-radius: 50%; display: inline-block; }
.names { display: grid; grid-template-columns: 1fr 1fr; font-size: 0.8rem; color: var(--soft); padding-bottom: 0.2rem; }
details summary { cursor: pointer; } details summary h2 { display: inline; }
details[open] summary { margin-bottom: 0.4rem; }
button.primary { background: var(--accent); color: var(--accent-ink); border-color: var(--accent); font-weight: 600; }
button:disabled { opacity: 0.45; cursor: default; border-color: var(--line); }
.buttons { display: flex; flex-wrap: wrap; gap: 0.4rem 0.9rem; align-items: center; }
.buttons label { font-size: 0.85rem; color: var(--soft); display: inline-flex; gap: 0.4rem; align-items: center; }
.group { display: inline-flex; flex-wrap: wrap; gap: 0.25rem; }
#call { font-family: var(--mono); width: 13rem; }
#state { font-size: 0.85rem; color: var(--soft); min-width: 0; overflow-wrap: anywhere; }
@media (max-width: 1250px) {
  main { grid-template-columns: minmax(0, 1fr) 19rem; grid-template-areas: 'guide guide' 'sources sources' 'controls controls' 'code side' 'console side' 'explore side'; }
}
@media (max-width: 860px) {
  header, main { padding-left: 0.6rem; padding-right: 0.6rem; }
  main { grid-template-columns: minmax(0, 1fr); grid-template-areas: 'guide' 'sources' 'controls' 'code' 'side' 'console' 'explore'; }
  .card { padding: 0.65rem 0.7rem; }
  .buttons button { min-height: 2.6rem; }
}
`;
