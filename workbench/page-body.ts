/** What stands in the page before its program fills it. */
export const PAGE_BODY = `
<a class="skip" href="#editors">To the source</a>
<header>
  <div class="heading">
    <h1>hotpatch workbench</h1>
    <p class="summary" id="summary">Change a line of C, and patch it into the machine that runs it.</p>
  </div>
  <div class="tools">
    <button type="button" id="share" title="A link with both sources in it">Copy link</button>
    <select id="export" aria-label="Export">
      <option value="">Export…</option>
      <option value="scenario">Scenario file</option>
      <option value="recording">Recording (web page)</option>
    </select>
    <button type="button" id="theme" aria-label="Light or dark" title="Light or dark">◐</button>
  </div>
</header>
<p id="failure" role="alert" hidden></p>
<main>
  <aside class="guide card" aria-label="Lessons">
    <div class="card-head"><h2>Lesson</h2><span class="choice"><select id="lesson" aria-label="Lesson"></select></span></div>
    <div id="guide"></div>
  </aside>
  <section class="card sources" aria-label="Source">
    <div class="card-head">
      <h2>Source</h2>
      <span class="legend"><i class="dot base"></i>as it runs</span>
      <span class="legend"><i class="dot old"></i>old</span>
      <span class="legend"><i class="dot new"></i>new</span>
      <span class="choice"><button type="button" class="primary" id="apply" title="Ctrl+Enter">Build &amp; apply</button></span>
    </div>
    <div class="names"><span>as it is (base)</span><span>as it shall be (fix)</span></div>
    <div id="editors"></div>
    <div id="outcome" role="status" aria-live="polite"></div>
  </section>
  <section class="card controls" aria-label="Machine">
    <div class="card-head">
      <h2>Machine</h2>
      <span id="state" role="status" aria-live="polite"></span>
    </div>
    <div class="buttons">
      <label class="call">Call <input type="text" id="call" list="calls" spellcheck="false" autocomplete="off"></label>
      <datalist id="calls"></datalist>
      <button type="button" id="do-call" title="Starts a call; while another stands still, in a thread beside it">Call</button>
      <span class="group">
        <button type="button" id="run" title="On, to the end of all calls">Run</button>
        <button type="button" id="pause" title="Stop here">Pause</button>
        <button type="button" id="next" title="One source line, over calls">Line</button>
        <button type="button" id="into" title="One source line, into calls">Into</button>
        <button type="button" id="instruction" title="One instruction">Instruction</button>
        <button type="button" id="out" title="Until this function has returned">Out</button>
      </span>
      <span class="group">
        <button type="button" id="back" title="Back by one source line">Back a line</button>
        <button type="button" id="back-instruction" title="Back by one instruction">Back an instruction</button>
        <button type="button" id="rewind" title="Back to the first instruction of the first call">Rewind</button>
      </span>
      <span class="group">
        <button type="button" id="patch" title="Apply the hotpatch here and now">Apply now</button>
        <button type="button" id="revert" title="Take the newest hotpatch back">Revert</button>
        <button type="button" id="restart" title="A new machine, without patches">New machine</button>
      </span>
    </div>
    <div id="threads"></div>
  </section>
  <section class="code" aria-label="Code"><div id="way"></div><div id="listings"></div></section>
  <section class="side" aria-label="Machine state">
    <div class="card"><div class="card-head"><h2>Calls</h2></div><div id="results"></div></div>
    <div class="card"><div class="card-head"><h2>Hotpatch address tables</h2></div><div id="tables"></div></div>
    <details class="card" open><summary><h2>Stack</h2></summary><div id="stack"></div></details>
    <details class="card"><summary><h2>Registers</h2></summary><div id="registers"></div></details>
  </section>
  <section class="card console" aria-label="Console">
    <div class="card-head"><h2>Console</h2><span class="subject">commands of WinDbg: k, uf, !hpat, !hotpatch, dq, .help</span></div>
    <div id="log" tabindex="0"></div>
    <form id="prompt"><span id="position"></span><input type="text" id="command" aria-label="Command" spellcheck="false" autocomplete="off" placeholder="!hotpatch"></form>
  </section>
  <section class="card explore" aria-label="Explore">
    <div class="card-head"><h2>Explore</h2><span class="subject">every order of the engine's stores and of this call</span></div>
    <form id="explore" class="buttons">
      <label>Stores <select id="protocol"></select></label>
      <label>Processors <select id="cpus"><option>1</option><option>2</option></select></label>
      <label>Fetch <select id="fetch"><option>coherent</option><option>weak</option></select></label>
      <button type="submit" id="do-explore">Explore</button>
    </form>
    <div id="exploration" role="status" aria-live="polite"></div>
  </section>
</main>`;
