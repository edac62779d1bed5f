/** Where things are: two columns, or one on a phone; the player stays at the lower edge. */
export const layoutStyles = `
header, main { max-width: 1560px; margin: 0 auto; padding: 0 1.25rem; }
header { display: flex; gap: 1rem; align-items: flex-start; padding-top: 1.1rem; padding-bottom: 0.9rem; }
.heading { flex: 1; min-width: 0; }
.summary { color: var(--soft); font-size: 0.85rem; overflow-wrap: anywhere; }
.tools { display: flex; gap: 0.4rem; }
.tools button { width: 2.5rem; height: 2.5rem; padding: 0; display: grid; place-items: center; font-weight: 650; }
#failure { max-width: 1520px; margin: 0 auto 1rem; padding: 0.8rem 1rem; border-radius: 10px; background: var(--change-soft); }
main { display: grid; grid-template-columns: minmax(0, 1fr) 360px; gap: 1rem; padding-bottom: 9.5rem; align-items: start; }
.stage, .side { display: grid; gap: 1rem; min-width: 0; grid-template-columns: minmax(0, 1fr); }
.pair { display: grid; grid-template-columns: repeat(2, minmax(0, 1fr)); gap: 1rem; align-items: start; }
.card { background: var(--card); border: 1px solid var(--line); border-radius: 12px; box-shadow: var(--shadow); padding: 0.9rem 1rem; min-width: 0; }
.card-head { display: flex; align-items: center; gap: 0.3rem 0.7rem; flex-wrap: wrap; margin-bottom: 0.6rem; min-height: 1.9rem; }
.subject { color: var(--soft); font: 0.8rem/1.4 var(--mono); overflow-wrap: anywhere; min-width: 0; }
.choice { margin-left: auto; min-width: 0; }
.choice.wide select { max-width: 15rem; }
.call-out { min-height: 1.9rem; padding: 0 0.8rem; font-size: 0.8rem; font-weight: 600; color: var(--hop); border-color: var(--hop); }
.choice select { max-width: 7.6rem; min-height: 1.9rem; padding: 0.1rem 0.4rem; font-size: 0.8rem; color: var(--soft); }
.chips { display: flex; flex-wrap: wrap; gap: 0.4rem; margin-bottom: 0.5rem; }
.grow { flex: 1; min-width: 9rem; }
.grow input { width: 100%; font-family: var(--mono); }
.small { font-size: 0.8rem; color: var(--soft); }

.transport {
  position: fixed; inset: auto 0 0; z-index: 3; background: var(--card); border-top: 1px solid var(--line);
  padding: 0.5rem max(1.25rem, calc((100vw - 1520px) / 2)) calc(0.6rem + env(safe-area-inset-bottom));
  box-shadow: 0 -4px 18px rgb(0 0 0 / 8%);
}
.track { position: relative; display: grid; }
#timeline { width: 100%; display: block; }
#position {
  position: absolute; inset: 0; width: 100%; height: 100%; min-height: 24px; margin: 0; cursor: pointer;
  appearance: none; background: none; border-radius: 4px;
}
#position::-webkit-slider-runnable-track { height: 100%; background: none; }
#position::-webkit-slider-thumb { appearance: none; width: 14px; height: 100%; border-radius: 4px; border: 2px solid var(--accent); background: color-mix(in srgb, var(--accent) 25%, transparent); }
#position::-moz-range-track { height: 100%; background: none; }
#position::-moz-range-thumb { box-sizing: border-box; width: 14px; height: 100%; border-radius: 4px; border: 2px solid var(--accent); background: color-mix(in srgb, var(--accent) 25%, transparent); }
.buttons { display: flex; align-items: center; justify-content: center; gap: 0.35rem; margin-top: 0.2rem; }
.buttons button { min-width: 2.75rem; min-height: 2.5rem; display: grid; place-items: center; padding: 0 0.5rem; }
.buttons .primary { background: var(--accent); color: var(--accent-ink); border-color: var(--accent); min-width: 3.6rem; }
.speed { margin-left: 0.6rem; }
.speed select { min-height: 2.5rem; }
#play .when-playing, #play.playing .when-paused { display: none; }
#play.playing .when-playing { display: block; }

dialog { border: 1px solid var(--line); border-radius: 14px; background: var(--card); color: var(--ink); max-width: min(34rem, calc(100vw - 2rem)); padding: 1.3rem 1.5rem; }
dialog::backdrop { background: rgb(0 0 0 / 45%); }
dialog h2 { font-size: 1.1rem; margin-bottom: 0.6rem; }
dialog table { border-spacing: 0 0.35rem; }
dialog th { text-align: left; padding-right: 1.2rem; white-space: nowrap; font-weight: 400; }
dialog p { margin: 0.8rem 0 1rem; color: var(--soft); font-size: 0.9rem; }

@media (max-width: 1180px) { main { grid-template-columns: minmax(0, 1fr) 330px; } .pair { grid-template-columns: minmax(0, 1fr); } }
@media (max-width: 860px) {
  main { grid-template-columns: minmax(0, 1fr); }
  .stage, .side { gap: 0.75rem; }
}
@media (max-width: 760px) {
  header, main { padding-left: 0.75rem; padding-right: 0.75rem; }
  main { padding-bottom: 8.5rem; gap: 0.75rem; }
  h1 { font-size: 1.1rem; }
  .card { padding: 0.8rem; border-radius: 10px; }
  .transport { padding-left: 0.75rem; padding-right: 0.75rem; }
  .buttons { gap: 0.25rem; }
  .buttons button { flex: 1; min-width: 0; min-height: 2.75rem; padding: 0; }
  .buttons .primary { flex: 1.4; min-width: 0; }
  .speed { flex: 1.6; margin: 0; }
  .speed select { width: 100%; min-height: 2.75rem; padding: 0 0.1rem; }
  .call-out { min-height: 2.75rem; flex: 1; }
}
`;
