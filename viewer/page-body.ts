/** The page's frame. `TITLE` and `SUMMARY` stand for what the recording says of itself. */
export const PAGE_BODY = `<a class="skip" href="#story">Skip to the present step</a>
<header>
  <div class="heading">
    <h1>TITLE</h1>
    <p class="summary">SUMMARY</p>
  </div>
  <div class="tools">
    <button type="button" id="show-help" aria-label="Keys and help" title="Keys and help (?)">?</button>
    <button type="button" id="theme" aria-label="Light or dark" title="Light or dark (D)"><svg viewBox="0 0 20 20" aria-hidden="true"><path d="M10 2a8 8 0 1 0 0 16z"/><circle cx="10" cy="10" r="7.2" fill="none" stroke="currentColor" stroke-width="1.6"/></svg></button>
  </div>
</header>
<p id="failure" role="alert" hidden></p>
<main>
  <div class="stage">
    <section id="story" class="card story" aria-live="polite" aria-labelledby="story-title" tabindex="-1">
      <p id="story-where" class="where"></p>
      <h2 id="story-title"></h2>
      <p id="story-code" class="instruction"></p>
      <p id="story-text"></p>
      <p id="story-detail" class="detail"></p>
    </section>
    <section id="trampoline-panel" class="card" aria-labelledby="trampoline-heading">
      <div class="card-head">
        <h2 id="trampoline-heading">The way of a call</h2>
        <span id="trampoline-name" class="subject"></span>
        <span id="trampoline-live" class="state"></span>
        <button type="button" id="show-trampoline" class="call-out">Show it in slow motion</button>
        <label class="choice wide"><span class="visually-hidden">Function</span><select id="trampoline-choice"></select></label>
      </div>
      <div id="picture"></div>
    </section>
    <div class="pair">
      <section class="card" aria-labelledby="base-heading">
        <div class="card-head">
          <h2 id="base-heading">Base image</h2>
          <span id="base-place" class="subject"></span>
          <label class="choice"><span class="visually-hidden">Code of the base</span><select id="base-choice"></select></label>
        </div>
        <ol id="base-code" class="code" tabindex="0" aria-label="Instructions of the base"></ol>
      </section>
      <section class="card" aria-labelledby="patch-heading">
        <div class="card-head">
          <h2 id="patch-heading">Patch image</h2>
          <span id="patch-place" class="subject"></span>
          <label class="choice"><span class="visually-hidden">Code of the patch</span><select id="patch-choice"></select></label>
        </div>
        <ol id="patch-code" class="code" tabindex="0" aria-label="Instructions of the patch"></ol>
      </section>
    </div>
    <p class="legend"><span class="bytes"><span class="d">eb</span></span> not the original byte <span class="bytes"><span class="c">eb</span></span> changed by this step <span class="mark">▶</span> next instruction</p>
    <div class="pair">
      <section class="card" aria-labelledby="hotpatch-heading">
        <div class="card-head"><h2 id="hotpatch-heading">Hotpatch Address Tables</h2></div>
        <div id="hpat"></div>
        <h3 id="undo-heading">Undo table</h3>
        <ul id="undo" class="slots"></ul>
        <h3 id="patches-heading">Patches</h3>
        <ul id="patches" class="patches"></ul>
      </section>
      <section class="card" aria-labelledby="memory-heading">
        <div class="card-head"><h2 id="memory-heading">Memory</h2><span id="memory-place" class="subject" role="status"></span></div>
        <form id="memory-form" class="chips">
          <label class="grow"><span class="visually-hidden">Address or name</span><input id="memory-address" type="text" placeholder="address or module!name" autocomplete="off" spellcheck="false"></label>
          <button type="submit">Show</button>
        </form>
        <div id="memory-presets" class="chips" role="group" aria-label="Places"></div>
        <ol id="memory" class="dump" tabindex="0" aria-label="Bytes"></ol>
      </section>
    </div>
    <details id="map-panel" class="card">
      <summary><h2>Address space</h2><span id="map-space" class="subject"></span></summary>
      <ol id="map" class="map"></ol>
    </details>
  </div>
  <div class="side">
    <section class="card" aria-labelledby="events-heading">
      <div class="card-head"><h2 id="events-heading">Events</h2></div>
      <ol id="events" class="events" tabindex="0" aria-label="Events"></ol>
    </section>
    <section class="card" aria-labelledby="registers-heading">
      <div class="card-head"><h2 id="registers-heading">Registers</h2></div>
      <div id="processors" class="chips" role="group" aria-label="Processor"></div>
      <p id="processor-thread" class="small"></p>
      <dl id="registers" class="registers"></dl>
    </section>
    <section class="card" aria-labelledby="stack-heading">
      <div class="card-head"><h2 id="stack-heading">Stack</h2></div>
      <ol id="stack" class="stack"></ol>
    </section>
  </div>
</main>
<footer class="transport" role="group" aria-label="Playback">
  <div class="track">
    <canvas id="timeline" aria-hidden="true"></canvas>
    <input id="position" type="range" min="0" value="0" step="1" aria-label="Step">
  </div>
  <div class="buttons">
    <button type="button" id="to-start" aria-label="To the start" title="To the start (Home)"><svg viewBox="0 0 20 20" aria-hidden="true"><path d="M4 4h2v12H4zM16 4v12L7 10z"/></svg></button>
    <button type="button" id="event-back" aria-label="To the event before" title="To the event before (P)"><svg viewBox="0 0 20 20" aria-hidden="true"><path d="M10 4v12L2 10zM18 4v12l-8-6z"/></svg></button>
    <button type="button" id="step-back" aria-label="One step back" title="One step back (←)"><svg viewBox="0 0 20 20" aria-hidden="true"><path d="M14 4v12L5 10z"/></svg></button>
    <button type="button" id="play" class="primary" aria-label="Play" title="Play or pause (Space)"><svg viewBox="0 0 20 20" aria-hidden="true"><path class="when-paused" d="M5 3v14l12-7z"/><path class="when-playing" d="M4 3h4v14H4zM12 3h4v14h-4z"/></svg></button>
    <button type="button" id="step-forward" aria-label="One step forward" title="One step forward (→)"><svg viewBox="0 0 20 20" aria-hidden="true"><path d="M6 4v12l9-6z"/></svg></button>
    <button type="button" id="event-forward" aria-label="To the next event" title="To the next event (N)"><svg viewBox="0 0 20 20" aria-hidden="true"><path d="M2 4v12l8-6zM10 4v12l8-6z"/></svg></button>
    <button type="button" id="to-end" aria-label="To the end" title="To the end (End)"><svg viewBox="0 0 20 20" aria-hidden="true"><path d="M4 4v12l9-6zM14 4h2v12h-2z"/></svg></button>
    <label class="speed"><span class="visually-hidden">Speed</span><select id="speed">
      <option value="0">1 / s</option><option value="1">2 / s</option><option value="2">5 / s</option>
      <option value="3">20 / s</option><option value="4">100 / s</option><option value="5">1000 / s</option>
    </select></label>
  </div>
</footer>
<dialog id="help" aria-labelledby="help-heading">
  <h2 id="help-heading">Keys</h2>
  <table>
    <tr><th scope="row"><kbd>→</kbd> <kbd>←</kbd></th><td>one step forward, back</td></tr>
    <tr><th scope="row"><kbd>N</kbd> <kbd>P</kbd></th><td>next event, event before (also Shift with the arrows)</td></tr>
    <tr><th scope="row"><kbd>T</kbd> <kbd>Shift T</kbd></th><td>next call of a patched function, the one before</td></tr>
    <tr><th scope="row"><kbd>Home</kbd> <kbd>End</kbd></th><td>start, end</td></tr>
    <tr><th scope="row"><kbd>Space</kbd></th><td>play, pause</td></tr>
    <tr><th scope="row"><kbd>+</kbd> <kbd>−</kbd></th><td>faster, slower</td></tr>
    <tr><th scope="row"><kbd>D</kbd></th><td>light or dark</td></tr>
    <tr><th scope="row"><kbd>?</kbd></th><td>this help</td></tr>
  </table>
  <p>A step is one instruction of one processor, one event of the engine or the kernel, or something that the kernel model did in between. The page shows the machine after the step, and opens at the first call of a patched function. Its address names the step, <code>#step=120</code>, so that it can be passed on.</p>
  <button type="button" id="close-help">Close</button>
</dialog>`;
