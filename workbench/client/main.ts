import type { Mark, Program, Start } from '../protocol.js';
import { Bench, type Phase } from './bench.js';
import { byId, el, on } from './dom.js';
import { Editors, type LineClass, type Source } from './editors.js';
import { type Exploration, PROTOCOLS, showExploration } from './exploration.js';
import { LESSONS } from './lessons.js';
import type { MachineState } from './machine.js';
import { WorkbenchServer } from './server.js';
import { fragmentOf, programOf, save } from './share.js';
import {
  linkInstructions,
  showGuide,
  showListings,
  showOutcome,
  showRegisters,
  showResults,
  showStack,
  showTables,
  showThreads,
  showWay,
} from './views.js';

const input = (id: string) => byId<HTMLInputElement>(id);
const select = (id: string) => byId<HTMLSelectElement>(id);

interface Exported {
  readonly fileName: string;
  readonly data: string;
  readonly type: string;
}

/** What each button needs of the machine. */
const NEEDS: Readonly<Record<string, readonly Phase[]>> = {
  run: ['stopped'],
  pause: ['running'],
  next: ['stopped'],
  into: ['stopped'],
  instruction: ['stopped'],
  out: ['stopped'],
  back: ['stopped', 'idle'],
  'back-instruction': ['stopped', 'idle'],
  rewind: ['stopped', 'idle'],
  revert: ['stopped', 'idle'],
  patch: ['stopped', 'idle'],
  'do-call': ['stopped', 'idle', 'ended', 'none'],
  restart: ['stopped', 'idle', 'running', 'ended', 'none'],
};

const STATES: Readonly<Record<Phase, string>> = {
  none: 'none yet',
  starting: 'starting…',
  running: 'running…',
  stopped: 'stands still',
  idle: 'every call has returned',
  ended: 'ended',
};

let name = 'program';
let lesson = LESSONS[0];

async function main(): Promise<void> {
  const fragment = location.hash;
  const [, token] = /^#open=([\w-]+)$/.exec(fragment) ?? [];
  const server = await WorkbenchServer.open(token);
  if (token !== undefined) history.replaceState(null, '', location.pathname);
  const start = await server.post<Start>('/api/start');
  const shared = await programOf(fragment);

  const editors: Editors = new Editors(byId('editors'), {
    onChange: (source) => changed(source),
    onBuild: () => act(() => bench.buildAndApply()),
    onBreakpoints: (source, lines) => act(() => bench.setBreakpoints(source, lines)),
    onLine: (source, line) => linkInstructions(source === 'base' ? 'base' : 'new', line),
  });
  const program = (): Program => ({
    name,
    base: editors.text('base'),
    fixed: editors.text('fixed'),
    call: input('call').value,
  });
  const bench = new Bench(server, {
    program,
    changed: (before) => show(before),
    failed,
    built: (outcome) => {
      editors.setMarks(outcome.marks);
      showOutcome(outcome, ({ side, line }: Mark) => editors.focus(side, line));
      byId('calls').replaceChildren(...outcome.exports.map((value) => el('option', { value })));
    },
  });

  function open(opened: Program): void {
    name = opened.name;
    editors.setText('base', opened.base);
    editors.setText('fixed', opened.fixed);
    input('call').value = opened.call;
    byId('summary').textContent =
      `${start.file ?? `${name}.c`}: change it at the right, and patch it into the machine that runs it.`;
  }

  function changed(source: Source): void {
    if (source === 'fixed' && editors.text('fixed') !== editors.text('base')) bench.facts.add('changed');
    editors.setMarks([]);
    guide();
  }

  function guide(): void {
    if (lesson !== undefined) showGuide(lesson, bench.facts);
  }

  function show(before: MachineState | undefined): void {
    const { phase, why, state, isBuilding, hotPatch } = bench;
    document.documentElement.dataset.phase = phase;
    byId('state').textContent = [STATES[phase], why].filter((text) => text !== '').join(': ');
    for (const [id, phases] of Object.entries(NEEDS))
      byId<HTMLButtonElement>(id).disabled = !phases.includes(phase) || isBuilding;
    byId<HTMLButtonElement>('patch').disabled ||= hotPatch === undefined;
    byId<HTMLButtonElement>('apply').disabled = isBuilding || phase === 'starting';
    byId('apply').textContent = isBuilding ? 'Building…' : 'Build & apply';
    byId<HTMLButtonElement>('do-explore').disabled = hotPatch === undefined;
    guide();
    if (state === undefined || (phase !== 'stopped' && phase !== 'idle')) return;
    byId('position').textContent = state.position;
    showThreads(state, (id) => act(() => bench.select(id)));
    showResults(state.results);
    showTables(state.tables);
    showStack(state);
    showRegisters(state, before === state ? undefined : before);
    showWay(state);
    showListings(state, {
      onLine: (side, line) => editors.link(side === 'new' ? 'fixed' : 'base', line),
    });
    showLines(editors, state);
  }

  function act(work: () => Promise<unknown>): void {
    byId('failure').hidden = true;
    work().catch(failed);
  }

  const click = (id: string, work: () => Promise<unknown>) => on(id, 'click', () => act(work));
  click('apply', () => bench.buildAndApply());
  click('do-call', () => bench.call(input('call').value));
  click('run', () => bench.go('continue'));
  click('pause', () => bench.pause());
  click('next', () => bench.go('next'));
  click('into', () => bench.go('stepIn'));
  click('instruction', () => bench.go('stepIn', 'instruction'));
  click('out', () => bench.go('stepOut'));
  click('back', () => bench.go('stepBack'));
  click('back-instruction', () => bench.go('stepBack', 'instruction'));
  click('rewind', () => bench.go('reverseContinue'));
  click('revert', () => bench.revert());
  click('restart', () => bench.newMachine());
  click('patch', async () => {
    if (bench.hotPatch !== undefined) await bench.apply(bench.hotPatch);
  });
  click('share', async () => {
    const fragment = await fragmentOf(program());
    history.replaceState(null, '', fragment);
    await navigator.clipboard?.writeText(location.href).catch(() => undefined);
    byId('share').textContent = 'Copied';
    setTimeout(() => {
      byId('share').textContent = 'Copy link';
    }, 1500);
  });
  on('export', 'change', () => {
    const kind = select('export').value;
    select('export').value = '';
    act(async () => {
      const { outcome, appliedAt: place } = bench;
      const asked = { kind, call: input('call').value, build: outcome?.build ?? 0, place };
      const { fileName, data, type } = await server.post<Exported>('/api/export', asked);
      save(fileName, data, type);
    });
  });
  on('theme', 'click', () => {
    const root = document.documentElement;
    const system = matchMedia('(prefers-color-scheme: dark)').matches ? 'dark' : 'light';
    root.dataset.theme = (root.dataset.theme ?? system) === 'dark' ? 'light' : 'dark';
  });
  on('prompt', 'submit', (event) => {
    event.preventDefault();
    const text = input('command').value.trim();
    input('command').value = '';
    if (text !== '') act(() => bench.evaluate(text));
  });
  on('explore', 'submit', (event) => {
    event.preventDefault();
    act(async () => {
      byId('exploration').textContent = 'Exploring…';
      const protocol = select('protocol').value;
      const exploration = await server
        .post<Exploration>('/api/explore', {
          build: bench.hotPatch,
          call: input('call').value,
          processors: Number(select('cpus').value),
          fetch: select('fetch').value,
          protocol,
        })
        .catch((error: unknown) => {
          byId('exploration').textContent = '';
          throw error;
        });
      showExploration(exploration);
      bench.facts.add('explored');
      if (exploration.violations.length > 0) bench.facts.add('explored-broken');
      guide();
    });
  });
  select('lesson').append(...LESSONS.map(({ id, title }) => el('option', { value: id }, title)));
  on('lesson', 'change', () => {
    lesson = LESSONS.find(({ id }) => id === select('lesson').value);
    bench.facts.clear();
    guide();
  });
  select('protocol').append(...PROTOCOLS.map(({ name: value, text }) => el('option', { value }, text)));
  addEventListener('hashchange', () => {
    act(async () => {
      const program = await programOf(location.hash);
      if (program === undefined) return;
      open(program);
      bench.outcome = undefined;
      await bench.newMachine();
    });
  });

  open(shared ?? start.program);
  show(undefined);
  if (start.missing.length > 0)
    throw new Error(`Nothing can be built on this machine. Missing:\n${start.missing.join('\n')}`);
  act(async () => {
    await bench.build();
    await bench.newMachine();
    document.documentElement.dataset.ready = '';
  });
}

/** Where the threads stand, in both sources. */
function showLines(editors: Editors, { threads, thread }: MachineState): void {
  const lines: Record<Source, LineClass[]> = { base: [], fixed: [] };
  for (const { frames } of threads)
    for (const [index, { side, line }] of frames.entries())
      if (line !== undefined)
        lines[side === 'new' ? 'fixed' : 'base'].push({
          line,
          name: `${index === 0 ? 'at' : 'at-caller'} ${side}`,
        });
  for (const source of ['base', 'fixed'] as const) editors.setLines(source, lines[source]);
  const first = threads.find(({ id }) => id === thread)?.frames.find(({ line }) => line !== undefined);
  if (first?.line !== undefined) editors.reveal(first.side === 'new' ? 'fixed' : 'base', first.line);
}

function failed(error: unknown): void {
  const box = byId('failure');
  box.textContent = error instanceof Error ? error.message : String(error);
  box.hidden = false;
}

main().catch(failed);
